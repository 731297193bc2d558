"""Tags for the templates of all sites."""
