"""Training of one site's generator, of any family: one flat loop over images seen."""

import logging
import math
import shlex
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from radcommons.data.store import Store
from radcommons.data.training_patients import patients_record
from radcommons.errors import PathInUse, SettingRefused, TooFewImages, TrainingDiverged
from radcommons.gan.batches import Batches
from radcommons.gan.findings import chosen_findings, findings_record
from radcommons.gan.gradients import open_compute
from radcommons.gan.recipe import TrainingState, advance, upcoming
from radcommons.gan.recipes import RECIPES
from radcommons.gan.settings import TrainSettings, free_settings
from radcommons.models.families.family import FamilyConfig
from radcommons.models.generator_files import RUN_SUBFOLDER, is_saved, save_generator
from radcommons.models.grey_levels import to_bytes
from radcommons.pictures import SYNTHETIC, contact_sheet
from radcommons.precision import Precision, resolved
from radcommons.progress import Track, silent
from radcommons.records import FindingsRecord, PatientsRecord
from radcommons.runs import checkpoint
from radcommons.runs.distributed import Distributed
from radcommons.runs.folder import claim_folder
from radcommons.runs.log import RunLog
from radcommons.runs.page import About
from radcommons.seeds import torch_stream

logger = logging.getLogger(__name__)

DIVERGED = 1e6  # no loss of a sound run comes near
SAMPLES_A_ROW = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call of `train` did."""

    run: Path
    images_seen: int
    resolution: int
    finished: bool
    images_this_call: int
    seconds: float
    is_main: bool


@dataclass(frozen=True, slots=True)
class Source:
    """What a generator learns from, and what is published about it beside the weights."""

    store: Store
    batches: Batches
    findings: FindingsRecord
    patients: PatientsRecord


def train(
    store: Store,
    settings: TrainSettings,
    run: Path,
    *,
    rows: np.ndarray | None = None,
    track: Track = silent,
    should_stop: Callable[[], bool] = lambda: False,
    watch: Callable[[Path], None] = lambda page: None,
) -> Outcome:
    """Train until `total_images`; a stopped run continues from its last checkpoint.

    Args:
        store: the site's store; only its training part is used.
        settings: must equal those that the run was begun with.
        run: the run's folder.
        rows: of the films to learn from, the same at every call; by default the training part.
        should_stop: called after every step; True saves a checkpoint and returns.
        watch: is given the page on which people see how the training goes, once it is there.
    Raises:
        PathInUse, SettingRefused, TooFewImages: before anything is changed.
        TrainingDiverged: names the last good checkpoint.
        CheckpointDamaged, DiskFull.
    """
    with Distributed.init() as distributed, distributed.alone_in(run):
        source = open_source(store, settings, distributed, rows=rows)
        if distributed.is_main:
            claim_folder(run, settings, free_settings)
        return _train(source, settings, run, distributed, track, should_stop, watch)


def open_source(
    store: Store,
    settings: TrainSettings,
    distributed: Distributed,
    *,
    findings: tuple[str, ...] | None = None,
    rows: np.ndarray | None = None,
    seed: int | None = None,
) -> Source:
    """The training part of a store, as these settings need it.

    Args:
        findings: to learn; by default those that the settings choose.
        rows: of the films to learn from; by default the training part.
        seed: of this site's batches; by default that of the settings.
    Raises:
        SettingRefused, TooFewImages.
    """
    alone = findings is None
    findings = chosen_findings(store, settings) if findings is None else findings
    plan = RECIPES[settings.family].stages(settings)
    if plan[-1].resolution > store.resolutions[-1]:
        raise SettingRefused(
            f"resolution is {settings.resolution} but {store.path} holds images up to {store.resolutions[-1]}; "
            f"pass --set resolution={store.resolutions[-1]}"
        )
    distributed.require_divisible({s.resolution: s.batch_size for s in plan})
    rows = store.rows("train") if rows is None else rows
    largest = max(s.batch_size for s in plan)
    if len(rows) < largest:
        raise TooFewImages(
            f"{store.path} has {len(rows)} training images, fewer than the batch of {largest}; "
            f"import more or lower batch_size"
        )
    columns = [store.findings.index(f) for f in findings]
    batches = Batches(
        store,
        store.labels(rows)[:, columns],
        rows,
        seed=settings.seed if seed is None else seed,
        latent_size=settings.network(len(findings)).latent_size,
        distributed=distributed,
    )
    source = Source(store, batches, findings_record(store, rows, findings), patients_record(store, rows))
    if alone and distributed.is_main and source.findings.withheld_images > len(rows) / 2:
        logger.warning(
            "%s: the label combinations of %d of %d training images are too rare to leave the hospital (fewer than %d "
            "patients); 'generate' will draw labels from the rest, so prefer --balanced or --label",
            store.path,
            source.findings.withheld_images,
            len(rows),
            source.findings.smallest_cell,
        )
    return source


def _train(
    source: Source,
    settings: TrainSettings,
    run: Path,
    distributed: Distributed,
    track: Track,
    should_stop: Callable[[], bool],
    watch: Callable[[Path], None],
) -> Outcome:
    started = time.monotonic()
    loaded = checkpoint.load(run, distributed.device)
    begun = loaded[0].get("precision") if loaded else None  # a run keeps it on another machine
    precision = begun or resolved(settings.precision, distributed.device, anywhere=distributed.any)
    with open_compute(precision, distributed) as compute, ExitStack() as stack:
        # ---- networks and position ----
        training = RECIPES[settings.family].training(settings, source.batches.summary(), compute)
        state = TrainingState(settings.family, training)
        if loaded is not None:
            resume(state, source, run, distributed, *loaded)
        started_at = state.position.images_seen
        log = None
        if distributed.is_main:
            log = stack.enter_context(RunLog(run, started_at, _about(source, settings, run)))
            if log.page is not None:
                watch(log.page)
        logged_at, logged = started_at, time.monotonic()

        # ---- the loop ----
        numbers: list[dict[str, Tensor]] = []  # of every step since the last log line
        stopped = False
        stream = source.batches.stream(upcoming(training, state.position, end=settings.total_images))
        with track("Training", total=settings.total_images, done=started_at) as report, closing(stream):
            while state.position.images_seen < settings.total_images and not stopped:
                numbers += advance(state, stream, 1)
                last, now = state.position.last_step_at, state.position.images_seen
                report(now - last)

                done = now >= settings.total_images
                log_due = done or _passes(last, now, settings.log_every)
                save_due = done or _passes(last, now, settings.checkpoint_every)
                if distributed.size == 1 or save_due or log_due:  # asking the other processes takes time
                    stopped = not done and distributed.any(should_stop())
                if log_due or save_due or stopped:
                    means = means_of(numbers)
                    if distributed.any(any(not math.isfinite(v) or abs(v) > DIVERGED for v in means.values())):
                        raise TrainingDiverged(_diverged(run, means, now))
                    numbers = []
                    if log is not None:
                        seconds = max(1e-9, time.monotonic() - logged)
                        rate = (now - logged_at) / seconds
                        logged_at, logged = now, time.monotonic()
                        schedule = {"resolution": training.batch_at(last)[1], **training.schedule_at(last)}
                        speed = {"images_per_second": rate, "seconds": seconds}
                        log.numbers({"images_seen": now, **schedule, **speed, **means})
                if log is not None and (done or _passes(last, now, settings.samples_every)):
                    network, config = training.published(last)
                    sheet = sample_sheet(network, config, source.findings.findings, settings.seed, distributed.device)
                    log.samples(sheet, now, config.side)
                if distributed.is_main and (save_due or stopped):
                    save(state, source, run, precision)
        if log is not None:
            log.finished = state.position.images_seen >= settings.total_images
        return Outcome(
            run=run,
            images_seen=state.position.images_seen,
            resolution=training.batch_at(state.position.last_step_at)[1],
            finished=state.position.images_seen >= settings.total_images,
            images_this_call=state.position.images_seen - started_at,
            seconds=time.monotonic() - started,
            is_main=distributed.is_main,
        )


def resume(
    state: TrainingState, source: Source, run: Path, distributed: Distributed, saved: dict[str, Any], file: Path
) -> None:
    """Bring a new state to where the run's last checkpoint, loaded from `file`, left it."""
    if saved["manifest_sha256"] != source.store.record.manifest_sha256:
        raise PathInUse(
            f"{run} was trained on another store than {source.store.path}; name that store or another --out"
        )
    state.load_state_dict(saved)
    if not distributed.is_main:
        return
    checkpoint.set_damaged_aside(run, file)
    if not is_saved(run / RUN_SUBFOLDER, images_seen=state.position.images_seen, patients=source.patients):
        publish(state, source, run)  # the last call was killed after its checkpoint, or listed no patients yet


def save(state: TrainingState, source: Source, run: Path, precision: Precision) -> None:
    """Write the run's checkpoint and its generator."""
    of_run = {"manifest_sha256": source.store.record.manifest_sha256, "precision": precision}
    checkpoint.save(run, {**of_run, **state.state_dict()})
    publish(state, source, run)


def publish(state: TrainingState, source: Source, run: Path) -> None:
    """Write the run's generator, as it will be packaged."""
    network, config = state.training.published(state.position.last_step_at)
    save_generator(
        run / RUN_SUBFOLDER,
        network,
        source.findings,
        family=state.family,
        config=config,
        name=source.store.name,
        images_seen=state.position.images_seen,
        patients=source.patients,
    )


def means_of(numbers: list[dict[str, Tensor]]) -> dict[str, float]:
    """The mean of each number over the steps that have it."""
    names = {name: None for step in numbers for name in step}  # in order
    values = {name: [step[name] for step in numbers if name in step] for name in names}
    return {name: float(sum(of_name)) / len(of_name) for name, of_name in values.items()}


def sample_rows(findings: tuple[str, ...]) -> tuple[str, ...]:
    """What the rows of a sample sheet show, from the top."""
    return ("No finding", *findings)


def sample_sheet(
    network: nn.Module, config: FamilyConfig, findings: tuple[str, ...], seed: int, device: torch.device
) -> Image.Image:
    """Grid of images from the same latents: a row without finding, then one row per finding."""
    latents = torch.randn(SAMPLES_A_ROW, config.latent_size, generator=torch_stream(seed, "samples")).to(device)
    rows = []
    for position in range(-1, len(findings)):
        labels = torch.zeros(SAMPLES_A_ROW, len(findings), device=device)
        if position >= 0:
            labels[:, position] = 1
        with torch.no_grad():
            rows.append(to_bytes(network(latents, labels))[:, 0].cpu().numpy())
    return contact_sheet(rows, sample_rows(findings), side=max(64, config.side), title=SYNTHETIC)


def _about(source: Source, settings: TrainSettings, run: Path) -> About:
    """What the run's page says besides its log."""
    store, folder = shlex.quote(str(source.store.path.resolve())), shlex.quote(str(run.resolve()))
    films = f"{len(source.batches.rows):,} {'simulated ' if source.store.simulated else ''}films"
    return About(
        title=f"Training on {source.store.name}",
        films=f"The generator learns from {films} of the training part.",
        total_images=settings.total_images,
        resolution=RECIPES[settings.family].stages(settings)[-1].resolution,
        rows=sample_rows(source.findings.findings),
        settings=settings.model_dump(mode="json"),
        resume=f"radcommons train {store} --out {folder}",
        audit=f"radcommons audit {folder} {store} --out {folder}-audit --controls",
    )


def _passes(before: int, after: int, every: int) -> bool:
    return before // every != after // every


def _diverged(run: Path, means: dict[str, float], images_seen: int) -> str:
    worst = ", ".join(f"{n} {v:.3g}" for n, v in means.items() if not math.isfinite(v) or abs(v) > DIVERGED)
    file = checkpoint.checkpoint_file(run)
    good = f"the last good checkpoint is {file}" if file.exists() else "no checkpoint had been written"
    return f"training diverged after {images_seen} images ({worst}); {good}; lower learning_rate and start another run"
