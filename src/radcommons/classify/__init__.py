"""The classifier: trained on any mix of stores and synthetic sets, evaluated on real films."""
