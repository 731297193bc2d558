"""The processes of one training run: one alone, or as many as torchrun started."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist

from radcommons.errors import PathInUse, RadCommonsError, SettingRefused
from radcommons.folders import alone_in


@dataclass(frozen=True, slots=True)
class Distributed:
    """This process's place among all."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    @contextmanager
    def init(cls) -> Iterator["Distributed"]:
        """Join the processes that torchrun describes in the environment; without torchrun there is only this one."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        rank = int(os.environ.get("RANK", "0"))
        gpu = torch.cuda.is_available()
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")
        if gpu:
            torch.cuda.set_device(device)
        if size == 1:
            yield cls(0, 1, device)
            return
        dist.init_process_group("nccl" if gpu else "gloo")
        try:
            yield cls(rank, size, device)
        finally:
            dist.destroy_process_group()

    @property
    def is_main(self) -> bool:
        """True in the one process that writes files and progress."""
        return self.rank == 0

    def mean_gradients(self, network: torch.nn.Module) -> None:
        """Replace every gradient by its mean over the processes."""
        self._mean([p.grad for p in network.parameters() if p.grad is not None])

    def mean_buffers(self, network: torch.nn.Module) -> None:
        """Replace the running statistics of batch norms by their means over the processes."""
        self._mean([b for b in network.buffers() if b.is_floating_point()])

    def _mean(self, tensors: list[torch.Tensor]) -> None:
        """Replace tensors by their means over the processes (one message)."""
        if self.size == 1:
            return
        together = torch.cat([t.flatten() for t in tensors])
        dist.all_reduce(together)
        together /= self.size
        pieces = together.split([t.numel() for t in tensors])
        for tensor, piece in zip(tensors, pieces, strict=True):
            tensor.copy_(piece.view_as(tensor))

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """`values` added up over the processes; every process must call it."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def any(self, value: bool) -> bool:
        """True if it is true in any process; every process must call it."""
        if self.size == 1:
            return value
        flag = torch.tensor([float(value)], device=self.device)
        dist.all_reduce(flag)
        return bool(flag.item() > 0)

    @contextmanager
    def alone_in(self, run: Path) -> Iterator[None]:
        """The main process holds the run's folder; if it is refused, every process raises the error."""
        refusal: RadCommonsError | None = None
        with ExitStack() as stack:
            if self.is_main:
                try:
                    stack.enter_context(alone_in(run, private=True))
                except RadCommonsError as error:
                    refusal = error
            if self.any(refusal is not None):
                raise refusal or PathInUse(f"{run} was refused to the main process")
            yield

    def require_divisible(self, batch_sizes: dict[int, int]) -> None:
        """Raise SettingRefused if a batch cannot be divided evenly among the processes."""
        bad = {r: b for r, b in batch_sizes.items() if b % self.size}
        if bad:
            at, batch = next(iter(bad.items()))
            raise SettingRefused(
                f"batch_size at {at} is {batch}: not divisible by {self.size} processes; "
                f"pass --set batch_size.{at}={-(-batch // self.size) * self.size}"
            )
