"""Files: NIfTI, BIDS folders, the cache, model folders."""
