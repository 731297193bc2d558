import json
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from radcommons.data.listing import Part
from radcommons.data.store import Store
from radcommons.errors import CheckpointDamaged, PathInUse, SettingRefused, TooFewImages, TrainingDiverged
from radcommons.gan import training
from radcommons.gan.batches import Batches, TrainingBatch
from radcommons.gan.findings import chosen_findings, findings_record
from radcommons.gan.recipe import Position, TrainingState
from radcommons.gan.recipes import RECIPES, load_settings, parse_settings
from radcommons.gan.recipes.progan.settings import ProganSettings
from radcommons.gan.recipes.progan.training import ProganTraining
from radcommons.gan.settings import TrainSettings
from radcommons.models.generator import Generator
from radcommons.models.generator_files import load_patients
from radcommons.records.patients import count_seen
from radcommons.runs import checkpoint
from radcommons.runs.log import read_log

Tiny = Callable[..., TrainSettings]
CPU = torch.device("cpu")


def same(a: object, b: object) -> bool:
    """Equal states, tensors bit for bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return isinstance(b, type(a)) and len(a) == len(b) and all(map(same, a, b))
    return a == b


def _patients(store: Store, part: Part) -> set[str]:
    return set(store.manifest["patient"][store.rows(part)])


def state_of(run: Path) -> dict[str, object]:
    loaded = checkpoint.load(run, CPU)
    assert loaded is not None
    return loaded[0]


@pytest.fixture(scope="module")
def whole_run(phantom_store: Store, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    outcome = training.train(phantom_store, tiny(), run)
    assert outcome.finished and outcome.images_seen == 160
    return run


def test_the_page_of_a_run_names_its_films_findings_settings_and_the_next_commands(
    phantom_store: Store, whole_run: Path
) -> None:
    text = (whole_run / "training.html").read_text(encoding="utf-8")
    films = len(phantom_store.rows("train"))
    assert f"learns from {films} simulated films" in text and f"Training on {phantom_store.name}" in text
    assert ", ".join(("No finding", *chosen_findings(phantom_store, load_settings(whole_run / "config.toml")))) in text
    assert f"radcommons audit {whole_run} {phantom_store.path}" in text and "images_per_phase" in text
    assert text.count("data:image/svg") == 5, "scores, labels, losses, gradients, speed"
    assert (whole_run / "training.html").stat().st_mode & 0o077 == 0, "like the run, it is its owner's"


def test_a_run_leaves_settings_log_samples_checkpoint_and_generator(whole_run: Path) -> None:
    for name in ("config.toml", "log.jsonl", "checkpoint.pt", "generator/generator.safetensors", "tensorboard"):
        assert (whole_run / name).exists(), name
    assert load_settings(whole_run / "config.toml").total_images == 160
    entries = read_log(whole_run)
    assert entries[-1]["images_seen"] == 160 and entries[-1]["resolution"] == 16
    assert {"critic_loss", "generator_loss", "wasserstein", "gradient_norm", "images_per_second"} <= entries[-1].keys()
    assert sorted(p.name for p in (whole_run / "samples").iterdir()) == ["000000080-0008.png", "000000160-0016.png"]


@pytest.mark.parametrize("stop_after", [4, 5, 8, 12, 13])
def test_stopping_and_resuming_gives_the_same_run_to_the_bit(
    phantom_store: Store, tiny: Tiny, whole_run: Path, tmp_path: Path, stop_after: int
) -> None:
    run, steps = tmp_path / "run", 0

    def should_stop() -> bool:
        nonlocal steps
        steps += 1
        return steps == stop_after

    first = training.train(phantom_store, tiny(), run, should_stop=should_stop)
    # 4 and 12 steps end exactly where a stage ends and Adam's state is reset
    assert not first.finished and first.images_seen == 8 * stop_after
    second = training.train(phantom_store, tiny(), run)
    assert second.finished and second.images_this_call == 160 - 8 * stop_after
    assert same(state_of(run), state_of(whole_run))


@pytest.mark.parametrize("family", RECIPES)
def test_a_run_goes_on_from_exactly_what_it_saved_on_every_device(
    family: str, device: torch.device, phantom_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU adds up in changing order, so that there only the beginning is compared to the bit."""
    few = {"channels": {4: 6, 8: 5, 16: 4}, "resolution": 16, "latent_size": 5, "total_images": 96}
    own = {"batch_size": 8, "noise": [16]}
    if family == "progan":
        own = {"batch_size": {4: 8, 8: 8, 16: 8}, "images_per_phase": 16}
    settings = parse_settings({"family": family, **few, **own}, source="test")
    steps = iter([False] * 6 + [True])
    assert not training.train(phantom_store, settings, tmp_path / "parts", should_stop=lambda: next(steps)).finished
    saved = checkpoint.load(tmp_path / "parts", device)
    assert saved is not None
    assert {value.device.type for value in saved[0]["generator"].values()} == {device.type}
    resume, restored = training.resume, []

    def spy(state: TrainingState, *rest: Any) -> None:
        resume(state, *rest)
        restored.append(checkpoint.digest(dict(sorted(state.state_dict().items()))))

    monkeypatch.setattr(training, "resume", spy)
    assert training.train(phantom_store, settings, tmp_path / "parts").images_this_call == 40
    begun = {key: value for key, value in saved[0].items() if key not in ("manifest_sha256", "precision")}
    assert restored == [checkpoint.digest(dict(sorted(begun.items())))]
    training.train(phantom_store, settings, tmp_path / "whole")
    whole, parts = (state_of(tmp_path / run) for run in ("whole", "parts"))
    if device.type == "cpu":
        assert same(whole, parts)
    for name, value in whole["ema"].items():  # type: ignore[attr-defined]
        assert (parts["ema"][name] - value).abs().mean() < 0.005, name  # type: ignore[index]


def test_resuming_right_after_a_stage_that_no_batch_ends_on_is_exact(
    phantom_store: Store, tiny: Tiny, tmp_path: Path
) -> None:
    settings = tiny(images_per_phase=33)  # the stage changes at 33, between two batches
    steps = 0

    def should_stop() -> bool:
        nonlocal steps
        steps += 1
        return steps == 5

    training.train(phantom_store, settings, tmp_path / "broken", should_stop=should_stop)
    training.train(phantom_store, settings, tmp_path / "broken")
    training.train(phantom_store, settings, tmp_path / "whole")
    assert same(state_of(tmp_path / "broken"), state_of(tmp_path / "whole"))


KILLED_IN_STEP_55 = """
import os, signal, sys
from radcommons.cli import run
from radcommons.gan.recipes.progan.training import ProganTraining
steps, take = 0, ProganTraining.step
def step(*given, **named):
    global steps
    steps += 1
    if steps == 55:
        os.kill(os.getpid(), signal.SIGKILL)
    return take(*given, **named)
ProganTraining.step = step
run(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_kill_without_warning_resumes_from_the_last_checkpoint_to_the_same_bits(
    phantom_store: Store, tiny: Tiny, tmp_path: Path, start: Callable[..., Any]
) -> None:
    settings = tiny(total_images=1600, images_per_phase=64, checkpoint_every=160)
    config = tmp_path / "settings.toml"
    settings.save(config)
    run = tmp_path / "killed"
    command = ["train", phantom_store.path, "--out", run, "--config", config]
    assert start([sys.executable, "-c", KILLED_IN_STEP_55, *command]).end()[0] == -signal.SIGKILL
    killed_at = state_of(run)["images_seen"]
    assert killed_at == 320 and checkpoint.previous_file(run).exists()
    outcome = training.train(phantom_store, settings, run)
    assert outcome.images_this_call == 1600 - killed_at
    training.train(phantom_store, settings, tmp_path / "unbroken")
    assert same(state_of(run), state_of(tmp_path / "unbroken"))
    seen = [entry["images_seen"] for entry in read_log(run)]
    assert seen == sorted(set(seen)), "the log has no line twice after a resume"


def test_a_finished_run_is_left_alone(phantom_store: Store, tiny: Tiny, whole_run: Path) -> None:
    before = (whole_run / "checkpoint.pt").read_bytes()
    outcome = training.train(phantom_store, tiny(), whole_run)
    assert outcome.finished and outcome.images_this_call == 0
    assert (whole_run / "checkpoint.pt").read_bytes() == before


def test_another_seed_gives_another_generator(
    phantom_store: Store, tiny: Tiny, whole_run: Path, tmp_path: Path
) -> None:
    training.train(phantom_store, tiny(seed=1), tmp_path / "run")
    assert not same(state_of(tmp_path / "run")["ema"], state_of(whole_run)["ema"])


def test_a_run_cannot_change_its_settings_on_the_way(phantom_store: Store, tiny: Tiny, whole_run: Path) -> None:
    with pytest.raises(PathInUse, match="was begun with seed = 0, not 5"):
        training.train(phantom_store, tiny(seed=5), whole_run)


def test_a_run_with_phase_lengths_may_be_lengthened(phantom_store: Store, tiny: Tiny, tmp_path: Path) -> None:
    training.train(phantom_store, tiny(total_images=96), tmp_path / "run")
    outcome = training.train(phantom_store, tiny(), tmp_path / "run")
    assert outcome.finished and outcome.images_this_call == 64


def test_a_run_on_another_store_is_refused(tiny: Tiny, whole_run: Path, tmp_path: Path) -> None:
    from radcommons.data.ingest import ingest_phantoms

    ingest_phantoms(tmp_path / "other", patients=40, site="B", resolution=16, seed=1)
    with pytest.raises(PathInUse, match="was trained on another store"):
        training.train(Store.open(tmp_path / "other"), tiny(), whole_run)


def test_a_folder_with_something_else_is_refused(phantom_store: Store, tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(PathInUse, match="already holds something else"):
        training.train(phantom_store, tiny(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_a_resolution_above_the_stores_says_what_to_pass(phantom_store: Store, tmp_path: Path) -> None:
    channels = dict.fromkeys((4, 8, 16, 32, 64), 4)
    settings = ProganSettings(
        resolution=64, channels=channels, batch_size=channels, images_per_phase=8, total_images=99
    )
    with pytest.raises(SettingRefused, match="--set resolution=32"):
        training.train(phantom_store, settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_batch_above_the_training_part_is_refused(phantom_store: Store, tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(TooFewImages, match="fewer than the batch of 500"):
        training.train(phantom_store, tiny(batch_size={4: 500, 8: 8, 16: 8}), tmp_path / "run")


def test_divergence_stops_and_names_the_last_good_checkpoint(
    phantom_store: Store, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, run = tiny(), tmp_path / "run"
    healthy = ProganTraining.step

    def poisoned(self: ProganTraining, position: Position, batch: TrainingBatch) -> dict[str, torch.Tensor]:
        numbers = healthy(self, position, batch)
        if position.step >= 7:
            numbers["critic_loss"] = torch.tensor(float("nan"))
        return numbers

    monkeypatch.setattr(ProganTraining, "step", poisoned)
    with pytest.raises(TrainingDiverged, match=r"critic_loss nan.*last good checkpoint is .*checkpoint\.pt"):
        training.train(phantom_store, settings, run)
    assert state_of(run)["images_seen"] == 40


def test_only_the_training_part_is_shown(phantom_store: Store, tiny: Tiny, tmp_path: Path, monkeypatch) -> None:
    read: list[np.ndarray] = []
    original = Batches.at

    def spy(self: Batches, step: int, images_seen: int, batch_size: int, resolution: int) -> object:
        read.append(self.rows[self._order(images_seen, batch_size)])
        return original(self, step, images_seen, batch_size, resolution)

    monkeypatch.setattr(Batches, "at", spy)
    training.train(phantom_store, tiny(), tmp_path / "run")
    shown = set(np.concatenate(read).tolist())
    assert shown <= set(phantom_store.rows("train").tolist())
    assert len(shown) == min(160, len(phantom_store.rows("train"))), "epochs are without replacement"


def test_only_the_stages_own_file_is_open(phantom_store: Store, tiny: Tiny, tmp_path: Path, monkeypatch) -> None:
    asked: list[int] = []
    original = Store.images
    monkeypatch.setattr(Store, "images", lambda self, r: (asked.append(r), original(self, r))[1])
    training.train(phantom_store, tiny(), tmp_path / "run")
    assert asked == [4, 8, 16]


def test_a_finding_without_a_positive_training_image_is_not_learned(phantom_store: Store, tiny: Tiny) -> None:
    positives = np.nansum(phantom_store.labels(phantom_store.rows("train")), axis=0)
    expected = tuple(f for f, n in zip(phantom_store.findings, positives, strict=True) if n)
    assert chosen_findings(phantom_store, tiny()) == expected


def test_an_unknown_finding_gets_the_nearest_name(phantom_store: Store, tiny: Tiny) -> None:
    with pytest.raises(SettingRefused, match=r"finding 'Efusion' is not in .*; the nearest is 'Effusion'"):
        chosen_findings(phantom_store, tiny(findings=["Efusion"]))


def test_published_label_combinations_have_five_patients_at_least(phantom_store: Store) -> None:
    rows = phantom_store.rows("train")
    record = findings_record(phantom_store, rows, phantom_store.findings)
    labels = phantom_store.labels(rows)
    patients = phantom_store.manifest["patient"].to_numpy()[rows]
    assert record.combinations, "the commonest combination is published"
    assert record.withheld_images == len(rows) - sum(images for _, images in record.combinations)
    for vector, images in record.combinations:
        match = (labels == np.array(vector)).all(axis=1)
        assert match.sum() == images
        assert len(set(patients[match])) >= 5


def test_the_published_generator_is_the_moving_average_and_leaves_the_critic_behind(whole_run: Path) -> None:
    published = Generator.load(whole_run).network.state_dict()
    assert same(dict(published), dict(state_of(whole_run)["ema"]))  # type: ignore[call-overload]
    assert sorted(p.name for p in (whole_run / "generator").iterdir()) == [
        "config.json",
        "findings.json",
        "generator.safetensors",
        "patients.json",
    ]


def test_a_generator_stopped_in_a_fade_in_draws_at_that_fade(phantom_store: Store, tiny: Tiny, tmp_path: Path) -> None:
    run = tmp_path / "run"
    training.train(phantom_store, tiny(total_images=56), run)
    record = json.loads((run / "generator" / "config.json").read_text())
    assert record["resolution"] == record["network"]["grown_to"] == 8 and 0 < record["network"]["fade"] < 1
    assert Generator.load(run).generate(2).images.shape == (2, 8, 8)


def test_checkpoints_fall_back_to_the_one_before(
    phantom_store: Store, tiny: Tiny, whole_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    training.train(phantom_store, tiny(), run)
    broken = bytearray(checkpoint.checkpoint_file(run).read_bytes())
    broken[len(broken) // 2] ^= 0xFF
    checkpoint.checkpoint_file(run).write_bytes(broken)
    loaded = checkpoint.load(run, CPU)
    assert loaded is not None and loaded[1] == checkpoint.previous_file(run)
    with caplog.at_level("WARNING"):
        training.train(phantom_store, tiny(), run)
    assert "checkpoint.pt is damaged; going on from checkpoint-previous.pt" in caplog.text
    assert same(state_of(run), state_of(whole_run))
    assert (run / "checkpoint-damaged.pt").exists(), "and the good one before it was not overwritten"


def test_a_generator_lost_after_its_checkpoint_is_written_again(
    phantom_store: Store, tiny: Tiny, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    training.train(phantom_store, tiny(total_images=80), run)
    before = Generator.load(run).digest
    shutil.rmtree(run / "generator")
    outcome = training.train(phantom_store, tiny(total_images=80), run)
    assert outcome.images_this_call == 0 and Generator.load(run).digest == before


@pytest.mark.parametrize("finished", [False, True], ids=["interrupted", "finished"])
@pytest.mark.parametrize("content", [None, "", '{"format_version": 1, "hashes": []}'], ids=["absent", "empty", "other"])
def test_the_same_command_adds_a_list_of_patients_that_a_run_lacks_before_it_goes_on(
    content: str | None, finished: bool, phantom_store: Store, tiny: Tiny, whole_run: Path, tmp_path: Path
) -> None:
    def killed() -> bool:
        raise KeyboardInterrupt

    run = tmp_path / "run"
    if finished:
        shutil.copytree(whole_run, run)
    else:
        training.train(phantom_store, tiny(), run, should_stop=lambda: True)
    generator = run / "generator"
    before = {path.name: path.read_bytes() for path in generator.iterdir()}
    (generator / "patients.json").unlink()
    if content is not None:
        (generator / "patients.json").write_text(content)
    with nullcontext() if finished else pytest.raises(KeyboardInterrupt):
        training.train(phantom_store, tiny(), run, should_stop=killed)
    assert {path.name: path.read_bytes() for path in generator.iterdir()} == before
    assert load_patients(run) == load_patients(whole_run)


def test_the_list_beside_a_generator_names_the_training_patients_and_only_those(
    phantom_store: Store, whole_run: Path
) -> None:
    record = load_patients(whole_run)
    assert record is not None
    pseudonyms = {part: _patients(phantom_store, part) for part in ("train", "val", "test")}
    assert count_seen(record, pseudonyms["train"]) == len(record.hashes) == len(pseudonyms["train"]) > 20
    assert count_seen(record, pseudonyms["val"] | pseudonyms["test"]) == 0
    assert pseudonyms["val"] and pseudonyms["test"]


def test_the_list_holds_no_pseudonym(phantom_store: Store, whole_run: Path) -> None:
    text = (whole_run / "generator" / "patients.json").read_text()
    assert not [p for p in phantom_store.manifest["patient"] if p in text]


def test_how_often_a_run_reports_may_change_on_the_way(phantom_store: Store, tiny: Tiny, tmp_path: Path) -> None:
    training.train(phantom_store, tiny(total_images=80), tmp_path / "run")
    changes = {"log_every": 8, "samples_every": 8, "checkpoint_every": 8}
    assert training.train(phantom_store, tiny(total_images=80, **changes), tmp_path / "run").finished


def test_findings_may_be_given_as_one_text() -> None:
    from radcommons.settings import override, preset_path, read_toml

    values = override(read_toml(preset_path("train", "progan-64")), ["findings=Effusion, Nodule"])
    assert ProganSettings.parse(values, source="test").findings == ("Effusion", "Nodule")


def test_two_damaged_checkpoints_say_so(phantom_store: Store, tiny: Tiny, tmp_path: Path) -> None:
    run = tmp_path / "run"
    training.train(phantom_store, tiny(total_images=80), run)
    for path in (checkpoint.checkpoint_file(run), checkpoint.previous_file(run)):
        path.write_bytes(b"PK damaged")
    with pytest.raises(CheckpointDamaged, match=r"checkpoint\.pt and checkpoint-previous\.pt cannot be read"):
        training.train(phantom_store, tiny(total_images=80), run)


def test_a_sample_sheet_has_one_row_per_finding(whole_run: Path) -> None:
    generator = Generator.load(whole_run)
    sheet = training.sample_sheet(generator.network, generator.config, generator.findings, 0, CPU)
    assert sheet.height == 24 + (len(generator.findings) + 1) * 66 + 2, "the title and its rows"


def test_a_run_is_for_its_owner_only(whole_run: Path) -> None:
    assert whole_run.stat().st_mode & 0o077 == 0, "the critic lies in it"
