"""Leaky ReLU and pixel norm of a generator's layer in one pass over memory; CPU, float32."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from radcommons.models.cpu.compiled import kernel

ZERO = np.float32(0)
ONE = np.float32(1)
HALF = np.float32(0.5)


def leaky_pixel_norm(x: Tensor, leak: float, epsilon: float) -> Tensor:
    """Leaky ReLU, then each pixel's feature vector divided by its root mean square.

    Args:
        x: (N, C, H, W), float32 on a CPU, best in channels_last.
        leak: slope below zero, > 0.
        epsilon: added to the mean square.
    Returns:
        (N, C, H, W), channels_last; differentiable once.
    """
    result: Tensor = _LeakyPixelNorm.apply(x, leak, epsilon)  # type: ignore[no-untyped-call]
    return result


def leaky_pixel_norm_(x: Tensor, leak: float, epsilon: float) -> Tensor:
    """The same in place, without derivative; x (N, C, H, W) in channels_last."""
    in_place(_rows(x), np.float32(leak), np.float32(epsilon))
    return x


class _LeakyPixelNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, leak: float, epsilon: float) -> Tensor:
        x = x.detach().contiguous(memory_format=torch.channels_last)
        y = torch.empty_like(x)
        inverse = torch.empty(x.shape[0] * x.shape[2] * x.shape[3])
        forward(_rows(x), _rows(y), inverse.numpy(), np.float32(leak), np.float32(epsilon))
        ctx.save_for_backward(y, inverse)
        ctx.leak = leak
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        y, inverse = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        result = torch.empty_like(y)
        backward(_rows(y), inverse.numpy(), _rows(gradient), _rows(result), np.float32(ctx.leak))
        return result, None, None


def _rows(x: Tensor) -> np.ndarray:
    rows: np.ndarray = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).numpy()  # a view: channels are innermost
    return rows


@kernel
def forward(x: np.ndarray, y: np.ndarray, inverse: np.ndarray, leak: np.float32, epsilon: np.float32) -> None:
    """y = z r, z = leaky(x), r = 1 / sqrt(mean z^2 + epsilon); x, y (P, C), r into `inverse` (P,)."""
    channels = x.shape[1]
    straight, bent = HALF * (ONE + leak), HALF * (ONE - leak)  # leaky(v) = straight v + bent |v|, without a branch
    for p in range(x.shape[0]):
        total = ZERO
        for c in range(channels):
            z = straight * x[p, c] + bent * abs(x[p, c])
            total += z * z
        r = ONE / np.sqrt(total / np.float32(channels) + epsilon)
        inverse[p] = r
        straight_r, bent_r = straight * r, bent * r
        for c in range(channels):
            y[p, c] = straight_r * x[p, c] + bent_r * abs(x[p, c])


@kernel
def in_place(x: np.ndarray, leak: np.float32, epsilon: np.float32) -> None:
    """`forward` with y = x, without r; apart, because loops over two arrays that may be one are not vectorised."""
    channels = x.shape[1]
    straight, bent = HALF * (ONE + leak), HALF * (ONE - leak)
    for p in range(x.shape[0]):
        total = ZERO
        for c in range(channels):
            z = straight * x[p, c] + bent * abs(x[p, c])
            total += z * z
        r = ONE / np.sqrt(total / np.float32(channels) + epsilon)
        straight_r, bent_r = straight * r, bent * r
        for c in range(channels):
            x[p, c] = straight_r * x[p, c] + bent_r * abs(x[p, c])


@kernel
def backward(y: np.ndarray, inverse: np.ndarray, g: np.ndarray, out: np.ndarray, leak: np.float32) -> None:
    """out = r (g - y mean(g y)), times `leak` where y < 0."""
    channels = y.shape[1]
    for p in range(y.shape[0]):
        total = ZERO
        for c in range(channels):
            total += g[p, c] * y[p, c]
        mean = total / np.float32(channels)
        r = inverse[p]
        low = leak * r
        for c in range(channels):
            d = g[p, c] - y[p, c] * mean
            out[p, c] = d * (r if y[p, c] > ZERO else low)
