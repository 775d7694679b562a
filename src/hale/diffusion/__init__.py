"""Diffusion: how much noise, what noise, and the way back. Functions, no networks."""
