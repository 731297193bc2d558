"""Mixed precision: where bf16 is worth it, found out by measuring."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
import torch.nn.functional as F

WORTH = 1.5  # times faster: below, fp32 with its own kernels is as good
ROUNDS = 5
Precision = Literal["fp32", "bf16"]
Asked = Literal["auto", "fp32", "bf16"]


def resolved(asked: str, device: torch.device, *, anywhere: Callable[[bool], bool] = bool) -> Precision:
    """ "fp32" or "bf16" as asked; for "auto" bf16 if it is fast.

    Args:
        anywhere: whether something holds in any process of a training; by default there is this one alone.
    """
    if asked != "auto":
        return "bf16" if asked == "bf16" else "fp32"
    return "fp32" if anywhere(not bf16_is_fast(device)) else "bf16"


def kept(asked: str, begun: Mapping[str, Any] | None) -> str:
    """What is asked for; for "auto" the "precision" of what was begun, or fp32 where that says nothing."""
    return asked if asked != "auto" or begun is None else str(begun.get("precision", "fp32"))


def bf16_is_fast(device: torch.device) -> bool:
    """Whether a convolution in bf16 takes at most 1 / WORTH of the time in fp32 here; a fraction of a second.

    The name of a processor or its flags do not say it: some have the instructions and no speed.
    """
    if device.type == "cuda":
        supported: bool = torch.cuda.is_bf16_supported(including_emulation=False)
        return supported
    times = {}
    for dtype in (torch.float32, torch.bfloat16):
        x, weight = (torch.randn(shape, dtype=dtype) for shape in ((8, 64, 32, 32), (64, 64, 3, 3)))
        x, weight = (t.to(memory_format=torch.channels_last) for t in (x, weight))
        seconds = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            F.conv2d(x, weight, padding=1)
            seconds.append(time.perf_counter() - started)
        times[dtype] = min(seconds)  # the first prepares the kernel
    return times[torch.float32] >= WORTH * times[torch.bfloat16]


def autocast_in(precision: str, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """Opens mixed precision for "bf16"; otherwise a block that changes nothing."""
    if precision == "bf16":
        return lambda: torch.autocast(device.type, torch.bfloat16)
    return nullcontext
