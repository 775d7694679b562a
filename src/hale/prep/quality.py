"""Moved to `hale.prep.measures`."""

from hale.prep.measures import resemblance

__all__ = ["resemblance"]
