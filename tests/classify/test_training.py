"""Training ends where it should, and a stopped run ends as one that never stopped."""

import json
import math
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve

from radcommons.classify import training
from radcommons.classify.settings import ClassifierSettings
from radcommons.classify.training import between, known_loss, mean_auc, train_classifier
from radcommons.classify.training_data import Examples, Mixture, Split, open_split
from radcommons.data.store import Store
from radcommons.errors import BadInput, ClassifierRefused, PathInUse, TrainingDiverged, WeightsUnavailable
from radcommons.gan.settings import TrainSettings
from radcommons.models.classifier_files import Classifier
from radcommons.runs import checkpoint
from radcommons.runs.log import read_log

Quick = Callable[..., ClassifierSettings]
Films = Callable[..., Examples]
Pictures = Callable[..., Path]
CPU = torch.device("cpu")
NAN = float("nan")


def state_of(run: Path) -> dict[str, Any]:
    loaded = checkpoint.load(run, CPU)
    assert loaded is not None
    return loaded[0]


def require_equal(one: Path, other: Path) -> None:
    """Same weights, optimiser, position, classifier and log, bit for bit, but for the log's speeds."""
    assert checkpoint.digest(state_of(one)) == checkpoint.digest(state_of(other))
    records = [json.loads((run / "classifier" / "config.json").read_text()) for run in (one, other)]
    assert records[0] == records[1], "weights included, by their digest"
    logs = [[{k: v for k, v in e.items() if k != "images_per_second"} for e in read_log(run)] for run in (one, other)]
    assert logs[0] == logs[1] and len(logs[0]) > 4


def stopping_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(1_000_000))
    return lambda: next(asked) == steps - 1


@pytest.mark.parametrize("stops", [[1], [4], [6], [2, 4, 1]])
def test_a_run_stopped_anywhere_ends_as_the_run_that_never_stopped(
    stops: list[int], split: Split, quick: Quick, trained: Path, tmp_path: Path
) -> None:
    """Four steps are an epoch: a stop at its end comes before its validation."""
    run = tmp_path / "run"
    for steps in stops:
        outcome = train_classifier(split, quick(), run, should_stop=stopping_after(steps))
        assert not outcome.finished and outcome.images_this_call == 14 * steps
    assert train_classifier(split, quick(), run).finished
    require_equal(run, trained)


def test_augmentation_oversampling_and_short_epochs_resume_exactly_too(
    split: Split, quick: Quick, tmp_path: Path
) -> None:
    settings = quick(
        epochs=3, epoch_images=32, oversample=True, augment={"rotation": 10, "contrast": 0.2}, optimiser="sgd"
    )
    train_classifier(split, settings, tmp_path / "straight")
    train_classifier(split, settings, tmp_path / "stopped", should_stop=stopping_after(3))
    train_classifier(split, settings, tmp_path / "stopped")
    require_equal(tmp_path / "straight", tmp_path / "stopped")


def test_adversarial_training_stops_by_attacked_films_and_takes_thresholds_from_films_as_they_are(
    split: Split, quick: Quick, tmp_path: Path
) -> None:
    settings = quick(epochs=1, adversarial={"epsilon": 30.0, "steps": 2})
    train_classifier(split, settings, tmp_path / "straight")
    train_classifier(split, settings, tmp_path / "run", should_stop=stopping_after(2))
    attacked = train_classifier(split, settings, tmp_path / "run")
    assert checkpoint.digest(state_of(tmp_path / "run")) == checkpoint.digest(state_of(tmp_path / "straight"))
    kept = Classifier.load(tmp_path / "run", device="cpu")
    logits = kept.logits(split.validation.parts[0].images)
    plain = known_loss(torch.from_numpy(logits), torch.from_numpy(split.validation.labels), torch.ones(2)).item()
    assert attacked.validation_loss > plain * 1.01
    for column, threshold in enumerate(kept.record.thresholds["youden"]):
        labels, scores = split.validation.labels[:, column], 1 / (1 + np.exp(-logits[:, column].astype(float)))
        alarms = scores >= threshold
        false_alarms, found, _ = roc_curve(labels, scores)
        youden = alarms[labels == 1].mean() - alarms[labels == 0].mean()
        assert youden == pytest.approx((found - false_alarms).max())


@pytest.mark.parametrize("moment", ["before the classifier is whole", "before the checkpoint is saved"])
def test_a_run_killed_at_the_end_of_an_epoch_goes_on_from_the_one_before(
    moment: str, split: Split, quick: Quick, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    target, name = (training, "save_classifier") if moment.startswith("before the cl") else (checkpoint, "save")
    calls, real = iter(range(10)), getattr(target, name)

    def killing(*arguments: Any, **options: Any) -> None:
        if next(calls) == 1:
            raise Killed
        real(*arguments, **options)

    monkeypatch.setattr(target, name, killing)
    with pytest.raises(Killed):
        train_classifier(split, quick(), tmp_path / "run")
    monkeypatch.setattr(target, name, real)
    assert train_classifier(split, quick(), tmp_path / "run").images_this_call == 56
    require_equal(tmp_path / "run", trained)


def test_a_finished_run_is_left_as_it_is(split: Split, quick: Quick, trained: Path) -> None:
    before = {p.name: p.read_bytes() for p in trained.iterdir() if p.is_file()}
    again = train_classifier(split, quick(), trained)
    assert again.finished and again.images_this_call == 0 and again.epochs == 2
    assert {p.name: p.read_bytes() for p in trained.iterdir() if p.is_file()} == before


def test_other_settings_other_images_and_other_labels_are_refused(
    split: Split, quick: Quick, films: Films, trained: Path, tmp_path: Path
) -> None:
    def refused(changed: Split, settings: ClassifierSettings, message: str) -> None:
        with pytest.raises(PathInUse, match=message):
            train_classifier(changed, settings, trained)

    refused(split, quick(seed=1), "was begun with seed = 0, not 1; use those, or choose another --out")
    (part,) = split.train.parts
    relabelled = films(56, seed=1)
    relabelled.labels[5] = 1 - relabelled.labels[5]
    for other in (relabelled, part.take(np.arange(55)), films(56, seed=9)):
        changed = Split(Mixture([other], split.train.findings, side=32), split.validation)
        refused(changed, quick(), "was trained on other images or findings; name those, or choose another --out")
    fewer = Split(*(Mixture(m.parts, ["Effusion"], side=32) for m in (split.train, split.validation)))
    refused(fewer, quick(), "other images or findings")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(PathInUse, match="already holds something else; choose another --out"):
        train_classifier(split, quick(), tmp_path)


def test_the_folder_of_a_generators_run_is_refused(
    split: Split, quick: Quick, tiny: Callable[..., TrainSettings], tmp_path: Path
) -> None:
    tiny().save(tmp_path / "config.toml")
    with pytest.raises(PathInUse, match="is not a run that this command began .*'total_images' is not a setting"):
        train_classifier(split, quick(), tmp_path)


@pytest.mark.parametrize(("side", "cores"), [(32, 1), (96, 2)])
def test_small_films_train_on_one_core_and_give_the_others_back(
    side: int, cores: int, films: Films, quick: Quick, tmp_path: Path
) -> None:
    part, seen = films(16, seed=1), list[int]()

    def noted() -> bool:
        seen.append(torch.get_num_threads())
        return True

    split = Split(*(Mixture([part], part.findings, side=side) for _ in range(2)))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train_classifier(split, quick(side=side), tmp_path / "run", should_stop=noted)
        assert (seen, torch.get_num_threads()) == ([cores], 2)
    finally:
        torch.set_num_threads(before)


def test_log_every_may_change_on_the_way(split: Split, quick: Quick, tmp_path: Path) -> None:
    train_classifier(split, quick(), tmp_path / "run", should_stop=stopping_after(2))
    assert train_classifier(split, quick(log_every=1000), tmp_path / "run").finished


class Scripted:
    """Validation losses as written, one an epoch, in place of the network's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> None:
        left, self.rates = iter(losses), list[float]()
        real, of_optimiser = training.known_loss, training._optimiser

        def loss(logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            return torch.tensor(next(left)) if not logits.requires_grad else real(logits, labels, weight)

        def optimiser(*arguments: Any) -> torch.optim.Optimizer:
            made = of_optimiser(*arguments)
            step = made.step

            def noted(*a: Any, **o: Any) -> Any:
                self.rates.append(made.param_groups[0]["lr"])
                return step(*a, **o)

            monkeypatch.setattr(made, "step", noted)
            return made

        monkeypatch.setattr(training, "known_loss", loss)
        monkeypatch.setattr(training, "_optimiser", optimiser)


def test_it_stops_when_patience_ends_and_keeps_the_best(
    split: Split, quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Scripted(monkeypatch, [0.9, 0.5, 0.6, 0.4, 0.4, 0.7, 0.8, 0.1])
    settings = quick(epochs=20, patience=3, rate_factor=0.5, batch_size=56, learning_rate=0.008)
    outcome = train_classifier(split, settings, tmp_path / "run")
    assert (outcome.epochs, outcome.finished) == (7, True), "three in a row without a better loss"
    assert outcome.validation_loss == pytest.approx(0.4) and outcome.images_seen == 7 * 56
    record = Classifier.load(tmp_path / "run", device="cpu").record
    assert record.images_seen == 4 * 56 and record.validation_loss == pytest.approx(0.4)
    assert script.rates == pytest.approx([0.008, 0.008, 0.008, 0.004, 0.004, 0.002, 0.001]), "halved after a worse one"


def test_the_classifier_kept_is_that_of_the_best_validation(
    split: Split, quick: Quick, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Scripted(monkeypatch, [0.5, 0.4, 0.9])
    train_classifier(split, quick(epochs=3, rate_factor=1), tmp_path / "run")
    best, newest = Classifier.load(tmp_path / "run").network.state_dict(), state_of(tmp_path / "run")["network"]
    two_epochs = state_of(trained)["network"]
    assert all(torch.equal(best[name], two_epochs[name]) for name in best)
    assert not all(torch.equal(best[name], newest[name]) for name in best)


def test_a_loss_that_is_not_a_number_stops_with_a_line(
    split: Split, quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Scripted(monkeypatch, [0.5, NAN])
    with pytest.raises(
        TrainingDiverged, match=r"diverged after 112 images \(validation loss nan\); lower learning_rate"
    ):
        train_classifier(split, quick(), tmp_path / "run")
    assert Classifier.load(tmp_path / "run").record.images_seen == 56, "the last good one is kept"


def test_unknown_labels_give_no_gradient_and_do_not_thin_the_mean() -> None:
    logits = torch.tensor([[0.3, -1.0], [2.0, 0.5]], requires_grad=True)
    labels = torch.tensor([[1.0, NAN], [0.0, NAN]])
    loss = known_loss(logits, labels, torch.ones(2))
    loss.backward()
    assert loss.item() == pytest.approx((math.log(1 + math.exp(-0.3)) + math.log(1 + math.exp(2.0))) / 2)
    assert logits.grad is not None
    assert logits.grad[:, 1].tolist() == [0, 0] and (logits.grad[:, 0] != 0).all()
    nothing = known_loss(logits, torch.full((2, 2), NAN), torch.ones(2))
    assert nothing.item() == 0


def test_a_positive_weight_counts_a_missed_positive_that_many_times() -> None:
    logits, weight = torch.tensor([[0.0]]), torch.tensor([3.0])
    assert known_loss(logits, torch.tensor([[1.0]]), weight).item() == pytest.approx(3 * math.log(2))
    assert known_loss(logits, torch.tensor([[0.0]]), weight).item() == pytest.approx(math.log(2))


def test_the_mean_auc_is_sklearns_over_the_findings_that_have_both_classes() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(60, 3)), rng.integers(0, 2, (60, 3)).astype(float)
    labels[:, 2], labels[:10, 0] = 1, NAN
    expected = [roc_auc_score(labels[10:, 0], scores[10:, 0]), roc_auc_score(labels[:, 1], scores[:, 1])]
    assert mean_auc(scores, labels) == pytest.approx(np.mean(expected))
    assert math.isnan(mean_auc(scores, np.ones((60, 3))))


def test_a_threshold_between_two_scores_gives_the_same_alarms() -> None:
    scores = np.array([0.2, 0.6, 0.4, 0.6])
    assert between(scores, 0.6) == pytest.approx(0.5)
    assert between(scores, 0.2) == pytest.approx(0.1), "all are alarms"


def test_the_thresholds_are_youdens_on_the_validation_films(split: Split, trained: Path) -> None:
    classifier = Classifier.load(trained, device="cpu")
    scores, labels = classifier.scores(split.validation.parts[0].images), split.validation.labels
    for column, threshold in enumerate(classifier.record.thresholds["youden"]):
        false_alarms, found, _ = roc_curve(labels[:, column], scores[:, column])
        alarms = scores[:, column] >= threshold
        sensitivity, specificity = alarms[labels[:, column] == 1].mean(), 1 - alarms[labels[:, column] == 0].mean()
        assert sensitivity + specificity - 1 == pytest.approx((found - false_alarms).max())


def test_it_learns_films_that_it_has_not_seen(films: Films, quick: Quick, tmp_path: Path) -> None:
    parts = (films(160, seed=1), films(40, seed=2))
    split = Split(*(Mixture([part], part.findings, side=32) for part in parts))
    outcome = train_classifier(split, quick(epochs=4), tmp_path / "run")
    test = films(100, seed=3)
    scores = Classifier.load(tmp_path / "run").scores(test.images)
    assert roc_auc_score(test.labels, scores) > 0.9 and outcome.validation_auc > 0.9


@pytest.mark.slow
def test_it_finds_effusions_on_phantom_films_of_other_patients(clinic: Store, quick: Quick, tmp_path: Path) -> None:
    split = open_split([clinic.path], validation=None, findings=["Effusion"], side=32, seed=0)
    train_classifier(split, quick(epochs=12, log_every=1000), tmp_path / "run")
    rows = clinic.rows("test")
    labels = clinic.labels(rows)[:, clinic.findings.index("Effusion")]
    known = ~np.isnan(labels)
    scores = Classifier.load(tmp_path / "run").scores(clinic.images(32), rows=rows[known])
    assert roc_auc_score(labels[known], scores[:, 0]) > 0.7


def test_a_run_may_begin_with_another_runs_weights(split: Split, quick: Quick, trained: Path, tmp_path: Path) -> None:
    begun = tmp_path / "first"
    shutil.copytree(trained, begun)
    settings = quick(initial=str(begun), learning_rate=1e-9, epochs=1)
    train_classifier(split, settings, tmp_path / "run", should_stop=stopping_after(1))
    start, now = Classifier.load(begun).network, state_of(tmp_path / "run")["network"]
    for name, value in start.named_parameters():
        torch.testing.assert_close(now[name], value, atol=1e-6, rtol=0)
    shutil.rmtree(begun)
    assert train_classifier(split, settings, tmp_path / "run").finished, "what has begun does not need it any more"


def test_a_run_to_begin_with_must_fit(split: Split, quick: Quick, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ClassifierRefused, match="a densenet-small of 32 pixels for Effusion, Nodule; this run is a den"
    ):
        train_classifier(split, quick(initial=str(trained), side=48), tmp_path / "run")
    assert not (tmp_path / "run").exists(), "nothing was changed"


def test_imagenet_weights_that_cannot_be_had_leave_no_run(
    split: Split, quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setenv("RADCOMMONS_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(WeightsUnavailable, match="Network is unreachable"):
        train_classifier(split, quick(network="densenet-121", initial="imagenet"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    split: Split, quick: Quick, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    tear(run / "checkpoint.pt")
    assert train_classifier(split, quick(), run).images_this_call == 56, "an epoch is done again"
    require_equal(run, trained)
    tear(run / "checkpoint.pt")
    tear(run / "checkpoint-previous.pt")
    with pytest.raises(BadInput, match="cannot be read; restore one, or choose another --out"):
        train_classifier(split, quick(), run)


WITH_DIGESTS = """
import os, sys
from pathlib import Path
from radcommons.classify import training
from radcommons.cli import run
from radcommons.runs.checkpoint import digest

networks, of_optimiser = [], training._optimiser
training._optimiser = lambda network, settings: networks.append(network) or of_optimiser(network, settings)
status = run(sys.argv[2:])
Path(sys.argv[1], "rank" + os.environ["RANK"]).write_text(digest(networks[0].state_dict()))
sys.exit(status)
"""


def arguments_of(source: Path, out: Path, config: Path) -> list[str]:
    return ["classify", "train", str(source), "--out", str(out), "--config", str(config)]


@pytest.mark.slow
def test_torchrun_leaves_the_same_weights_in_both_processes(
    quick: Quick, pictures: Pictures, tmp_path: Path, start: Callable[..., Any]
) -> None:
    quick(log_every=50).save(tmp_path / "config.toml")
    pooled = pictures(tmp_path / "pooled", np.tile(np.float32([1, 0]), 50))
    (tmp_path / "script.py").write_text(WITH_DIGESTS)
    command = arguments_of(pooled, tmp_path / "run", tmp_path / "config.toml")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    status, out, err = start([*torchrun, tmp_path / "script.py", tmp_path, *command]).end()
    assert status == 0, err
    assert out.count("finished after 2 epochs") == 1, "one process speaks"
    digests = {(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)}
    assert digests == {checkpoint.digest(state_of(tmp_path / "run")["network"])}
    assert Classifier.load(tmp_path / "run").findings == ("Effusion",)


KILLED_IN_EPOCH_3 = """
import os, signal, sys
from radcommons.classify import training
from radcommons.cli import run
epochs, judge, loss = 0, training._after_validation, training.known_loss
def judged(*given):
    global epochs
    epochs += 1
    return judge(*given)
def killed(logits, *given):
    if epochs == 2 and logits.requires_grad:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss(logits, *given)
training._after_validation, training.known_loss = judged, killed
run(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_process_killed_in_an_epoch_goes_on_with_the_same_command(
    quick: Quick, pictures: Pictures, tmp_path: Path, start: Callable[..., Any]
) -> None:
    settings, pooled = quick(epochs=5), pictures(tmp_path / "pooled", np.tile(np.float32([1, 0]), 50))
    settings.save(tmp_path / "config.toml")
    command = arguments_of(pooled, tmp_path / "killed", tmp_path / "config.toml")
    assert start([sys.executable, "-c", KILLED_IN_EPOCH_3, *command]).end()[0] == -signal.SIGKILL
    assert len([e for e in read_log(tmp_path / "killed") if "validation_loss" in e]) == 2
    status, _, err = start([sys.executable, "-m", "radcommons", *command]).end()
    assert status == 0, err
    split = open_split([pooled], validation=None, findings=None, side=32, seed=0)
    train_classifier(split, settings, tmp_path / "straight")
    require_equal(tmp_path / "killed", tmp_path / "straight")
