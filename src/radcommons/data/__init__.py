"""The only code that reads patients' images: sources, pixels, split, store; and the digital phantom."""
