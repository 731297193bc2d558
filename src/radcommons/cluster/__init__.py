"""A cluster of machines that others run: its address, and joblib's backend for it."""
