"""A 3x3 convolution of a doubled image, or followed by a 2x2 mean, as one 4x4 convolution of stride 2.

Equal within rounding, on any device and in any precision, for 4/9 of the arithmetic.
"""

import torch.nn.functional as F
from torch import Tensor


def scaled_convolution(x: Tensor, weight: Tensor, bias: Tensor, *, up: int, down: int) -> Tensor:
    """Double the image (`up` = 2), convolve, take the mean of 2x2 pixels (`down` = 2).

    Args:
        x: (N, C, H, W).
        weight: (O, C, 3, 3).
        bias: (O,).
    Returns:
        (N, O, H * up / down, W * up / down).
    """
    folded = fold(weight, up=up, down=down)
    if up == 2:
        return F.conv_transpose2d(x, folded, bias, stride=2, padding=1)
    return F.conv2d(x, folded, bias, stride=down, padding=1)


def fold(weight: Tensor, *, up: int, down: int) -> Tensor:
    """The kernel of `scaled_convolution`: 4/9 of the arithmetic of the plain form.

    Of a doubled image, in one dimension, an even output pixel sees w0 x[i-1] + (w1 + w2) x[i], an odd one
    (w0 + w1) x[i] + w2 x[i+1].

    Args:
        weight: (O, C, 3, 3).
    Returns:
        (C, O, 4, 4) for ``conv_transpose2d(stride=2, padding=1)`` if `up` is 2, (O, C, 4, 4) for
        ``conv2d(stride=2, padding=1)`` if `down` is 2, otherwise the weight itself.
    """
    if up == down == 1:
        return weight
    padded = F.pad(weight.flip(2, 3).transpose(0, 1) if up == 2 else weight, (1, 1, 1, 1))
    total = padded[..., 1:, 1:] + padded[..., 1:, :-1] + padded[..., :-1, 1:] + padded[..., :-1, :-1]
    return total if up == 2 else total / 4


def fold_adjoint(folded: Tensor, *, up: int, down: int) -> Tensor:
    """The adjoint of `fold`: from the gradient of the folded weight to that of the weight, (O, C, 3, 3)."""
    if up == down == 1:
        return folded
    total = folded[..., :-1, :-1] + folded[..., :-1, 1:] + folded[..., 1:, :-1] + folded[..., 1:, 1:]  # 3x3
    return total.transpose(0, 1).flip(2, 3) if up == 2 else total / 4
