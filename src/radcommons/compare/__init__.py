"""Audits of several generators beside each other; it never reads a film."""
