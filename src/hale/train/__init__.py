"""Training: the Fabric-backed run, checkpoints, slices."""
