"""The processes of one training run: one alone, or as many as torchrun started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as distributed

from radcommons.errors import SettingRefused


@dataclass(frozen=True, slots=True)
class World:
    """This process's place among all."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """True in the one process that writes files and progress."""
        return self.rank == 0

    def mean_gradients(self, network: torch.nn.Module) -> None:
        """Replace every gradient by its mean over the processes (one message)."""
        if self.size == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        joined = torch.cat([g.flatten() for g in gradients])
        distributed.all_reduce(joined)
        joined /= self.size
        pieces = joined.split([g.numel() for g in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))

    def any(self, value: bool) -> bool:
        """True where any process says so; every process must ask."""
        if self.size == 1:
            return value
        flag = torch.tensor([float(value)], device=self.device)
        distributed.all_reduce(flag)
        return bool(flag.item() > 0)

    def require_divisible(self, batch_sizes: dict[int, int]) -> None:
        """Raise SettingRefused where a batch cannot be dealt out evenly in whole groups."""
        bad = {r: b for r, b in batch_sizes.items() if b % self.size}
        if bad:
            at, batch = next(iter(bad.items()))
            raise SettingRefused(
                f"batch_size at {at} is {batch}: not divisible by {self.size} processes; "
                f"pass --set batch_size.{at}={-(-batch // self.size) * self.size}"
            )


@contextmanager
def join() -> Iterator[World]:
    """Enter the world that torchrun describes in the environment, or a world of one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    if size == 1:
        yield World(0, 1, device)
        return
    distributed.init_process_group("nccl" if gpu else "gloo")
    try:
        yield World(rank, size, device)
    finally:
        distributed.destroy_process_group()
