"""Grey levels of image files, 0 ... 255, and of networks, -1 ... 1."""

import torch
from torch import Tensor


def to_signed(images: Tensor) -> Tensor:
    """uint8 0 .. 255 to float32 -1 .. 1, same shape."""
    return images.float() / 127.5 - 1


def to_bytes(images: Tensor) -> Tensor:
    """float -1 .. 1 to uint8 0 .. 255, rounded and clipped, same shape."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
