"""Cohorts, phantoms and synthetic lesions."""
