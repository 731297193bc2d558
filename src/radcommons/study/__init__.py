"""The reader study: readers see real and synthetic chest films and say which is which."""
