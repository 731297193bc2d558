"""The demo: the whole story on phantoms, in minutes."""
