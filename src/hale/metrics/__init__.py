"""Metrics: functions on numpy arrays, usable without the rest."""
