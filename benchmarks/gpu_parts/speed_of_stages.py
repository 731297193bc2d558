"""Images/s of every stage of two presets, and hours of their whole schedules at these rates.

Once with one batch that stays on the device, once with batches made, pinned and sent as in training; the projection
takes the second. Precision is what the preset finds best. Then, while time is left: with cuDNN's search for the fastest
convolutions, the largest side in fp32, and what the device was busy with during a few steps.
"""

import time
from collections.abc import Iterator
from itertools import count, repeat
from types import SimpleNamespace

import numpy as np
import torch
from support.steps import FILMS, FINDINGS, random_batch

from gpu_parts.results import Results, arguments, error_line, wait
from radcommons.gan.batches import Batches, TrainingBatch
from radcommons.gan.gradients import open_compute
from radcommons.gan.recipe import Position, Stage, Training
from radcommons.gan.recipes import RECIPES, load_settings
from radcommons.gan.settings import TrainSettings
from radcommons.precision import resolved
from radcommons.runs.distributed import Distributed
from radcommons.settings import preset_path

PRESETS: dict[str, tuple[str, ...]] = {"paper-256": (), "rgan-256": ()}
TOY_PRESETS = {
    "demo-32": ("resolution=8", "channels={4=4,8=4}", "batch_size={4=4,8=4}"),
    "small-64": ("resolution=16", "channels={4=4,8=4,16=4}", "noise=[16]", "batch_size=4"),
}
GOAL_HOURS = {"paper-256": 6.0}
PAPER_HOURS = {"paper-256": 60.0}  # on one P100
SECONDS = 3.0  # of each measurement
CYCLE = 4  # steps between two looks at the clock; a multiple of the steps between penalties


def steps_rate(
    training: Training, stage: Stage, batches: Iterator[TrainingBatch], device: torch.device, seconds: float
) -> float:
    """Images/s of whole steps where the stage is stable."""
    at = min(stage.stable, stage.end - 1) if stage.stable > stage.first else (stage.first + stage.end) // 2

    def cycle() -> None:
        for step in range(CYCLE):
            training.step(Position(step, at, at), next(batches))

    cycle()
    wait(device)
    images, started = 0, time.perf_counter()
    while images == 0 or time.perf_counter() - started < seconds:
        cycle()
        wait(device)
        images += CYCLE * stage.batch_size
    return images / (time.perf_counter() - started)


def fed(settings: TrainSettings, stage: Stage, distributed: Distributed) -> Iterator[TrainingBatch]:
    """Batches as in training, of random films in memory."""
    random = np.random.default_rng(0)
    films = random.integers(0, 256, (512, stage.resolution, stage.resolution), np.uint8)
    labels = random.integers(0, 2, (len(films), FINDINGS)).astype(np.float32)
    store = SimpleNamespace(images=lambda resolution: films)
    latent_size = settings.network(FINDINGS).latent_size
    batches = Batches(store, labels, np.arange(len(films)), 0, latent_size, distributed)  # type: ignore[arg-type]
    return batches.stream((step, step * stage.batch_size, stage.batch_size, stage.resolution) for step in count())


def measure(
    results: Results, preset: str, overrides: tuple[str, ...], distributed: Distributed, *, way: str, toy: bool
) -> None:
    settings = load_settings(preset_path("train", preset), overrides)
    plan, device = RECIPES[settings.family].stages(settings), distributed.device
    precision = "fp32" if way == "fp32" else resolved(settings.precision, device)
    seconds, hours = 0.05 if toy else SECONDS, 0.0
    with open_compute(precision, distributed) as compute:
        training = RECIPES[settings.family].training(settings, FILMS, compute)
        for stage in plan[-1:] if way == "fp32" else plan:
            row: dict[str, object] = {
                "preset": preset,
                "way": way,
                "precision": precision,
                "resolution": stage.resolution,
                "batch": stage.batch_size,
            }
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            try:
                latent_size = settings.network(FINDINGS).latent_size
                still = random_batch(stage.batch_size, stage.resolution, latent_size, device)
                row["images/s"] = alone = steps_rate(training, stage, repeat(still), device, seconds)
                row["ms a step"] = 1000 * stage.batch_size / alone
                if way == "as shipped":
                    stream = fed(settings, stage, distributed)
                    row["fed images/s"] = rate = steps_rate(training, stage, stream, device, seconds)
                    stream.close()  # type: ignore[attr-defined]
                else:
                    rate = alone
                row["hours"] = (stage.end - stage.first) / rate / 3600
                hours += row["hours"]  # type: ignore[operator]
            except Exception as error:
                row["error"] = error_line(error)
                hours = float("nan")
            if device.type == "cuda":
                row["peak MB"] = torch.cuda.max_memory_allocated(device) / 2**20
            results.add(row)
        if way != "fp32":
            whole = {"hours": hours, "goal": GOAL_HOURS.get(preset), "the paper's P100": PAPER_HOURS.get(preset)}
            results.note(**{f"whole {preset}, {way}": whole})
        if way == "as shipped":
            still = random_batch(plan[-1].batch_size, plan[-1].resolution, latent_size, device)
            results.note(**{f"busy with, {preset}": busy_with(training, plan[-1], still, device)})


def busy_with(training: Training, stage: Stage, batch: TrainingBatch, device: torch.device) -> dict[str, object]:
    """Where the time of a cycle of steps goes: share of it that the device works, and its longest operations."""
    from torch.profiler import ProfilerActivity, profile

    try:
        at = stage.end - 1
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
        wait(device)
        with profile(activities=kinds) as profiled:
            started = time.perf_counter()
            for step in range(CYCLE):
                training.step(Position(step, at, at), batch)
            wait(device)
            seconds = time.perf_counter() - started
        own = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
        events = [e for e in profiled.key_averages() if device.type == "cpu" or str(e.device_type).endswith("CUDA")]
        total = sum(getattr(e, own) for e in events) / 1e6
        longest = sorted(events, key=lambda e: -getattr(e, own))[:12]
        return {
            "busy share under the profiler": total / seconds,
            "operations a step": sum(e.count for e in events) // CYCLE,
            "longest, share": {e.key[:80]: getattr(e, own) / 1e6 / max(total, 1e-9) for e in longest},
        }
    except Exception as error:
        return {"error": error_line(error)}


def main() -> None:
    options = arguments(__doc__)
    results = Results(options.out / "stages.json", options.seconds)
    presets = TOY_PRESETS if options.toy else PRESETS
    distributed = Distributed(0, 1, torch.device("cpu") if options.toy else torch.device("cuda", 0))
    for way in ("as shipped", "fp32") if options.toy else ("as shipped", "cuDNN searches", "fp32"):
        torch.backends.cudnn.benchmark = way == "cuDNN searches"
        for preset, overrides in presets.items():
            if results.left < (0 if options.toy else 15):
                results.note(**{f"left out: {preset}, {way}": "out of time"})
                continue
            try:
                measure(results, preset, overrides, distributed, way=way, toy=options.toy)
            except Exception as error:  # the next preset may do
                results.add({"preset": preset, "way": way, "error": error_line(error)})


if __name__ == "__main__":
    main()
