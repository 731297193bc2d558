"""The threads of one training process: each takes every T-th image of the batch through the networks on its own.

On a CPU this beats splitting every operation over the cores: the parts meet once a step, not a thousand times, and
each core works on images that fit its cache. The gradients of the parts are averaged as those of processes are.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from radcommons.models.layers import stddev_group
from radcommons.threads import Pool, open_pool

WORTH_A_THREAD = 6e9  # FLOPs, plainly counted: below, starting the operations takes longer than doing them

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Threads:
    """`count` threads; None for `pool` where there is one."""

    count: int
    pool: Pool | None

    def parts(self, batch: int, flops: float) -> int:
        """In how many parts a batch is dealt out.

        As many as leave the groups of the minibatch deviation whole and are worth a thread; `flops` of the step.
        """
        most = min(self.count, max(1, int(flops / WORTH_A_THREAD)))
        return max(
            parts
            for parts in range(1, most + 1)
            if batch % parts == 0 and stddev_group(batch // parts) == stddev_group(batch)
        )

    def map(self, function: Callable[[T], R], parts: list[T]) -> list[R]:
        """The function's results, one a part; each part runs on a thread of its own."""
        if self.pool is None or len(parts) == 1:
            return [function(part) for part in parts]
        threads = self.count // len(parts)

        def run(part: T) -> R:
            torch.set_num_threads(threads)
            return function(part)

        return list(self.pool.map(run, parts))


@contextmanager
def open_threads(device: torch.device, count: int | None = None) -> Iterator[Threads]:
    """As many threads as torch has, one on a GPU, until the end of the block."""
    count = count or torch.get_num_threads()
    if device.type != "cpu" or count == 1:
        yield Threads(1, None)
        return
    with open_pool(count) as pool:
        yield Threads(count, pool)


def set_mean_gradients(network: torch.nn.Module, gradients: list[tuple[Tensor | None, ...]]) -> None:
    """Give every parameter the mean of its gradients over the parts; None where no part has one."""
    for parameter, *pieces in zip(network.parameters(), *gradients, strict=True):
        present = [piece for piece in pieces if piece is not None]
        if not present:
            parameter.grad = None
            continue
        total = present[0]
        for piece in present[1:]:
            total = total.add_(piece)
        parameter.grad = total.div_(len(pieces)) if len(pieces) > 1 else total
