"""What a client does in a round: some steps of the usual training on its own films; no Flower here."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from radcommons.errors import TrainingDiverged
from radcommons.federated.settings import FederatedSettings
from radcommons.gan.batches import DataSummary
from radcommons.gan.gradients import Compute
from radcommons.gan.recipe import Position, Training, TrainingState, advance, upcoming
from radcommons.gan.recipes import RECIPES
from radcommons.gan.training import Source, means_of
from radcommons.models.families import FAMILIES
from radcommons.seeds import derive

Weights = dict[str, dict[str, Tensor]]  # parameters of "generator" and, where it travels, "critic", by name


class Asked(BaseModel):
    """The settings under which a client is asked to take part."""

    settings: FederatedSettings


class Order(Asked):
    """What a server asks of its clients in a round.

    Attributes:
        training: identifier; what a client kept from another training is not used.
        numbers: number of each client, by the identifier of its node; its random numbers follow from it.
        position: where the training is; images of all clients count.
        films, label_means: of all clients together.
        sites: number of clients that take part in the round.
    """

    training: str = ""
    findings: tuple[str, ...]
    films: int
    label_means: tuple[float, ...]
    round: int
    position: Position
    sites: int
    numbers: dict[int, int]

    @property
    def summary(self) -> DataSummary:
        """What a training needs to know of all films."""
        return DataSummary(self.films, self.label_means)


@dataclass(frozen=True)
class Kept:
    """What a client keeps from one round to the next.

    Attributes:
        round: after which it was so.
        films: number of its own films that it has shown.
        last_step_at: images that all clients had seen when its last step began.
        critic, optimisers: states; None where the settings keep none.
    """

    round: int
    films: int
    last_step_at: int
    critic: dict[str, Any] | None
    optimisers: dict[str, Any] | None


def weights_of(state: dict[str, Any], settings: FederatedSettings, findings: int) -> Weights:
    """The weights that travel, of a training's state: what is learned; all else follows from the settings."""
    family = FAMILIES[settings.train.family]
    with torch.device("meta"):
        config = settings.train.network(findings)
        networks: dict[str, nn.Module] = {"generator": family.generator(config)}
        if settings.share == "both":
            networks["critic"] = family.critic(config)
    return {
        kind: {name: state[kind][name] for name, _ in network.named_parameters()} for kind, network in networks.items()
    }


def seed_of(settings: FederatedSettings, number: int) -> int:
    """The root of the random numbers of a client's batches; the first client has those of a training alone."""
    return settings.train.seed if number == 0 else derive(settings.train.seed, "client", number)


def local_round(
    order: Order,
    weights: Weights,
    kept: Kept | None,
    source: Source,
    compute: Compute,
    allow: Callable[[int], None] = lambda films: None,
) -> tuple[Weights, Kept, int, dict[str, float]]:
    """Train on a client's films from the weights of all, and give back what they became.

    Args:
        weights: not changed.
        kept: what this client kept from its last round; None in its first.
        source: this client's films; its seed as `seed_of`.
        allow: called with the number of films that will be shown; raises SettingRefused if they are too many.
    Returns:
        The weights, what to keep, the number of films shown, and the mean of each number of the steps.
    Raises:
        TrainingDiverged: the losses are not finite.
    """
    settings = order.settings
    training = RECIPES[settings.train.family].training(settings.train, order.summary, compute)
    begun = training.state()
    at_home = kept.critic if kept and kept.critic else {}
    training.load_state(
        {
            "generator": begun["generator"] | weights["generator"],
            "critic": begun["critic"] | at_home | weights.get("critic", {}),
            "ema": begun["ema"],
            "optimisers": kept.optimisers if kept and kept.optimisers else begun["optimisers"],
        }
    )
    before = kept.films if kept else 0
    position = replace(order.position, last_step_at=kept.last_step_at) if kept else order.position
    state = TrainingState(settings.train.family, training, position)
    steps = list(round_steps(settings, training, order.position, order.sites, before))
    films = sum(batch for _, _, batch, _ in steps)
    allow(films)
    stream = source.batches.stream(iter(steps))
    numbers = means_of(advance(state, stream, len(steps), sites=order.sites))
    if not all(map(math.isfinite, numbers.values())):
        raise TrainingDiverged("the losses of this round are not finite")
    after = training.state()
    keeps = Kept(
        round=order.round,
        films=before + films,
        last_step_at=state.position.last_step_at,
        critic=after["critic"] if settings.share == "generator" else None,
        optimisers=after["optimisers"] if settings.optimisers == "kept" else None,
    )
    return weights_of(after, settings, len(order.findings)), keeps, films, numbers


def round_steps(
    settings: FederatedSettings, training: Training, position: Position, sites: int, films_before: int = 0
) -> list[tuple[int, int, int, int]]:
    """The steps of one client in a round, as `gan.recipe.upcoming` lists them; the last round may be shorter."""
    most = settings.local_iterations * training.critic_steps
    ahead = upcoming(training, position, end=settings.train.total_images, first_film=films_before, sites=sites)
    return [step for step, _ in zip(ahead, range(most), strict=False)]


def after_round(
    settings: FederatedSettings, training: Training, position: Position, sites: int, counted: int
) -> Position:
    """Where the training is after a round of `sites` clients of which the images of `counted` count."""
    steps = round_steps(settings, training, position, sites)
    images_seen = position.images_seen + counted * sum(batch for _, _, batch, _ in steps)
    return Position(position.step + len(steps), images_seen, images_seen - counted * steps[-1][2])


@torch.no_grad()
def move_ema(
    ema: dict[str, Tensor],
    generator: dict[str, Tensor],
    settings: FederatedSettings,
    training: Training,
    position: Position,
    sites: int,
) -> None:
    """Move the server's average towards the new weights, as far as the steps of a round would have."""
    decay, seen = 1.0, position.images_seen
    steps = round_steps(settings, training, position, sites)
    for step, _, batch, _ in steps:
        if (step + 1) % training.critic_steps == 0:
            decay *= training.ema_decay(seen, sites * batch * training.critic_steps)
        seen += sites * batch
    for name, value in generator.items():
        ema[name].lerp_(value, 1 - decay)
