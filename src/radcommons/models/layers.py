"""Layers of the progressive GAN (Karras et al. 2018, arXiv 1710.10196), written from the paper.

Weights are drawn from N(0, 1) and scaled at run time (equalised learning rate, section 4.1), so that every layer
learns at the same speed under Adam. The formulas here run on any device; on a CPU in float32 the kernels of `cpu`
replace two of them.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radcommons.models import cpu
from radcommons.models.scaled_convolution import scaled_convolution

LEAK = 0.2
EPSILON = 1e-8
GAIN = math.sqrt(2)  # He et al. 2015, for (leaky) ReLU
_preparing = threading.Lock()


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
    """Square convolution; of the image doubled before it (`up` = 2), or with a 2x2 mean after it (`down` = 2).

    A `leak` below 1 puts a leaky ReLU of that slope after it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        gain: float = GAIN,
        *,
        up: int = 1,
        down: int = 1,
        leak: float = 1,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs * kernel**2)
        self.up, self.down, self.leak = up, down, leak
        self._keeps = False
        self._kernel: cpu.Kernel | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H * up / down, W * up / down)."""
        if self.weight.shape[-1] == 1:  # a dense layer over the channels, which become the innermost dimension
            weight = self.weight.flatten(1) * self.scale
            y = F.linear(x.permute(0, 2, 3, 1), weight, self.bias).permute(0, 3, 1, 2)
        elif cpu.suits(x):
            return cpu.convolve(x, self.weight, self.bias, self._kernel_for(x))
        else:
            y = scaled_convolution(x, self.weight * self.scale, self.bias, up=self.up, down=self.down)
        return F.leaky_relu(y, self.leak) if self.leak != 1 else y

    def keep_kernel(self, yes: bool) -> None:
        """Keep the prepared weight, or stop. While it is kept, the weight and the image size must not change."""
        self._keeps, self._kernel = yes, None

    def _kernel_for(self, x: Tensor) -> cpu.Kernel:
        with _preparing:  # threads of one network: the first does it for all
            kernel = self._kernel
            if kernel is None:
                side = math.gcd(x.shape[2], x.shape[3])
                how = {"up": self.up, "down": self.down, "leak": self.leak}
                kernel = cpu.make_kernel(self.weight, self.scale, side=side, **how)  # type: ignore[arg-type]
                self._kernel = kernel if self._keeps else None
            return kernel


def keep_kernels(network: nn.Module, yes: bool) -> None:
    """Keep what a network's layers prepare from their weights, which must not change then; or stop keeping it."""
    for layer in network.modules():
        if isinstance(layer, EqualisedConv):
            layer.keep_kernel(yes)


@contextmanager
def unchanging(network: nn.Module) -> Iterator[None]:
    """The weights of the network do not change in this block; what is computed from them alone is kept."""
    keep_kernels(network, True)
    try:
        yield
    finally:
        keep_kernels(network, False)


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, any shape."""
    return F.leaky_relu(x, LEAK)


def pixel_norm(x: Tensor) -> Tensor:
    """Each pixel's feature vector divided by its root mean square (eq. in section 4.2).

    Args:
        x: (N, C) or (N, C, H, W).
    Returns:
        Same shape; mean over C of the squares is 1 where the input is not all zero.
    """
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPSILON)


def leaky_pixel_norm(x: Tensor) -> Tensor:
    """`pixel_norm` of `leaky` of x (N, C, H, W), in one pass where that is possible."""
    return cpu.leaky_pixel_norm(x, LEAK, EPSILON) if cpu.suits(x) else pixel_norm(leaky(x))


def stddev_group(batch: int) -> int:
    """Images in a group of the minibatch deviation: the largest divisor of the batch up to 4."""
    return max(g for g in (1, 2, 3, 4) if batch % g == 0)


def minibatch_stddev(x: Tensor) -> Tensor:
    """Append one map with the standard deviation over a group of images, averaged over features and pixels.

    Image n belongs to group n mod M, M = N / G, with G = `stddev_group` (N); processes
    that take every W-th image of a batch therefore see the same groups as one process with the whole batch.

    Args:
        x: (N, C, H, W).
    Returns:
        (N, C + 1, H, W).
    Source: Karras et al. 2018, section 3.
    """
    n, _, height, width = x.shape
    group = stddev_group(n)
    exact = x.to(torch.promote_types(x.dtype, torch.float32))
    groups = exact.unflatten(0, (group, -1))  # (G, M, C, H, W)
    deviation = (groups.var(dim=0, correction=0) + EPSILON).sqrt().mean(dim=(1, 2, 3))  # (M,)
    extra = deviation.to(x.dtype).repeat(group).view(n, 1, 1, 1).expand(n, 1, height, width)
    return torch.cat([x, extra], dim=1)


def upsample(images: Tensor) -> Tensor:
    """Every pixel doubled; (N, C, H, W) -> (N, C, 2H, 2W)."""
    return images.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def downsample(images: Tensor) -> Tensor:
    """Mean of 2x2 pixels; (N, C, 2H, 2W) -> (N, C, H, W)."""
    return F.avg_pool2d(images, 2)
