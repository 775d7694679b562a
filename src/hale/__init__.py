"""Hale learns what a healthy brain looks like and shows where a scan departs from it."""
