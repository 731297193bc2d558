"""Training of one site's progressive GAN: one flat loop over images seen."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from radcommons.data.store import Store
from radcommons.data.training_patients import patients_record
from radcommons.errors import PathInUse, SettingRefused, TooFewImages, TrainingDiverged
from radcommons.gan.draws import Draws
from radcommons.gan.findings import chosen_findings, findings_record
from radcommons.gan.networks import build_networks, build_optimisers, restore, snapshot
from radcommons.gan.schedule import Phase, phase_at, stage_at, stages
from radcommons.gan.settings import TrainSettings, changed_settings
from radcommons.gan.steps import critic_step, generator_step
from radcommons.gan.threads import open_threads
from radcommons.models.cpu.inference import to_bytes
from radcommons.models.families.progan import GeneratorNetwork
from radcommons.models.generator_files import RUN_SUBFOLDER, is_saved, save_generator
from radcommons.pictures import contact_sheet
from radcommons.progress import Track, silent
from radcommons.runs import checkpoint
from radcommons.runs.distributed import Distributed, autocast_in, join
from radcommons.runs.folder import claim_folder
from radcommons.runs.log import RunLog
from radcommons.seeds import torch_stream

logger = logging.getLogger(__name__)

DIVERGED = 1e6  # no loss of a sound run comes near
SAMPLES_A_ROW = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call of `train` came to."""

    run: Path
    images_seen: int
    resolution: int
    finished: bool
    images_this_call: int
    seconds: float
    is_main: bool


def train(
    store: Store,
    settings: TrainSettings,
    run: Path,
    *,
    track: Track = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train until `total_images`, taking the run up where its last checkpoint left it.

    Args:
        store: the site's store; only its training part is used.
        settings: what to do; must equal the run's own where it has begun.
        run: the run's folder.
        should_stop: asked after every step; True saves a checkpoint and returns.
    Raises:
        PathInUse, SettingRefused, TooFewImages: before anything is changed.
        TrainingDiverged: names the last good checkpoint.
        CheckpointDamaged, DiskFull.
    """
    with join() as world, world.alone_in(run):
        return _train(store, settings, run, world, track, should_stop)


def _train(
    store: Store,
    settings: TrainSettings,
    run: Path,
    world: Distributed,
    track: Track,
    should_stop: Callable[[], bool],
) -> Outcome:
    # ---- what to learn from ----
    findings = chosen_findings(store, settings)
    plan = stages(settings)
    if plan[-1].resolution > store.resolutions[-1]:
        raise SettingRefused(
            f"resolution is {settings.resolution} but {store.path} holds images up to {store.resolutions[-1]}; "
            f"pass --set resolution={store.resolutions[-1]}"
        )
    world.require_divisible({s.resolution: s.batch_size for s in plan})
    rows = store.rows("train")
    if len(rows) < max(s.batch_size for s in plan):
        raise TooFewImages(
            f"{store.path} has {len(rows)} training images, fewer than the batch of "
            f"{max(s.batch_size for s in plan)}; import more or lower batch_size"
        )
    columns = [store.findings.index(f) for f in findings]
    labels = store.labels(rows)[:, columns]
    draws = Draws(store, labels, rows, seed=settings.seed, latent_size=settings.latent_size)
    published = findings_record(store, rows, findings)
    patients = patients_record(store, rows)
    if world.is_main and published.withheld_images > len(rows) / 2:
        logger.warning(
            "%s: the label combinations of %d of %d training images are too rare to leave the hospital (fewer than %d "
            "patients); 'generate' will draw labels from the rest, so prefer --balanced or --label",
            store.path,
            published.withheld_images,
            len(rows),
            published.smallest_cell,
        )

    # ---- networks, optimisers, position ----
    if world.is_main:
        claim_folder(run, settings, changed_settings)
    networks = build_networks(settings, len(findings), world.device)
    optimisers = build_optimisers(networks, settings)
    step, images_seen, last_step_at = 0, 0, 0  # the last: images seen when the last step began
    loaded = checkpoint.load(run, world.device)
    if loaded is not None:
        state, file = loaded
        if state["manifest_sha256"] != store.record.manifest_sha256:
            raise PathInUse(f"{run} was trained on another store than {store.path}; name that store or another --out")
        step, images_seen, last_step_at = state["step"], state["images_seen"], state["last_step_at"]
        restore(networks, optimisers, state)
        if world.is_main and file == checkpoint.previous_file(run) and checkpoint.checkpoint_file(run).exists():
            checkpoint.set_damaged_aside(run)
            logger.warning("%s: checkpoint.pt is damaged; going on from %s at %d images", run, file.name, images_seen)
    started_at, started = images_seen, time.monotonic()
    log = RunLog(run, images_seen) if world.is_main else None
    autocast = autocast_in(settings.precision, world)

    def save() -> None:
        if not world.is_main:
            return
        position = {"step": step, "images_seen": images_seen, "last_step_at": last_step_at}
        source = {"manifest_sha256": store.record.manifest_sha256}
        checkpoint.save(run, {**position, **source, **snapshot(networks, optimisers)})
        publish()

    def publish() -> None:
        reached = phase_at(last_step_at, plan)
        save_generator(
            run / RUN_SUBFOLDER,
            networks.average,
            published,
            name=store.name,
            resolution=reached.resolution,
            fade=reached.fade,
            images_seen=images_seen,
            patients=patients,
        )

    resumed = world.is_main and loaded is not None
    if resumed and not is_saved(run / RUN_SUBFOLDER, images_seen=images_seen, patients=patients):
        publish()  # the last call was killed between its checkpoint and its generator, or listed no patients yet

    # ---- the loop ----
    stage = stage_at(last_step_at, plan)
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}
    logged_at, logged = images_seen, time.monotonic()
    stopped = False
    with (
        track("Training", total=settings.total_images, done=images_seen) as advance,
        open_threads(world.device) as threads,
        closing(draws.stream(plan, step, images_seen, world)) as stream,
    ):
        for phase, draw in stream:
            if (now := stage_at(images_seen, plan)) != stage:
                stage = now
                optimisers = build_optimisers(networks, settings)
            for optimiser in optimisers.values():
                optimiser.param_groups[0]["lr"] = phase.learning_rate

            last_of_round = (step + 1) % settings.critic_steps == 0
            numbers, fakes = critic_step(
                networks,
                optimisers["critic"],
                draw,
                phase,
                settings,
                penalise=step % settings.penalty_interval == 0,
                autocast=autocast,
                synchronise=world.mean_gradients,
                threads=threads,
                keep_fakes=last_of_round,
            )
            if last_of_round:
                numbers |= generator_step(
                    networks,
                    optimisers["generator"],
                    fakes,
                    phase,
                    settings,
                    autocast=autocast,
                    synchronise=world.mean_gradients,
                    threads=threads,
                )
            last_step_at = images_seen
            images_seen += phase.batch_size
            step += 1
            advance(phase.batch_size)

            for name, value in numbers.items():
                sums[name] = sums.get(name, torch.zeros((), device=world.device)) + value
                counts[name] = counts.get(name, 0) + 1
            done = images_seen >= settings.total_images
            log_due = done or _passes(last_step_at, images_seen, settings.log_every)
            save_due = done or _passes(last_step_at, images_seen, settings.checkpoint_every)
            if world.size == 1 or save_due or log_due:  # asking the other processes takes time
                stopped = not done and world.any(should_stop())
            if log_due or save_due or stopped:
                means = {name: float(total) / counts[name] for name, total in sums.items()}
                if world.any(any(not math.isfinite(v) or abs(v) > DIVERGED for v in means.values())):
                    raise TrainingDiverged(_diverged(run, means, images_seen))
                sums, counts = {}, {}
                if log is not None:
                    seconds = max(1e-9, time.monotonic() - logged)
                    rate = (images_seen - logged_at) / seconds
                    logged_at, logged = images_seen, time.monotonic()
                    position = {
                        "images_seen": images_seen,
                        "resolution": phase.resolution,
                        "fade": phase.fade,
                    }
                    log.numbers({**position, "images_per_second": rate, "seconds": seconds, **means})
            if log is not None and (done or _passes(last_step_at, images_seen, settings.samples_every)):
                sheet = sample_sheet(networks.average, findings, phase, settings, world.device)
                log.samples(sheet, images_seen, phase.resolution)
            if save_due or stopped:
                save()
            if stopped:
                break
    if log is not None:
        log.close()
    reached = phase_at(last_step_at, plan)
    return Outcome(
        run=run,
        images_seen=images_seen,
        resolution=reached.resolution,
        finished=images_seen >= settings.total_images,
        images_this_call=images_seen - started_at,
        seconds=time.monotonic() - started,
        is_main=world.is_main,
    )


def sample_sheet(
    network: GeneratorNetwork,
    findings: tuple[str, ...],
    phase: Phase,
    settings: TrainSettings,
    device: torch.device,
) -> Image.Image:
    """Grid of the same pseudo-patients: a row without finding, then a row a finding."""
    latents = torch.randn(SAMPLES_A_ROW, settings.latent_size, generator=torch_stream(settings.seed, "samples")).to(
        device
    )
    rows = []
    for position in range(-1, len(findings)):
        labels = torch.zeros(SAMPLES_A_ROW, len(findings), device=device)
        if position >= 0:
            labels[:, position] = 1
        with torch.no_grad():
            images = network(latents, labels, phase.resolution, phase.fade)
        rows.append(to_bytes(images)[:, 0].cpu().numpy())
    return contact_sheet(rows, ("No finding", *findings), side=max(64, phase.resolution))


def _passes(before: int, after: int, every: int) -> bool:
    return before // every != after // every


def _diverged(run: Path, means: dict[str, float], images_seen: int) -> str:
    worst = ", ".join(f"{n} {v:.3g}" for n, v in means.items() if not math.isfinite(v) or abs(v) > DIVERGED)
    file = checkpoint.checkpoint_file(run)
    good = f"the last good checkpoint is {file}" if file.exists() else "no checkpoint had been written"
    return f"training diverged after {images_seen} images ({worst}); {good}; lower learning_rate and start another run"
