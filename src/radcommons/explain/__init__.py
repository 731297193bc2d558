"""What a generator has learned about its findings: label interpolation, difference maps, correlations."""
