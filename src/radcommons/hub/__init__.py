"""The hub: generators are deposited, checked, found and fetched. It never reads a patient's image."""
