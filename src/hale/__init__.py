"""Hale learns what a healthy brain looks like and shows where a scan departs from it."""

from importlib.metadata import version

__version__ = version("hale")
