"""Changes of the study's tables, one file each."""
