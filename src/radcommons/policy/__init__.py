"""What must hold before a deposit: rules, and how a record is judged by them. It reads records only, never an image."""
