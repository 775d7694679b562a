"""Post-processing of anomaly maps: pure functions on arrays."""
