"""Gradients of a step: on the threads of this process, averaged over its parts of the batch and over all processes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from radcommons.gan.threads import Threads, open_threads, set_mean_gradients
from radcommons.models.layers import unchanging
from radcommons.runs.distributed import Distributed, autocast_in

Numbers = dict[str, Tensor]
P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Compute:
    """What a step is computed with: the processes, the threads of this one, and the precision."""

    distributed: Distributed
    threads: Threads
    autocast: Callable[[], AbstractContextManager[Any]]

    def map(self, function: Callable[[P], R], parts: Sequence[P], *, unchanged: nn.Module) -> list[R]:
        """The function's result for each part of a batch; the weights of `unchanged` stay as they are meanwhile."""

        def run(part: P) -> R:
            with self.autocast():
                return function(part)

        with unchanging(unchanged):
            return self.threads.map(run, list(parts))


@contextmanager
def open_compute(precision: str, distributed: Distributed) -> Iterator[Compute]:
    """Threads and precision of a training, until the end of the block."""
    with open_threads(distributed.device) as threads:
        yield Compute(distributed, threads, autocast_in(precision, distributed))


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
        loss: of one part of the batch: the loss, and numbers for the log; runs on a thread of its own.
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

    used = network if through is None else through
    if through is not None:
        through.requires_grad_(False)
    with unchanging(used):
        gradients, numbers = zip(*compute.threads.map(of_part, list(parts)), strict=True)
    if through is not None:
        through.requires_grad_(True)
    set_mean_gradients(network, list(gradients))
    compute.distributed.mean_gradients(network)
    return {name: torch.stack([part[name] for part in numbers]).mean() for name in numbers[0]}
