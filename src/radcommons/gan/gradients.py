"""Gradients of a step, averaged over the threads of this process and over all processes.

On a CPU each of T threads takes every T-th image of the batch through the networks. This beats splitting every
operation over the cores: the threads wait for each other once in a step, not a thousand times, and each core works on
images that fit its cache.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from radcommons.models.layers import unchanging
from radcommons.precision import autocast_in
from radcommons.runs.distributed import Distributed
from radcommons.threads import Pool, open_pool

WORTH_A_THREAD = 6e9  # FLOPs, plainly counted: below, starting the operations takes longer than doing them

Numbers = dict[str, Tensor]
P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Compute:
    """What a step is computed with: the processes, the precision, and the threads of this process (None for one)."""

    distributed: Distributed
    autocast: Callable[[], AbstractContextManager[Any]]
    pool: Pool | None

    def threads_worth(self, flops: float) -> int:
        """How many threads a step of so many FLOPs is worth."""
        count = self.pool.count if self.pool else 1
        return min(count, max(1, int(flops / WORTH_A_THREAD)))

    def map(self, function: Callable[[P], R], parts: Sequence[P], *, unchanged: nn.Module) -> list[R]:
        """The function's result for each part of a batch, each on its own thread.

        Args:
            unchanged: a network whose weights stay as they are meanwhile.
        """
        with unchanging(unchanged):
            if self.pool is None or len(parts) == 1:
                return [function(part) for part in parts]
            cores = self.pool.count // len(parts)

            def run(part: P) -> R:
                torch.set_num_threads(cores)
                return function(part)

            return list(self.pool.map(run, parts))


@contextmanager
def open_compute(precision: str, distributed: Distributed) -> Iterator[Compute]:
    """Threads and precision of a training, until the end of the block: as many threads as torch has, one on a GPU."""
    autocast, count = autocast_in(precision, distributed.device), torch.get_num_threads()
    if distributed.device.type != "cpu" or count == 1:
        yield Compute(distributed, autocast, None)
        return
    with open_pool(count) as pool:
        yield Compute(distributed, autocast, pool)


def compute_gradients(
    network: nn.Module,
    loss: Callable[[P], tuple[Tensor, Numbers]],
    parts: Sequence[P],
    compute: Compute,
    *,
    through: nn.Module | None = None,
) -> Numbers:
    """Give every parameter of a network the gradient of the mean loss.

    Args:
        loss: of one part of the batch: the loss, and numbers for the log; runs on one of the threads.
        parts: of this process's batch, equally large.
        through: another network that the loss runs through; it gets no gradients. By default the loss runs through
            `network` alone.
    Returns:
        Means of the numbers over the parts.
    """
    parameters = list(network.parameters())

    def of_part(part: P) -> tuple[tuple[Tensor | None, ...], Numbers]:
        with compute.autocast():
            value, numbers = loss(part)
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        return gradients, {name: number.detach() for name, number in numbers.items()}

    if through is not None:
        through.requires_grad_(False)
    gradients, numbers = zip(*compute.map(of_part, parts, unchanged=through or network), strict=True)
    if through is not None:
        through.requires_grad_(True)
    set_mean_gradients(network, gradients)
    compute.distributed.mean_gradients(network)
    return {name: torch.stack([part[name] for part in numbers]).mean() for name in numbers[0]}


def set_mean_gradients(network: nn.Module, gradients: Sequence[tuple[Tensor | None, ...]]) -> None:
    """Give every parameter the mean of its gradients over the parts; None where no part has one.

    The gradient lies in memory in the order of its parameter: the fused Adam goes through both side by side, and pairs
    the wrong numbers (on a CPU) or refuses (on a GPU) where channels come first in one and last in the other.
    """
    for parameter, *pieces in zip(network.parameters(), *gradients, strict=True):
        present = [piece for piece in pieces if piece is not None]
        if not present:
            parameter.grad = None
            continue
        total = present[0]
        for piece in present[1:]:
            total = total.add_(piece)
        mean = total.div_(len(pieces)) if len(pieces) > 1 else total
        parameter.grad = mean if mean.stride() == parameter.stride() else torch.empty_like(parameter).copy_(mean)
