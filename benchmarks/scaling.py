"""Question: what do two processes under torchrun gain over one, and two threads, on two cores?

Beside them one process with two threads, which is what `radcommons train` does by itself on two cores. Then what the
schedules of the presets would need: their arithmetic, and hours at the rates measured by training.py on this machine.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from support.measuring import RESULTS, print_table, save

from radcommons.gan.recipes.progan.schedule import stages
from radcommons.gan.recipes.progan.settings import ProganSettings
from radcommons.models.families.progan import forward_flops
from radcommons.settings import preset_path

CASES = [("progan-64", 64, 16), ("paper-256", 32, 8)]
WAYS = {"one process, one thread": (1, 1), "one process, two threads": (1, 2), "two processes": (2, 1)}
ROUNDS = 2
SUPPORT = Path(__file__).parent / "support"


def images_per_second(preset: str, resolution: int, batch: int, processes: int, threads: int) -> float:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command += [str(SUPPORT / "rank_steps.py"), "--preset", preset, "--resolution", str(resolution)]
    command += ["--batch", str(batch), "--threads", str(threads), "--steps", "2" if preset == "paper-256" else "15"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(SUPPORT.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    rate: float = json.loads(done.stdout)["images_per_second"]
    return rate


def measure(preset: str, resolution: int, batch: int) -> dict[str, object]:
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS if preset == "progan-64" else 1):
        for way, (processes, threads) in WAYS.items():
            rates[way].append(images_per_second(preset, resolution, batch, processes, threads))
    middle = {way: median(values) for way, values in rates.items()}
    alone = middle["one process, one thread"]
    return {
        "preset": preset,
        "resolution": resolution,
        "batch": batch,
        **{f"{way}, images/s": rate for way, rate in middle.items()},
        "threads' gain": middle["one process, two threads"] / alone,
        "processes' gain": middle["two processes"] / alone,
    }


def projections() -> list[dict[str, object]]:
    """The arithmetic of each schedule, and the time it takes at the rates that training.py measured."""
    measured = json.loads((RESULTS / "training.json").read_text(encoding="utf-8"))["rows"]
    rates = {(row["preset"], row["resolution"]): row["ours images/s"] for row in measured}
    rows = []
    for preset in ("progan-64", "paper-256", "paper-512", "paper-1024"):
        settings = ProganSettings.load(preset_path("train", preset))
        plain = folded = seconds = 0.0
        unmeasured = []
        plan = stages(settings)
        for stage in plan:
            images = stage.end - stage.first
            generator, critic = forward_flops(settings.network(14), stage.resolution)
            work = 4 * generator + 14 * critic
            plain += images * work
            folded += images * folded_flops(settings, stage.resolution)
            rate = rates.get((preset, stage.resolution))
            if rate is None:
                unmeasured.append(stage.resolution)
            else:
                seconds += images / rate
        rows.append(
            {
                "preset": preset,
                "images": settings.total_images,
                "plain FLOP": f"{plain:.2e}",
                "folded FLOP": f"{folded:.2e}",
                "hours of this CPU in the measured stages": seconds / 3600,
                "stages not measured": ", ".join(map(str, unmeasured)) or "none",
                **{f"GPU hours at {rate} TFLOP/s": folded / rate / 3600e12 for rate in (50, 100, 200)},
            }
        )
    return rows


def folded_flops(settings: ProganSettings, resolution: int) -> float:
    """FLOPs of a step for one image where the doubling and halving convolutions are folded, as on a GPU."""
    width = settings.channels
    flops = 2.0 * 9 * width[4] ** 2 * 16
    side = 8
    while side <= resolution:
        flops += 2 * side**2 * width[side] * (4 * width[side // 2] + 9 * width[side])
        side *= 2
    return 18 * flops


def main() -> None:
    rows = [measure(*case) for case in CASES]
    schedules = projections()
    save("scaling", __doc__.splitlines()[0], rows, schedules=schedules)
    print_table("What the schedules need: projected", schedules)


if __name__ == "__main__":
    main()
