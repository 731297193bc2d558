"""Clusters of machines that others run: their addresses, and joblib's backends for them."""
