"""Training of the residual GAN for a thousand films."""
