"""Training of a classifier: one flat loop over epochs and batches."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from radcommons.classify.batches import augmented, epoch_batches, positive_weights
from radcommons.classify.pgd import attack
from radcommons.classify.settings import ClassifierSettings
from radcommons.classify.training_data import Mixture, Split
from radcommons.errors import ClassifierRefused, PathInUse, TrainingDiverged
from radcommons.metrics.classification import auc_by_finding, binary_labels
from radcommons.metrics.thresholds import corner_threshold, youden_threshold
from radcommons.models.classifier import IMAGENET_WEIGHTS, ClassifierNetwork, imagenet_state, start_outputs
from radcommons.models.classifier_files import RUN_SUBFOLDER, Classifier, save_classifier
from radcommons.models.label_loss import known_cross_entropy
from radcommons.models.weights import find_weights, read_weights
from radcommons.precision import autocast_in
from radcommons.progress import Track, silent
from radcommons.runs import checkpoint
from radcommons.runs.distributed import Distributed
from radcommons.runs.folder import claim_folder
from radcommons.runs.log import RunLog
from radcommons.seeds import derive, torch_stream
from radcommons.threads import one_core, thread_map

logger = logging.getLogger(__name__)

FREE = {"log_every"}  # changes no weight
VALIDATION_BATCH = 64
# Smaller films keep densenet-small on one core: at 64 pixels a second core gives 6%, and makes training seven times
# slower whenever another process is using it, since every operation ends with the two waiting for each other.
SIDE_WORTH_CORES = 96
RULES = {"youden": youden_threshold, "closest to corner": corner_threshold}


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a call of `train_classifier`; loss and AUC are of the best validation."""

    run: Path
    images_seen: int
    epochs: int
    finished: bool
    validation_loss: float
    validation_auc: float
    images_this_call: int
    seconds: float
    is_main: bool


def train_classifier(
    split: Split,
    settings: ClassifierSettings,
    run: Path,
    *,
    weights: Path | None = None,
    pretrained: Path | None = None,
    track: Track = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    """Train until validation no longer improves, continuing from the run's last checkpoint.

    Args:
        split: what to learn from, and what decides when to stop.
        settings: must equal the run's own where it has begun.
        run: the run's folder; the classifier of the best validation is written to ``classifier`` in it.
        weights: file of the ImageNet weights, if `initial` asks for them; by default searched for, then fetched.
        pretrained: folder of another run whose classifier training begins with, in place of `settings.initial`. It is
            no part of the run's settings, so that both folders may be moved together.
        should_stop: asked after every step; True saves a checkpoint and returns.
    Raises:
        PathInUse, SettingRefused, WeightsUnavailable, ClassifierRefused: before anything is changed.
        TrainingDiverged, CheckpointDamaged, DiskFull.
    """
    alone = settings.network == "densenet-small" and settings.side < SIDE_WORTH_CORES
    with (
        Distributed.init() as distributed,
        distributed.alone_in(run),
        one_core() if alone and distributed.device.type == "cpu" else nullcontext(),
    ):
        return _train(split, settings, run, weights, pretrained, distributed, track, should_stop)


def known_loss(logits: Tensor, labels: Tensor, positive_weight: Tensor) -> Tensor:
    """Sigmoid cross-entropy, mean over the labels that are known.

    Args:
        logits: (n, F).
        labels: (n, F), in [0, 1] or NaN for unknown.
        positive_weight: (F,), weight of the positive part.
    Returns:
        A number; 0 where no label is known.
    """
    losses = known_cross_entropy(logits, labels, positive_weight)
    return losses.sum() / (~labels.isnan()).sum().clamp(min=1)


def _train(
    split: Split,
    settings: ClassifierSettings,
    run: Path,
    weights: Path | None,
    pretrained: Path | None,
    distributed: Distributed,
    track: Track,
    should_stop: Callable[[], bool],
) -> TrainingResult:
    # ---- network, optimiser, position ----
    data = f"{' '.join(split.train.findings)} | {split.train.digest} | {split.validation.digest}"
    loaded = checkpoint.load(run, distributed.device)
    network = _first_network(split, settings, weights, pretrained, begun=loaded is not None)
    network = network.to(distributed.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = _optimiser(network, settings)
    if distributed.is_main:
        claim_folder(run, settings, lambda *_: FREE)
    position: dict[str, Any] = {
        "epoch": 0,
        "batch": 0,
        "step": 0,
        "images_seen": 0,
        "best_loss": math.inf,
        "best_auc": math.nan,
        "worse": 0,
        "finished": False,
    }
    running, steps = torch.zeros((), device=distributed.device), 0  # sum of losses since the last log line
    if loaded is not None:
        state, file = loaded
        if state["data"] != data:
            raise PathInUse(f"{run} was trained on other images or findings; name those, or choose another --out")
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        position, running, steps = state["position"], state["running"], state["steps"]
        if distributed.is_main:
            checkpoint.set_damaged_aside(run, file)
    started_at, started = position["images_seen"], time.monotonic()
    log = RunLog(run, started_at) if distributed.is_main else None
    autocast = autocast_in(settings.precision, distributed.device)
    weight = positive_weights(split.train.labels, settings.positive_weight).to(distributed.device)
    labels = torch.from_numpy(split.train.labels)

    def save() -> None:
        if distributed.is_main:
            learned = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
            checkpoint.save(run, {"data": data, "position": position, "running": running, "steps": steps, **learned})

    def examples(numbered: tuple[int, np.ndarray]) -> tuple[Tensor, Tensor]:
        """Images and labels of this process's share of a batch."""
        step, batch = numbered
        mine = batch[distributed.rank :: distributed.size]
        grey = augmented(
            split.train.read(mine), settings.augment, seed=derive(settings.seed, "process", distributed.rank), step=step
        )
        return grey.to(memory_format=torch.channels_last), labels[torch.from_numpy(mine)]

    # ---- the loop ----
    epoch_images = settings.epoch_images or len(split.train)
    logged_at, logged = started_at, time.monotonic()
    stopped = False
    with track("Training", total=settings.epochs * epoch_images, done=started_at) as advance:
        while not position["finished"] and not stopped:
            batches = epoch_batches(position["epoch"], split.train.labels, settings, distributed)[position["batch"] :]
            numbered = list(enumerate(batches, start=position["step"]))
            network.train()
            for (step, batch), (grey, known) in zip(
                numbered,
                thread_map(examples, numbered, threads=2 if distributed.device.type == "cuda" else 1),
                strict=True,
            ):
                grey, known = grey.to(distributed.device), known.to(distributed.device)
                if settings.adversarial is not None:
                    chance = torch_stream(settings.seed, "attack", step, distributed.rank)
                    grey = attack(network, grey, known, settings.adversarial, generator=chance, keep_best=False)
                optimiser.zero_grad(set_to_none=True)
                with autocast():
                    logits = network(grey)
                loss = known_loss(logits.float(), known, weight)
                loss.backward()
                distributed.mean_gradients(network)
                optimiser.step()

                running, steps = running + loss.detach(), steps + 1
                before = position["images_seen"]
                position = {
                    **position,
                    "images_seen": before + len(batch),
                    "step": step + 1,
                    "batch": position["batch"] + 1,
                }
                advance(len(batch))
                if log is not None and before // settings.log_every != position["images_seen"] // settings.log_every:
                    mean, seconds = float(running) / steps, max(1e-9, time.monotonic() - logged)
                    rate = (position["images_seen"] - logged_at) / seconds
                    log.numbers({"images_seen": position["images_seen"], "loss": mean, "images_per_second": rate})
                    running, steps = torch.zeros((), device=distributed.device), 0
                    logged_at, logged = position["images_seen"], time.monotonic()
                stopped = distributed.any(should_stop())
                if stopped:
                    break
            if not stopped:
                distributed.mean_buffers(network)
                logits = _validation_logits(split.validation, network, settings, distributed, attacked=True)
                position, improved = _after_validation(logits, split.validation.labels, weight, position, log)
                for group in optimiser.param_groups:
                    group["lr"] *= 1.0 if improved else settings.rate_factor
                position["finished"] = position["epoch"] >= settings.epochs or position["worse"] >= settings.patience
                if improved:
                    if settings.adversarial is not None:  # thresholds are for images as they are
                        logits = _validation_logits(split.validation, network, settings, distributed, attacked=False)
                    if distributed.is_main:
                        _publish(run, network, split, logits, position)
            save()
    if log is not None:
        log.close()
    return TrainingResult(
        run=run,
        images_seen=position["images_seen"],
        epochs=position["epoch"],
        finished=position["finished"],
        validation_loss=position["best_loss"],
        validation_auc=position["best_auc"],
        images_this_call=position["images_seen"] - started_at,
        seconds=time.monotonic() - started,
        is_main=distributed.is_main,
    )


def _after_validation(
    logits: Tensor, labels: np.ndarray, weight: Tensor, position: dict[str, Any], log: RunLog | None
) -> tuple[dict[str, Any], bool]:
    """The position after one more epoch, and whether the validation loss is the best so far."""
    loss = float(known_loss(logits, torch.from_numpy(labels), weight.cpu()))
    if not math.isfinite(loss):
        raise TrainingDiverged(
            f"training diverged after {position['images_seen']} images (validation loss {loss}); "
            "lower learning_rate and start another run"
        )
    auc = mean_auc(logits.numpy(), labels)
    improved = loss < position["best_loss"]
    if log is not None:
        log.numbers({"images_seen": position["images_seen"], "validation_loss": loss, "validation_auc": auc})
    after = {**position, "epoch": position["epoch"] + 1, "batch": 0, "worse": position["worse"] + 1}
    if improved:
        after |= {"best_loss": loss, "best_auc": auc, "worse": 0}
    return after, improved


def _validation_logits(
    validation: Mixture,
    network: ClassifierNetwork,
    settings: ClassifierSettings,
    distributed: Distributed,
    *,
    attacked: bool,
) -> Tensor:
    """Logits of all validation images, (n, F) on the CPU: of the images as they are, or attacked as in training."""
    network.eval()
    found = torch.zeros(len(validation), network.config.findings, device=distributed.device)
    mine = np.arange(len(validation))[distributed.rank :: distributed.size]
    labels = torch.from_numpy(validation.labels).to(distributed.device)
    for number, batch in enumerate(np.array_split(mine, max(1, -(-len(mine) // VALIDATION_BATCH)))):
        grey = validation.read(batch).to(distributed.device, memory_format=torch.channels_last)
        rows = torch.from_numpy(batch).to(distributed.device)
        if attacked and settings.adversarial is not None:
            chance = torch_stream(settings.seed, "validation attack", number, distributed.rank)
            grey = attack(network, grey, labels[rows], settings.adversarial, generator=chance)
        with torch.no_grad():
            found[rows] = network(grey)
    return distributed.sum(found).cpu()


def mean_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean AUC over the findings with both classes, scores and labels (n, F); NaN where there is none."""
    aucs = auc_by_finding(scores, binary_labels(labels))
    defined = aucs[~np.isnan(aucs)]
    return float(defined.mean()) if len(defined) else math.nan


def _first_network(
    split: Split, settings: ClassifierSettings, weights: Path | None, pretrained: Path | None, *, begun: bool
) -> ClassifierNetwork:
    """The network that training begins with; of a run that has `begun` only its architecture matters."""
    config = settings.config(len(split.train.findings))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(settings.seed, "network"))
        network = ClassifierNetwork(config)
    if begun:
        return network
    initial = settings.initial if pretrained is None else str(pretrained)
    if initial == "imagenet":
        network.load_state_dict(imagenet_state(read_weights(find_weights(IMAGENET_WEIGHTS, weights)), network))
    elif initial != "random":
        other = Classifier.load(initial, device="cpu")
        if other.network.config != config or other.findings != split.train.findings:
            raise ClassifierRefused(
                f"{initial} is a {other.network.config.network} of {other.side} pixels for "
                f"{', '.join(other.findings)}; this run is a {config.network} of {config.side} pixels for "
                f"{', '.join(split.train.findings)}; set network, side and findings as there"
            )
        network.load_state_dict(other.network.state_dict())
        return network
    start_outputs(network, torch.from_numpy(np.nanmean(split.train.labels, axis=0)))
    return network


def _optimiser(network: ClassifierNetwork, settings: ClassifierSettings) -> torch.optim.Optimizer:
    rates: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimiser == "sgd":
        return torch.optim.SGD(network.parameters(), momentum=0.9, **rates)
    return torch.optim.AdamW(network.parameters(), **rates)


def _publish(run: Path, network: ClassifierNetwork, split: Split, logits: Tensor, position: dict[str, Any]) -> None:
    """Write the classifier, with thresholds chosen on its logits of the validation images."""
    scores, labels = logits.double().sigmoid().numpy(), split.validation.labels
    classes = binary_labels(labels)
    save_classifier(
        run / RUN_SUBFOLDER,
        network,
        name=split.train.sources,
        findings=split.train.findings,
        patients=split.patients,
        images_seen=position["images_seen"],
        validation_loss=position["best_loss"],
        thresholds={
            rule: [between(s[~np.isnan(c)], choose(s, c)) for s, c in zip(scores.T, classes.T, strict=True)]
            for rule, choose in RULES.items()
        },
    )


def between(scores: np.ndarray, threshold: float) -> float:
    """The threshold halfway to the next lower score, so that another machine's rounding does not change the alarms.

    Args:
        scores: probabilities, (n,).
        threshold: one of them; alarms are the scores that reach it.
    Returns:
        In [0, 1].
    """
    return float(threshold + scores[scores < threshold].max(initial=0.0)) / 2
