"""What synthetic images teach, from stores and generators to a table, with the controls that separate the causes."""
