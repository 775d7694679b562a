"""The reader's station: a local web application over folders of results."""
