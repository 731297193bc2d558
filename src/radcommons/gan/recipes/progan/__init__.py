"""Training of the conditional progressive GAN of the paper."""
