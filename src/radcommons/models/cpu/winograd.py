"""3x3 convolution by Winograd's F(4x4, 3x3): a quarter of the multiplications of the plain form; CPU, float32.

Three functions: the convolution and its gradients by the input and by the weight. They work on blocks of tiles that
stay in the cache, on the calling thread; a caller that wants more cores splits the batch.
"""

import math
import threading
from collections.abc import Iterator

import torch
from torch import Tensor

from radcommons.models.cpu import winograd_kernels as kernels

_memory = threading.local()
_A, _B = math.sqrt(0.5), math.sqrt(2)


def _points() -> Tensor:
    """(36, 9): a 3x3 kernel to the 36 weights of a tile; row of point p is (1, p, p^2) / N'(p) in each direction."""
    rows = [[1.0, 0, 0]]
    rows += [[-2 / 3, -2 / 3 * p, -2 / 3 * p**2] for p in (_A, -_A)]
    rows += [[1 / 6, 1 / 6 * p, 1 / 6 * p**2] for p in (_B, -_B)]
    rows += [[0, 0, 1.0]]
    line = torch.tensor(rows, dtype=torch.float64)
    return torch.kron(line, line).float()


_POINTS = _points()


def transform_weight(weight: Tensor, scale: float) -> Tensor:
    """`scale` times a weight, transformed: (O, C, 3, 3) -> (36, O, C)."""
    flat = weight.detach().reshape(-1, 9).t()
    return (_POINTS * scale @ flat).view(36, *weight.shape[:2])


def forward(x: Tensor, transformed: Tensor, bias: Tensor | None, up: int, down: int) -> Tensor:
    """The 3x3 convolution of an image doubled before (`up` = 2), or followed by a 2x2 mean (`down` = 2).

    Args:
        x: (N, C, H, W), best in channels_last; H * up and W * up multiples of 4.
        transformed: weight (36, O, C) from `transform_weight`.
        bias: (O,), or None.
    Returns:
        (N, O, H * up / down, W * up / down), channels_last.
    """
    image = _channels_inside(x)
    n, height, width, inputs = image.shape
    outputs = transformed.shape[1]
    result = _empty(n, outputs, height * up // down, width * up // down)
    offset = (torch.zeros(outputs) if bias is None else bias.detach()).numpy()
    source, target = image.numpy(), result.permute(0, 2, 3, 1).numpy()
    for first, stop, v, m in _blocks(n * height * up // 4, width * up // 4, inputs, outputs):
        kernels.gather(source, v.numpy(), up, first, stop)
        torch.bmm(v, transformed.transpose(1, 2), out=m)
        kernels.scatter(m.numpy(), offset, target, down, first, stop)
    return result


def towards_input(gradient: Tensor, transformed: Tensor, up: int, down: int) -> Tensor:
    """The adjoint of `forward` in its image: gradient (N, O, H * up / down, ...) -> (N, C, H, W)."""
    image = _channels_inside(gradient)
    n, height, width, outputs = image.shape
    inputs = transformed.shape[2]
    result = _empty(n, inputs, height * down // up, width * down // up).zero_()
    source, target = image.numpy(), result.permute(0, 2, 3, 1).numpy()
    for first, stop, v, m in _blocks(n * height * down // 4, width * down // 4, inputs, outputs):
        kernels.scatter_adjoint(source, m.numpy(), down, first, stop)
        torch.bmm(m, transformed, out=v)
        kernels.gather_adjoint(v.numpy(), target, up, first, stop)
    return result


def towards_weight(x: Tensor, gradient: Tensor, up: int, down: int, scale: float) -> Tensor:
    """The adjoint of `forward` in its weight, times `scale`: images and gradients -> (O, C, 3, 3)."""
    image, towards = _channels_inside(x), _channels_inside(gradient)
    n, height, width, inputs = image.shape
    outputs = towards.shape[3]
    total = _scratch("total", 36, outputs, inputs)
    source, other = image.numpy(), towards.numpy()
    for first, stop, v, m in _blocks(n * height * up // 4, width * up // 4, inputs, outputs):
        kernels.gather(source, v.numpy(), up, first, stop)
        kernels.scatter_adjoint(other, m.numpy(), down, first, stop)
        torch.baddbmm(total, m.transpose(1, 2), v, beta=0 if first == 0 else 1, out=total)
    nine = (_POINTS * scale).t() @ total.flatten(1)
    return nine.t().contiguous().view(outputs, inputs, 3, 3)


def _channels_inside(x: Tensor) -> Tensor:
    return x.detach().permute(0, 2, 3, 1).contiguous()


def _empty(n: int, channels: int, height: int, width: int) -> Tensor:
    return torch.empty(n, channels, height, width, memory_format=torch.channels_last)


def _blocks(rows: int, tiles: int, inputs: int, outputs: int) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """Ranges of tile rows with room for their tiles: large enough to use a weight often, small enough for the cache."""
    size = max(1, (256 if max(inputs, outputs) >= 256 else 128) // tiles)
    for first in range(0, rows, size):
        stop = min(rows, first + size)
        count = (stop - first) * tiles
        yield first, stop, _scratch("v", 36, count, inputs), _scratch("m", 36, count, outputs)


def _scratch(name: str, *shape: int) -> Tensor:
    """Memory of this thread, used again by its next call: fresh pages would cost as much as the arithmetic."""
    size = math.prod(shape)
    kept: Tensor | None = getattr(_memory, name, None)
    if kept is None or kept.numel() < size:
        kept = torch.empty(size)
        setattr(_memory, name, kept)
    return kept[:size].view(shape)
