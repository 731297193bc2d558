"""Training of generators inside the hospital: one run for every family, and a recipe for each."""
