"""A training in rounds, from state dict to state dict, as federated learning takes it."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from radcommons.data.store import Store
from radcommons.gan import training
from radcommons.gan.batches import RANDOM, DataSummary, TrainingBatch
from radcommons.gan.gradients import Compute, open_compute
from radcommons.gan.recipe import Position, TrainingState, advance, upcoming
from radcommons.gan.recipes import RECIPES, parse_settings
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
        stream = source.batches.stream(upcoming(state.training, at, end=settings.total_images))
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


def small(family: str, **changes: object) -> TrainSettings:
    """Settings of either family at 16 pixels, of 20 steps of 8 images."""
    values: dict[str, object] = {"channels": {4: 6, 8: 5, 16: 4}, "resolution": 16, "latent_size": 5}
    values |= {"total_images": 160, "batch_size": 8, "learning_rate": 0.002, "last_learning_rate": 0.002}
    if family == "progan":
        del values["last_learning_rate"]
        values |= {"batch_size": {4: 8, 8: 8, 16: 8}, "learning_rate": {4: 0.002}, "images_per_phase": 8}
    return parse_settings({"family": family, **values, **changes}, source="test")


def three_steps(
    store: Store, settings: TrainSettings, device: torch.device
) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """The numbers of three steps at the full resolution, and where they end, on the CPU."""
    distributed = Distributed(0, 1, device)
    source = training.open_source(store, settings, distributed)
    with open_compute(settings.precision, distributed) as compute:
        trained = RECIPES[settings.family].training(settings, source.batches.summary(), compute)
        state = TrainingState(settings.family, trained, Position(step=12, images_seen=96, last_step_at=88))
        stream = source.batches.stream(upcoming(state.training, Position(12, 96), end=settings.total_images))
        numbers = advance(state, stream, 3)
        stream.close()
    tensors = {key: state.training.state()[key] for key in ("generator", "critic", "ema")}
    assert {value.device.type for network in tensors.values() for value in network.values()} == {device.type}
    return [{name: float(number) for name, number in step.items()} for step in numbers], tensors


@pytest.mark.parametrize("family", RECIPES)
def test_every_device_takes_the_steps_of_the_plain_formulas(
    family: str, phantom_store: Store, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small(family)
    numbers, end = three_steps(phantom_store, settings, device)
    monkeypatch.setattr("radcommons.models.cpu.suits", lambda x: False)
    expected_numbers, expected = three_steps(phantom_store, settings, torch.device("cpu"))
    assert numbers[0] == pytest.approx(expected_numbers[0], rel=1e-3, abs=1e-5), "before Adam has magnified rounding"
    assert numbers[2] == pytest.approx(expected_numbers[2], rel=0.05, abs=0.01)
    for network, values in expected.items():
        for name, value in values.items():
            off = (end[network][name].cpu() - value).abs().mean()
            assert off < 0.1 * 0.002, f"{network} {name}: Adam may turn a gradient of nothing but rounding either way"


@pytest.mark.parametrize("family", RECIPES)
def test_every_tensor_of_a_step_is_on_the_device_of_its_batch(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On torch's device without numbers, which like a GPU refuses what lies on the CPU. It has no autocast or Adam."""
    meta = torch.device("meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch.optim, "Adam", lambda parameters, **_: torch.optim.SGD(parameters))
    settings = small(family)
    with open_compute("fp32", Distributed(0, 1, meta)) as compute:
        trained = RECIPES[family].training(settings, DataSummary(100, (0.5, 0.1)), compute)
        sizes = ((8, 1, 16, 16), (8, 2), (8, settings.latent_size), (8, 2), (8,), (8, RANDOM))
        for seen in (64, 96):  # while 16 pixels fade in (progan), and after
            batch = TrainingBatch(*(torch.empty(size, device=meta) for size in sizes))
            numbers = trained.step(Position(seen // 8, seen, seen), batch)
            assert len(numbers) >= 4 and all(number.device == meta for number in numbers.values())


def test_the_end_of_a_training_ends_a_round(phantom_store: Store, tiny: Tiny) -> None:
    settings = tiny(total_images=16)
    source = training.open_source(phantom_store, settings, ALONE)
    with open_compute("fp32", ALONE) as compute:
        state = begin(settings, source, compute)
        stream = source.batches.stream(upcoming(state.training, state.position, end=settings.total_images))
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
