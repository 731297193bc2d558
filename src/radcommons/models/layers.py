"""Layers of the progressive GAN (Karras et al. 2018, arXiv 1710.10196), written from the paper.

Weights are drawn from N(0, 1) and scaled at run time (equalised learning rate, section 4.1), so that every layer
learns at the same speed under Adam.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAK = 0.2
GAIN = math.sqrt(2)  # He et al. 2015, for (leaky) ReLU


class EqualisedLinear(nn.Module):
    """Dense layer with run-time weight scale gain / sqrt(inputs); (N, inputs) -> (N, outputs)."""

    def __init__(self, inputs: int, outputs: int, gain: float = GAIN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) -> (N, outputs)."""
        return F.linear(x, self.weight * self.scale, self.bias)


class EqualisedConv(nn.Module):
    """Square convolution that keeps the size; (N, inputs, H, W) -> (N, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, gain: float = GAIN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.weight.shape[-1] // 2)


class UpsampleConv(EqualisedConv):
    """Nearest-neighbour doubling followed by the 3x3 convolution, as one transposed 4x4 convolution of stride 2."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, 2H, 2W)."""
        return F.conv_transpose2d(x, fold_upsample(self.weight * self.scale), self.bias, stride=2, padding=1)


class DownsampleConv(EqualisedConv):
    """The 3x3 convolution followed by a 2x2 mean, as one 4x4 convolution of stride 2."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, 2H, 2W) -> (N, outputs, H, W)."""
        return F.conv2d(x, fold_downsample(self.weight * self.scale), self.bias, stride=2, padding=1)


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


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, any shape."""
    return F.leaky_relu(x, LEAK)


def pixel_norm(x: Tensor, epsilon: float = 1e-8) -> Tensor:
    """Each pixel's feature vector divided by its root mean square (eq. in section 4.2).

    Args:
        x: (N, C) or (N, C, H, W).
    Returns:
        Same shape; mean over C of the squares is 1 where the input is not all zero.
    """
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + epsilon)


def minibatch_stddev(x: Tensor, group_size: int = 4, epsilon: float = 1e-8) -> Tensor:
    """Append one map with the standard deviation over a group of images, averaged over features and pixels.

    Image n belongs to group n mod M, M = N / G, with G the largest divisor of N up to `group_size`; ranks that take
    every W-th image of a joined batch therefore see the same groups as one process with the whole batch.

    Args:
        x: (N, C, H, W).
    Returns:
        (N, C + 1, H, W).
    Source: Karras et al. 2018, section 3.
    """
    n, _, height, width = x.shape
    group = max(g for g in range(1, min(group_size, n) + 1) if n % g == 0)
    exact = x.to(torch.promote_types(x.dtype, torch.float32))
    groups = exact.unflatten(0, (group, -1))  # (G, M, C, H, W)
    deviation = (groups.var(dim=0, correction=0) + epsilon).sqrt().mean(dim=(1, 2, 3))  # (M,)
    extra = deviation.to(x.dtype).repeat(group).view(n, 1, 1, 1).expand(n, 1, height, width)
    return torch.cat([x, extra], dim=1)


def upsample(images: Tensor) -> Tensor:
    """Every pixel doubled; (N, C, H, W) -> (N, C, 2H, 2W)."""
    return images.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def downsample(images: Tensor) -> Tensor:
    """Mean of 2x2 pixels; (N, C, 2H, 2W) -> (N, C, H, W)."""
    return F.avg_pool2d(images, 2)
