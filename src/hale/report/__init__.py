"""Pictures and the page that a reader opens."""
