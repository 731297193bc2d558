"""Kernels that make the networks fast on a CPU."""
