"""What a generator has learned of its findings: morphs, difference maps, and how they agree with what is known."""
