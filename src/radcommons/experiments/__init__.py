"""Whole experiments from stores to a result: the demo, and later the paper's tables and their controls."""
