"""Training of one site's progressive GAN: one flat loop over images seen."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image

from radcommons.data.store import Store
from radcommons.errors import PathInUse, SettingRefused, TooFewImages, TrainingDiverged, nearest_hint
from radcommons.models.generator_files import RUN_SUBFOLDER, save_generator
from radcommons.models.progan import Critic, GeneratorNetwork
from radcommons.models.sampling import to_bytes
from radcommons.pictures import contact_sheet
from radcommons.progress import Track, silent
from radcommons.records import FindingsRecord
from radcommons.seeds import derive, torch_stream
from radcommons.train import checkpoint
from radcommons.train.draws import Draws
from radcommons.train.run_log import RunLog
from radcommons.train.schedule import Phase, phase_at, stage_at, stages
from radcommons.train.settings import TrainSettings
from radcommons.train.steps import Networks, critic_step, generator_step
from radcommons.train.world import World, join

SMALLEST_CELL = 5  # patients behind a label combination that leaves the hospital
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
    leads: bool


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
    with join() as world:
        return _train(store, settings, run, world, track, should_stop)


def _train(
    store: Store,
    settings: TrainSettings,
    run: Path,
    world: World,
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

    # ---- networks, optimisers, position ----
    if world.leads:
        claim_folder(run, settings)
    networks = build_networks(settings, len(findings), world.device)
    optimisers = build_optimisers(networks, settings)
    step, images_seen, last_step_at = 0, 0, 0  # the last: images seen when the last step began
    loaded = checkpoint.load(run, world.device)
    if loaded is not None:
        state, _ = loaded
        if state["manifest_sha256"] != store.record.manifest_sha256:
            raise PathInUse(f"{run} was trained on another store than {store.path}; name that store or another --out")
        step, images_seen, last_step_at = state["step"], state["images_seen"], state["last_step_at"]
        restore(networks, optimisers, state)
    started_at, started = images_seen, time.monotonic()
    log = RunLog(run, images_seen) if world.leads else None
    autocast = _autocast(settings, world)

    def save() -> None:
        if not world.leads:
            return
        position = {"step": step, "images_seen": images_seen, "last_step_at": last_step_at}
        source = {"manifest_sha256": store.record.manifest_sha256}
        checkpoint.save(run, {**position, **source, **snapshot(networks, optimisers)})
        reached = phase_at(last_step_at, plan)
        save_generator(
            run / RUN_SUBFOLDER,
            networks.average,
            published,
            name=store.name,
            resolution=reached.resolution,
            fade=reached.fade,
            images_seen=images_seen,
        )

    # ---- the loop ----
    stage = stage_at(last_step_at, plan)
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}
    logged_at, logged = images_seen, time.monotonic()
    stopped = False
    with track("Training", total=settings.total_images, done=images_seen) as advance:
        while images_seen < settings.total_images and not stopped:
            phase = phase_at(images_seen, plan)
            if (now := stage_at(images_seen, plan)) != stage:
                stage = now
                optimisers = build_optimisers(networks, settings)
            for optimiser in optimisers.values():
                optimiser.param_groups[0]["lr"] = phase.learning_rate

            draw = draws.at(step, images_seen, batch_size=phase.batch_size, resolution=phase.resolution, world=world)
            numbers = critic_step(
                networks,
                optimisers["critic"],
                draw,
                phase,
                settings,
                penalise=step % settings.penalty_interval == 0,
                autocast=autocast,
                synchronise=world.mean_gradients,
            )
            if (step + 1) % settings.critic_steps == 0:
                draw = draws.fresh_latents(step, draw, batch_size=phase.batch_size, world=world)
                numbers |= generator_step(
                    networks,
                    optimisers["generator"],
                    draw,
                    phase,
                    settings,
                    autocast=autocast,
                    synchronise=world.mean_gradients,
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
        leads=world.leads,
    )


def chosen_findings(store: Store, settings: TrainSettings) -> tuple[str, ...]:
    """The findings to learn: those asked for, else all with at least one positive training image.

    A finding that training never shows would be an output that means nothing.
    """
    positives = np.nansum(store.labels(store.rows("train")), axis=0)
    present = {f for f, count in zip(store.findings, positives, strict=True) if count > 0}
    if settings.findings is None:
        return tuple(f for f in store.findings if f in present)
    for finding in settings.findings:
        if finding not in store.findings:
            raise SettingRefused(f"finding '{finding}' is not in {store.path}; {nearest_hint(finding, store.findings)}")
        if finding not in present:
            raise SettingRefused(f"finding '{finding}' has no positive training image in {store.path}; leave it out")
    return settings.findings


def findings_record(store: Store, rows: np.ndarray, findings: tuple[str, ...]) -> FindingsRecord:
    """How the findings occur together in training, without combinations of fewer than SMALLEST_CELL patients."""
    part = store.manifest[rows].with_columns(pl.col(f).fill_null(0) for f in findings)
    groups = part.group_by(list(findings)).agg(pl.len().alias("images"), pl.col("patient").n_unique().alias("people"))
    safe = groups.filter(pl.col("people") >= SMALLEST_CELL).sort("images", *findings, descending=True)
    combinations = tuple((tuple(row[:-1]), row[-1]) for row in safe.select(*findings, "images").iter_rows())
    return FindingsRecord(findings=findings, combinations=combinations, smallest_cell=SMALLEST_CELL)


def claim_folder(run: Path, settings: TrainSettings) -> None:
    """Make the run's folder and save its settings, or check that they are the ones it began with."""
    saved = run / "config.toml"
    if saved.is_file():
        begun = TrainSettings.load(saved)
        if differing := changed_settings(begun, settings):
            raise PathInUse(f"{run} was begun with {'; '.join(differing)}; use those, or choose another --out")
    elif run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise PathInUse(f"{run} already holds something else; choose another --out")
    run.mkdir(parents=True, exist_ok=True)
    settings.save(saved)


def changed_settings(begun: TrainSettings, asked: TrainSettings) -> list[str]:
    """What a run cannot change on the way, one text a setting.

    A later end may be asked for where phases have lengths of their own, since nothing before it moves.
    """
    fields: list[str] = [n for n in TrainSettings.model_fields if getattr(begun, n) != getattr(asked, n)]
    if asked.images_per_phase is not None and asked.total_images >= begun.total_images:
        fields = [n for n in fields if n != "total_images"]
    return [f"{n} = {getattr(begun, n)}, not {getattr(asked, n)}" for n in fields]


def build_networks(settings: TrainSettings, findings: int, device: torch.device) -> Networks:
    """Freshly initialised networks; the initial weights depend on the seed only."""
    config = settings.network(findings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(settings.seed, "weights"))
        generator, critic, average = GeneratorNetwork(config), Critic(config), GeneratorNetwork(config)
    average.load_state_dict(generator.state_dict())
    average.requires_grad_(False)
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format  # slower in training on a CPU
    for network in (generator, critic, average):
        network.to(device=device, memory_format=layout)  # type: ignore[call-overload]  # torch's stub lacks the pair
    return Networks(generator, critic, average)


def build_optimisers(networks: Networks, settings: TrainSettings) -> dict[str, torch.optim.Adam]:
    """Fresh Adam states, as at the start of every stage."""
    betas = (settings.adam_beta1, settings.adam_beta2)
    return {
        "generator": torch.optim.Adam(networks.generator.parameters(), betas=betas, eps=1e-8),
        "critic": torch.optim.Adam(networks.critic.parameters(), betas=betas, eps=1e-8),
    }


def snapshot(networks: Networks, optimisers: dict[str, torch.optim.Adam]) -> dict[str, Any]:
    """The state that, with the position, determines the rest of the run."""
    return {
        "generator": networks.generator.state_dict(),
        "critic": networks.critic.state_dict(),
        "average": networks.average.state_dict(),
        "optimisers": {name: optimiser.state_dict() for name, optimiser in optimisers.items()},
    }


def restore(networks: Networks, optimisers: dict[str, torch.optim.Adam], state: dict[str, Any]) -> None:
    """Put a snapshot back."""
    networks.generator.load_state_dict(state["generator"])
    networks.critic.load_state_dict(state["critic"])
    networks.average.load_state_dict(state["average"])
    for name, optimiser in optimisers.items():
        optimiser.load_state_dict(state["optimisers"][name])


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


def _autocast(settings: TrainSettings, world: World) -> Callable[[], Any]:
    if settings.precision == "bf16" and world.device.type == "cuda":
        return lambda: torch.autocast("cuda", torch.bfloat16)
    return nullcontext


def _passes(before: int, after: int, every: int) -> bool:
    return before // every != after // every


def _diverged(run: Path, means: dict[str, float], images_seen: int) -> str:
    worst = ", ".join(f"{n} {v:.3g}" for n, v in means.items() if not math.isfinite(v) or abs(v) > DIVERGED)
    file = checkpoint.checkpoint_file(run)
    good = f"the last good checkpoint is {file}" if file.exists() else "no checkpoint had been written"
    return f"training diverged after {images_seen} images ({worst}); {good}; lower learning_rate and start another run"
