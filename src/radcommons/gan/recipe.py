"""What a family has to provide for its training, and a training in memory, without files.

`recipes` lists the families, `training` runs any of them.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import count, islice
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from radcommons.gan.batches import DataSummary, TrainingBatch
from radcommons.gan.gradients import Compute
from radcommons.gan.settings import TrainSettings
from radcommons.models.families.family import FamilyConfig


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run is.

    Attributes:
        step: steps taken.
        images_seen: real images shown, by all processes together.
        last_step_at: images seen when the last step began.
    """

    step: int = 0
    images_seen: int = 0
    last_step_at: int = 0

    def after(self, batch_size: int) -> "Position":
        """The position one step later."""
        return Position(self.step + 1, self.images_seen + batch_size, self.images_seen)


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a training with its own image side, batch size and learning rate.

    Attributes:
        first: images seen when it starts.
        stable: images seen when its fade-in is over; `first` if it has none.
        end: images seen when the next stage starts, or the run's end.
    """

    resolution: int
    first: int
    stable: int
    end: int
    batch_size: int
    learning_rate: float


class Training(Protocol):
    """The networks of a run, and how they learn. `images_seen` is the number of images shown before a step.

    Attributes:
        critic_steps: steps of the critic for one of the generator.
    """

    critic_steps: int

    def batch_at(self, images_seen: int) -> tuple[int, int]:
        """Images in the batch of the step, over all processes, and their side."""

    def step(self, position: Position, batch: TrainingBatch) -> dict[str, Tensor]:
        """Take one step; `batch` holds this process's images. Returns the losses and what they are made of."""

    def state(self) -> dict[str, Any]:
        """What, with the position, determines the rest of the run: tensors, numbers, text, dicts and lists of them.

        "critic" is the state of the family's critic: the audit attacks it.
        """

    def load_state(self, state: dict[str, Any]) -> None:
        """Put such a state back."""

    def ema_decay(self, images_seen: int, images: int) -> float:
        """How much the moving average keeps of itself when the generator learns once, from so many images."""

    def published(self, images_seen: int) -> tuple[nn.Module, FamilyConfig]:
        """The generator as it is published after that step, and its configuration; the network fits it."""

    def schedule_at(self, images_seen: int) -> dict[str, float]:
        """Numbers of the schedule for the log."""


@dataclass(frozen=True)
class Recipe:
    """How one family is trained.

    Attributes:
        settings: the settings of its training.
        stages: what the training will go through under such settings, in order.
        training: freshly initialised networks, from such settings and a summary of the films.
    """

    settings: type[TrainSettings]
    stages: Callable[[Any], list[Stage]]
    training: Callable[[Any, DataSummary, Compute], Training]


@dataclass(slots=True)
class TrainingState:
    """The networks of a training and its position."""

    family: str
    training: Training
    position: Position = Position()

    def state_dict(self) -> dict[str, Any]:
        """What determines the rest of the training. Its tensors are those in use: copy what you need later."""
        return {**asdict(self.position), **self.training.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self.position = Position(state["step"], state["images_seen"], state["last_step_at"])
        self.training.load_state(state)


def upcoming(
    training: Training, position: Position, *, end: int, first_film: int | None = None, sites: int = 1
) -> Iterator[tuple[int, int, int, int]]:
    """Every step from `position` until all sites together have seen `end` images.

    Args:
        first_film: how many of its own films this site has seen before; by default it is the only site.
        sites: number of sites that take each step together, with a batch each.
    Yields:
        Number of the step, number of its first film, films in the site's batch, and their side.
    """
    seen = position.images_seen
    film = seen if first_film is None else first_film
    for step in count(position.step):
        if seen >= end:
            return
        batch_size, resolution = training.batch_at(seen)
        yield step, film, batch_size, resolution
        seen, film = seen + sites * batch_size, film + batch_size


def advance(
    state: TrainingState, stream: Iterator[TrainingBatch], steps: int, *, sites: int = 1
) -> list[dict[str, Tensor]]:
    """Take up to `steps` steps, each with the next batch of the stream; `state` moves on.

    Args:
        sites: number of sites that take each step together, with a batch each.
    Returns:
        The numbers of each step: losses and what they are made of.
    """
    numbers = []
    for batch in islice(stream, steps):
        batch_size, _ = state.training.batch_at(state.position.images_seen)
        numbers.append(state.training.step(state.position, batch))
        state.position = state.position.after(sites * batch_size)
    return numbers


@torch.no_grad()
def update_ema(ema: nn.Module, network: nn.Module, decay: float) -> None:
    """ema <- decay ema + (1 - decay) network, for every parameter."""
    torch._foreach_lerp_(list(ema.parameters()), list(network.parameters()), 1 - decay)
