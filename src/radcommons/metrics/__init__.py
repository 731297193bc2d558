"""Metrics as pure functions of NumPy arrays."""
