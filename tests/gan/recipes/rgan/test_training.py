import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import MonkeyPatch

from radcommons.data.store import Store
from radcommons.errors import SettingRefused
from radcommons.gan import plan, training
from radcommons.gan.batches import DataSummary
from radcommons.gan.gradients import Compute
from radcommons.gan.recipe import TrainingState, advance, upcoming
from radcommons.gan.recipes import RECIPES, load_settings
from radcommons.gan.recipes.rgan.settings import RganSettings
from radcommons.gan.recipes.rgan.training import RganTraining, falling, weakened
from radcommons.models.generator import Generator, LabelChoice
from radcommons.precision import autocast_in
from radcommons.runs import checkpoint
from radcommons.runs.distributed import Distributed
from radcommons.threads import Pool, open_pool

ALONE = Distributed(0, 1, torch.device("cpu"))
ON_ONE_THREAD = Compute(ALONE, autocast_in("fp32", ALONE.device), None)


def tiny(**changes: object) -> RganSettings:
    """Settings of a run that takes a second: 16 pixels, a few channels, batches of 8."""
    values: dict[str, object] = {
        "total_images": 160,
        "resolution": 16,
        "channels": {4: 6, 8: 5, 16: 4},
        "latent_size": 5,
        "noise": [16],
        "batch_size": 8,
        "checkpoint_every": 40,
        "samples_every": 80,
        "log_every": 16,
    }
    return RganSettings.model_validate({**values, **changes})


def state_after(store: Store, settings: RganSettings, steps: int, pool: Pool | None = None) -> dict[str, object]:
    source = training.open_source(store, settings, ALONE)
    compute = Compute(ALONE, autocast_in(settings.precision, ALONE.device), pool)
    state = TrainingState("rgan", RECIPES["rgan"].training(settings, source.batches.summary(), compute))
    stream = source.batches.stream(upcoming(state.training, state.position, end=settings.total_images))
    advance(state, stream, steps)
    stream.close()
    return copy.deepcopy(state.state_dict())


def test_it_trains_resumes_to_the_bit_and_samples(phantom_store: Store, tmp_path: Path) -> None:
    settings = tiny()
    outcome = training.train(phantom_store, settings, tmp_path / "whole")
    assert outcome.finished and outcome.resolution == 16
    calls = 0

    def should_stop() -> bool:
        nonlocal calls
        calls += 1
        return calls == 7

    assert not training.train(phantom_store, settings, tmp_path / "parts", should_stop=should_stop).finished
    assert training.train(phantom_store, load_settings(tmp_path / "parts/config.toml"), tmp_path / "parts").finished
    states = [checkpoint.load(tmp_path / run, torch.device("cpu")) for run in ("whole", "parts")]
    assert len({checkpoint.digest(state[0]) for state in states if state is not None}) == 1

    generator = Generator.load(tmp_path / "whole", device="cpu")
    assert generator.config.latent_size == 5 + 256
    drawn = generator.generate(6, seed=1)
    inputs = generator.inputs(range(6), LabelChoice(), 1)
    expected = generator.network(*map(torch.from_numpy, inputs))
    np.testing.assert_allclose(drawn.images, (127.5 * (expected[:, 0] + 1)).clip(0, 255), atol=0.51)


def test_the_networks_know_the_mean_labels_of_the_training_part(phantom_store: Store, tmp_path: Path) -> None:
    training.train(phantom_store, tiny(total_images=8), tmp_path / "run")
    generator = Generator.load(tmp_path / "run", device="cpu")
    columns = [phantom_store.findings.index(finding) for finding in generator.findings]
    means = np.nanmean(phantom_store.labels(phantom_store.rows("train"))[:, columns], axis=0)
    np.testing.assert_allclose(generator.network.label_means, means, atol=1e-6)


def test_two_parts_of_a_batch_give_the_gradients_of_the_whole(phantom_store: Store, monkeypatch: MonkeyPatch) -> None:
    """Nothing depends on the rest of the batch. Adam's second moment after one step is the squared gradient."""
    squares = []
    with open_pool(2) as pool:
        for parts in (1, 2):
            monkeypatch.setattr(Compute, "threads_worth", lambda self, flops, parts=parts: parts)
            optimisers = state_after(phantom_store, tiny(), 1, pool)["optimisers"]
            kept = [optimisers[name]["state"] for name in ("critic", "generator")]  # type: ignore[index]
            squares.append([moments["exp_avg_sq"] for state in kept for moments in state.values()])
    assert sum(bool((square > 0).any()) for square in squares[0]) > 40
    for whole, halves in zip(*squares, strict=True):
        torch.testing.assert_close(halves, whole, rtol=1e-3, atol=1e-3 * float(whole.max()))


def test_auto_is_decided_once_for_a_run(phantom_store: Store, tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    settings = tiny(precision="auto", total_images=80)
    monkeypatch.setattr("radcommons.precision.bf16_is_fast", lambda device: True)
    steps = iter([False, False, True])
    assert not training.train(phantom_store, settings, tmp_path / "run", should_stop=lambda: next(steps)).finished
    monkeypatch.setattr("radcommons.precision.bf16_is_fast", lambda device: False)
    assert training.train(phantom_store, settings, tmp_path / "run").finished
    loaded = checkpoint.load(tmp_path / "run", torch.device("cpu"))
    assert loaded is not None and loaded[0]["precision"] == "bf16"


def test_bf16_is_near_to_fp32_and_keeps_weights_in_fp32(phantom_store: Store) -> None:
    states = [state_after(phantom_store, tiny(precision=precision), 3) for precision in ("fp32", "bf16")]
    full, half = (state["generator"] for state in states)
    assert all(value.dtype == torch.float32 for value in half.values())  # type: ignore[attr-defined]
    moved = [float((full[name] - half[name]).abs().max()) for name in full]  # type: ignore[index,attr-defined]
    assert 0 < max(moved) < 0.05


@pytest.mark.parametrize(
    ("share", "rate", "gamma", "strength"),
    [(0.0, 0.004, 0.08, 0.0), (0.25, None, None, 0.0), (0.375, None, None, 0.5), (0.5, 0.0025, 0.045, 1.0)],
)
def test_the_schedule(
    phantom_store: Store, share: float, rate: float | None, gamma: float | None, strength: float
) -> None:
    settings = tiny(total_images=1600)
    source = training.open_source(phantom_store, settings, ALONE)
    found = RECIPES["rgan"].training(settings, source.batches.summary(), ON_ONE_THREAD).schedule_at(round(1600 * share))
    assert found["label_strength"] == pytest.approx(strength)
    assert rate is None or found["learning_rate"] == pytest.approx(rate)
    assert gamma is None or found["gamma"] == pytest.approx(gamma)


def test_a_quarter_of_the_labels_is_moved_towards_the_mean() -> None:
    means, labels = torch.tensor([0.2, 0.5]), torch.tensor([[1.0, torch.nan]]).repeat(4, 1)
    found = weakened(labels, means, torch.tensor([0.0, 0.125, 0.25, 0.9]))
    torch.testing.assert_close(found, torch.tensor([[0.2, 0.5], [0.6, 0.5], [1.0, 0.5], [1.0, 0.5]]))


def test_falling_and_the_moving_average_by_hand() -> None:
    assert falling(3.0, 1.0, 0.0) == 3.0 and falling(3.0, 1.0, 1.0) == 1.0 and falling(3.0, 1.0, 0.5) == 2.0
    training = RganTraining(tiny(ema_half_life=1000), DataSummary(100, (0.5,)), ON_ONE_THREAD)
    assert training.ema_decay(10**6, 8) == pytest.approx(0.5 ** (8 / 1000))
    assert training.ema_decay(2000, 8) == pytest.approx(0.5 ** (8 / 100))


def test_augmentation_follows_how_often_a_film_is_shown() -> None:
    settings = tiny(total_images=120_000)
    assert settings.augmentation_for(10**6) == settings.augmentation_for(1_200) == pytest.approx(0.3)
    assert settings.augmentation_for(120) == pytest.approx(0.45), "half-way between 100 and 10,000 times, by logarithm"
    assert settings.augmentation_for(12) == settings.augmentation_for(1) == pytest.approx(0.6)
    assert tiny(augmentation=0.2).augmentation_for(5) == 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": [12]}, "'noise' has 12: not a step on the way to 16"),
        ({"channels": {4: 6}}, "'channels' has no entry for 8, 16"),
        ({"labels_from": 0.6, "labels_full": 0.5}, "'labels_full' is 0.5: before 'labels_from', 0.6"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingRefused, match=message):
        RganSettings.parse({**tiny().model_dump(exclude_none=True), **changes}, source="config.toml")


def test_the_dry_run_has_one_stage(phantom_store: Store) -> None:
    described = plan.describe(phantom_store, tiny())
    assert [(stage.resolution, stage.fade_images, stage.stable_images) for stage in described.schedule] == [
        (16, 0, 160)
    ]
    assert described.reaches_final_resolution
