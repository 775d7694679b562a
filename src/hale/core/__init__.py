"""Types, geometry and the protocols; numpy and scipy only."""
