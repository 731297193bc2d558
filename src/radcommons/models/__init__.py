"""PyTorch networks, their configuration and files, and sampling from a trained generator."""
