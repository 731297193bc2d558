"""The 3x3 convolutions of the networks on a CPU, each by the cheapest exact algorithm for its shape.

With enough channels that is Winograd's (1/4 of the arithmetic), otherwise `scaled_convolution`'s.

A convolution, its gradient by the input and its gradient by the weight are each other's derivatives. The second
derivatives that the gradient penalty needs therefore come from the same three functions.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from radcommons.models.cpu import winograd
from radcommons.models.scaled_convolution import fold, fold_adjoint

# Measured in benchmarks/convolution.py: below these, transforming the tiles costs more than it saves.
WINOGRAD_CHANNELS = 32
WINOGRAD_CHANNELS_SCALED = 64  # the folded form is the rival there

_mode = threading.local()


@contextmanager
def input_gradients_only() -> Iterator[None]:
    """Backward passes of this thread compute no gradients of weights, which the gradient penalty does not need.

    Autograd cannot say so to a custom function: it asks for the gradients of all inputs.
    """
    _mode.input_only = True
    try:
        yield
    finally:
        _mode.input_only = False


@dataclass(frozen=True, slots=True)
class Kernel:
    """A layer's weight as its form of the convolution needs it.

    Attributes:
        weight: (36, O, C) for Winograd's form, (O, C, 3, 3), (C, O, 4, 4) or (O, C, 4, 4) for the folded ones.
        winograd: which form.
        scale: what the layer's own weight (O, C, 3, 3) was multiplied by.
        up, down: 2 where the image is doubled before, or averaged over 2x2 pixels after.
        leak: slope below zero of the leaky ReLU that follows; 1 = none follows.
    """

    weight: Tensor
    winograd: bool
    scale: float
    up: int
    down: int
    leak: float


def make_kernel(weight: Tensor, scale: float, *, side: int, up: int, down: int, leak: float) -> Kernel:
    """Prepare a weight (O, C, 3, 3) for images of `side` pixels, in the form that was measured to be fastest."""
    weight = weight.detach()
    enough = WINOGRAD_CHANNELS if up == down == 1 else WINOGRAD_CHANNELS_SCALED
    if min(weight.shape[:2]) >= enough and side * up % 4 == 0:
        return Kernel(winograd.transform_weight(weight, scale), True, scale, up, down, leak)
    return Kernel(fold(weight * scale, up=up, down=down), False, scale, up, down, leak)


def convolve(x: Tensor, weight: Tensor, bias: Tensor, kernel: Kernel) -> Tensor:
    """The 3x3 convolution on a CPU in float32, differentiable twice.

    Args:
        x: (N, C, H, W), best in channels_last.
        weight: (O, C, 3, 3), the parameter that gradients are wanted of.
        bias: (O,).
        kernel: `make_kernel` of the same weight.
    Returns:
        (N, O, H * up / down, W * up / down), channels_last.
    """
    return _apply(_Forward, x, weight, bias, kernel)


def _apply(function: type[torch.autograd.Function], *inputs: Any) -> Tensor:
    result: Tensor = function.apply(*inputs)
    return result


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, kernel: Kernel) -> Tensor:
        y = run(x, bias, kernel)
        if bias is not None and kernel.leak != 1:
            F.leaky_relu_(y, kernel.leak)
        ctx.save_for_backward(x, weight, y)
        ctx.kernel = kernel
        ctx.activated = bias is not None and kernel.leak != 1
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, y = ctx.saved_tensors
        to_input, to_weight, to_bias = ctx.needs_input_grad[:3]
        input_only = getattr(_mode, "input_only", False)
        if ctx.activated:  # piecewise linear: y only says which piece
            gradient = torch.ops.aten.leaky_relu_backward(gradient, y.detach(), ctx.kernel.leak, True)
        return (
            _apply(_TowardsInput, gradient, weight, ctx.kernel) if to_input else None,
            _apply(_TowardsWeight, x, gradient, ctx.kernel) if to_weight and not input_only else None,
            gradient.sum((0, 2, 3)) if to_bias and not input_only else None,
            None,
        )


class _TowardsInput(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, kernel: Kernel) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.kernel = kernel
        return _towards_input(gradient, kernel)

    @staticmethod
    def backward(ctx: Any, x: Tensor) -> tuple[Tensor | None, ...]:
        gradient, weight = ctx.saved_tensors
        of_gradient = _apply(_Forward, x, weight, None, ctx.kernel) if ctx.needs_input_grad[0] else None
        of_weight = _apply(_TowardsWeight, x, gradient, ctx.kernel) if ctx.needs_input_grad[1] else None
        return of_gradient, of_weight, None


class _TowardsWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gradient: Tensor, kernel: Kernel) -> Tensor:
        return _towards_weight(x, gradient, kernel)

    @staticmethod
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor | None, ...]:
        raise NotImplementedError("the gradient of a weight's gradient")


def run(x: Tensor, bias: Tensor | None, kernel: Kernel) -> Tensor:
    """The convolution alone, without derivative and activation."""
    if kernel.winograd:
        return winograd.forward(x, kernel.weight, bias, kernel.up, kernel.down)
    x = _channels_last(x)
    if kernel.up == 2:
        return F.conv_transpose2d(x, kernel.weight, bias, stride=2, padding=1)
    return F.conv2d(x, kernel.weight, bias, stride=kernel.down, padding=1)


def _towards_input(gradient: Tensor, kernel: Kernel) -> Tensor:
    if kernel.winograd:
        return winograd.towards_input(gradient, kernel.weight, kernel.up, kernel.down)
    gradient = _channels_last(gradient)
    if kernel.up == 2:
        return F.conv2d(gradient, kernel.weight, stride=2, padding=1)
    return F.conv_transpose2d(gradient, kernel.weight, stride=kernel.down, padding=1)


def _towards_weight(x: Tensor, gradient: Tensor, kernel: Kernel) -> Tensor:
    up, down = kernel.up, kernel.down
    if kernel.winograd:
        return winograd.towards_weight(x, gradient, up, down, kernel.scale)
    stride = [up * down] * 2
    _, folded, _ = torch.ops.aten.convolution_backward(
        *(_channels_last(gradient), _channels_last(x), kernel.weight),
        *(None, stride, [1, 1], [1, 1], up == 2, [0, 0], 1),
        [False, True, False],
    )
    return fold_adjoint(folded, up=up, down=down) * kernel.scale


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
