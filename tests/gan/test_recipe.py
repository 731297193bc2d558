"""A training in rounds, from state dict to state dict, as federated learning takes it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from radcommons.data.store import Store
from radcommons.gan import training
from radcommons.gan.gradients import Compute, open_compute
from radcommons.gan.recipe import TrainingState, advance
from radcommons.gan.recipes import RECIPES
from radcommons.gan.settings import TrainSettings
from radcommons.runs import checkpoint
from radcommons.runs.distributed import Distributed

Tiny = Callable[..., TrainSettings]
ALONE = Distributed(0, 1, torch.device("cpu"))


def begin(settings: TrainSettings, source: training.Source, compute: Compute) -> TrainingState:
    """The state before the first step."""
    return TrainingState("progan", RECIPES["progan"].training(settings, source.batches.summary(), compute))


def one_round(store: Store, settings: TrainSettings, begun: dict[str, Any] | None, steps: int) -> dict[str, Any]:
    """`steps` local steps on a store; the state that they end with."""
    source = training.open_source(store, settings, ALONE)
    with open_compute(settings.precision, ALONE) as compute:
        state = begin(settings, source, compute)
        if begun is not None:
            state.load_state_dict(begun)
        at = state.position
        stream = source.batches.stream(state.training.batch_at, at.step, at.images_seen, end=settings.total_images)
        numbers = advance(state, stream, steps)
        stream.close()
    assert len(numbers) == steps and all("critic_loss" in of_step for of_step in numbers)
    return copy.deepcopy(state.state_dict())


def test_rounds_from_state_to_state_are_one_training_to_the_bit(
    phantom_store: Store, tiny: Tiny, tmp_path: Path
) -> None:
    settings = tiny()
    state = None
    for steps in (7, 5, 8):
        state = one_round(phantom_store, settings, state, steps)
    training.train(phantom_store, settings, tmp_path / "run")
    loaded = checkpoint.load(tmp_path / "run", torch.device("cpu"))
    assert loaded is not None and state is not None
    del loaded[0]["manifest_sha256"], loaded[0]["precision"]
    assert checkpoint.digest(dict(sorted(state.items()))) == checkpoint.digest(dict(sorted(loaded[0].items())))


def test_the_end_of_a_training_ends_a_round(phantom_store: Store, tiny: Tiny) -> None:
    settings = tiny(total_images=16)
    source = training.open_source(phantom_store, settings, ALONE)
    with open_compute("fp32", ALONE) as compute:
        state = begin(settings, source, compute)
        stream = source.batches.stream(state.training.batch_at, 0, 0, end=settings.total_images)
        assert len(advance(state, stream, 99)) == 2
    assert state.position.images_seen == 16


def test_a_checkpoint_that_names_the_ema_average_is_read(phantom_store: Store, tiny: Tiny) -> None:
    state = one_round(phantom_store, tiny(), None, 3)
    old = {**state, "average": state["ema"]}
    del old["ema"]
    for network, heads in (("generator", "to_rgb."), ("average", "to_rgb."), ("critic", "from_rgb.")):
        old[network] = {name.replace(heads, "heads."): value for name, value in old[network].items()}
    ends = [checkpoint.digest(one_round(phantom_store, tiny(), begun, 2)) for begun in (state, old)]
    assert ends[0] == ends[1]
