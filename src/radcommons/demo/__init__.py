"""The demo: all steps on simulated hospitals, in minutes."""
