"""Redis: how every process reaches it, whether it is there and fit, and the one that Assay runs itself."""
