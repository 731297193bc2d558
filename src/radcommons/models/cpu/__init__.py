"""Kernels that make the layers fast on a CPU; `layers` alone chooses between them and the plain formulas.

Values and gradients equal those of the plain formulas within rounding.
"""

import torch
from torch import Tensor

from radcommons.models.cpu.convolution import Kernel, convolve, input_gradients_only, make_kernel, run
from radcommons.models.cpu.pixel_norm import leaky_pixel_norm, leaky_pixel_norm_

__all__ = [
    "Kernel",
    "convolve",
    "input_gradients_only",
    "leaky_pixel_norm",
    "leaky_pixel_norm_",
    "make_kernel",
    "run",
    "suits",
]


def suits(x: Tensor) -> bool:
    """Whether the kernels can take this tensor: float32 on a CPU, not under autocast."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
