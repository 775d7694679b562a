"""The jobs: fit, calibrate, detect, one scan or a cohort."""
