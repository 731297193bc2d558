"""The processes of one training run: one alone, or as many as torchrun started."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed

from radcommons.errors import PathInUse, RadCommonsError, SettingRefused
from radcommons.folders import alone_in


@dataclass(frozen=True, slots=True)
class Distributed:
    """This process's place among all."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """True in the one process that writes files and progress."""
        return self.rank == 0

    def mean_gradients(self, network: torch.nn.Module) -> None:
        """Replace every gradient by its mean over the processes."""
        self._mean([p.grad for p in network.parameters() if p.grad is not None])

    def mean_buffers(self, network: torch.nn.Module) -> None:
        """Replace what batch norms remember by its mean over the processes, which each saw other images."""
        self._mean([b for b in network.buffers() if b.is_floating_point()])

    def _mean(self, tensors: list[torch.Tensor]) -> None:
        """Replace tensors by their means over the processes (one message)."""
        if self.size == 1:
            return
        joined = torch.cat([t.flatten() for t in tensors])
        distributed.all_reduce(joined)
        joined /= self.size
        pieces = joined.split([t.numel() for t in tensors])
        for tensor, piece in zip(tensors, pieces, strict=True):
            tensor.copy_(piece.view_as(tensor))

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """`values` added up over the processes; every process must ask."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def any(self, value: bool) -> bool:
        """True where any process says so; every process must ask."""
        if self.size == 1:
            return value
        flag = torch.tensor([float(value)], device=self.device)
        distributed.all_reduce(flag)
        return bool(flag.item() > 0)

    @contextmanager
    def alone_in(self, run: Path) -> Iterator[None]:
        """Let the first process hold the run's folder; every process raises what it is refused with."""
        refusal: RadCommonsError | None = None
        with ExitStack() as stack:
            if self.is_main:
                try:
                    stack.enter_context(alone_in(run, private=True))
                except RadCommonsError as error:
                    refusal = error
            if self.any(refusal is not None):
                raise refusal or PathInUse(f"{run} was refused to the first process")
            yield

    def require_divisible(self, batch_sizes: dict[int, int]) -> None:
        """Raise SettingRefused where a batch cannot be dealt out evenly in whole groups."""
        bad = {r: b for r, b in batch_sizes.items() if b % self.size}
        if bad:
            at, batch = next(iter(bad.items()))
            raise SettingRefused(
                f"batch_size at {at} is {batch}: not divisible by {self.size} processes; "
                f"pass --set batch_size.{at}={-(-batch // self.size) * self.size}"
            )


def autocast_in(precision: str, world: Distributed) -> Callable[[], AbstractContextManager[Any]]:
    """Opens mixed precision where "bf16" is asked for on a GPU, and nothing elsewhere."""
    if precision == "bf16" and world.device.type == "cuda":
        return lambda: torch.autocast("cuda", torch.bfloat16)
    return nullcontext


@contextmanager
def join() -> Iterator[Distributed]:
    """Enter the world that torchrun describes in the environment, or a world of one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    if size == 1:
        yield Distributed(0, 1, device)
        return
    distributed.init_process_group("nccl" if gpu else "gloo")
    try:
        yield Distributed(rank, size, device)
    finally:
        distributed.destroy_process_group()
