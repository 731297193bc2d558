"""A training in memory: what it is trained with, where it stands, and steps that take it on. No files."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch import Tensor

from radcommons.gan.batches import TrainingBatch
from radcommons.gan.gradients import Compute
from radcommons.gan.recipe import Position, Training
from radcommons.gan.recipes import RECIPES
from radcommons.gan.settings import TrainSettings


@dataclass(slots=True)
class TrainingState:
    """The networks of a training and its position."""

    family: str
    training: Training
    position: Position

    @classmethod
    def begin(cls, settings: TrainSettings, findings: int, compute: Compute) -> "TrainingState":
        """The state before the first step; the initial weights depend on the seed only."""
        training = RECIPES[settings.family].training(settings, findings, compute)
        return cls(settings.family, training, Position())

    def state_dict(self) -> dict[str, Any]:
        """What determines the rest of the training. Its tensors are those in use: copy what has to outlast a step."""
        at = self.position
        return {
            "step": at.step,
            "images_seen": at.images_seen,
            "last_step_at": at.last_step_at,
            **self.training.state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self.position = Position(state["step"], state["images_seen"], state["last_step_at"])
        self.training.load_state(state)


def advance(state: TrainingState, stream: Iterator[TrainingBatch], steps: int) -> list[dict[str, Tensor]]:
    """Take up to `steps` steps, each with the next batch of the stream; `state` moves on.

    Returns:
        The numbers of each step: losses and what they are made of.
    """
    numbers = []
    for batch in islice(stream, steps):
        batch_size, _ = state.training.batch_at(state.position.images_seen)
        numbers.append(state.training.step(state.position, batch))
        state.position = state.position.after(batch_size)
    return numbers
