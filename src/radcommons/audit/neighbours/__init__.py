"""Which image is nearest to which: by SSIM, by re-identification features, by an extractor's features."""
