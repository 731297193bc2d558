"""Changes of the hub's tables, one file each."""
