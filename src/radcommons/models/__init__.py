"""PyTorch modules, their configuration, and sampling from a trained generator."""
