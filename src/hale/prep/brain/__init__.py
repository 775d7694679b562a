"""Brain extraction: one file per way of finding the brain."""
