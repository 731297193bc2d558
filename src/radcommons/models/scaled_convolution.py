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
    """`fold_upsample`, `fold_downsample` or the weight itself."""
    if up == 2:
        return fold_upsample(weight)
    return fold_downsample(weight) if down == 2 else weight


def fold_adjoint(folded: Tensor, *, up: int, down: int) -> Tensor:
    """The adjoint of `fold`: from the gradient of the folded weight to that of the weight, (O, C, 3, 3)."""
    if up == down == 1:
        return folded
    total = folded[..., :-1, :-1] + folded[..., :-1, 1:] + folded[..., 1:, :-1] + folded[..., 1:, 1:]  # 3x3
    return total.transpose(0, 1).flip(2, 3) if up == 2 else total / 4


def fold_upsample(weight: Tensor) -> Tensor:
    """The transposed 4x4 kernel equal to "double every pixel, then convolve with `weight`".

    In one dimension an even output pixel sees w0 x[i-1] + (w1 + w2) x[i], an odd one (w0 + w1) x[i] + w2 x[i+1].

    Args:
        weight: (outputs, inputs, 3, 3).
    Returns:
        (inputs, outputs, 4, 4) for ``conv_transpose2d(stride=2, padding=1)``: 4/9 of the arithmetic.
    """
    return _sum_of_shifts(weight.flip(2, 3).transpose(0, 1))


def fold_downsample(weight: Tensor) -> Tensor:
    """The 4x4 kernel equal to "convolve with `weight`, then take the mean of 2x2 pixels".

    Args:
        weight: (outputs, inputs, 3, 3).
    Returns:
        (outputs, inputs, 4, 4) for ``conv2d(stride=2, padding=1)``.
    """
    return _sum_of_shifts(weight) / 4


def _sum_of_shifts(weight: Tensor) -> Tensor:
    padded = F.pad(weight, (1, 1, 1, 1))
    return padded[..., 1:, 1:] + padded[..., 1:, :-1] + padded[..., :-1, 1:] + padded[..., :-1, :-1]
