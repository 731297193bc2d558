"""What a command keeps beside a busy process on each of two cores (aim: 0.45 of its rate), and alone (aim: all).

The threads of our commands wait for each other only a moment before they sleep. The baseline is the same command with
the default of GNU OpenMP, which counts to 300,000 first. Ours runs alone and beside two endless loops, the baseline
alone, on the first two cores of the machine: training at several resolutions and classifiers (images/s between log
lines), and whole audits. CPU time per image shows how much of the cores waiting takes. EXPERIMENTS.md has the results.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from support.measuring import print_table, save

from radcommons.runs.log import read_log

CORES = 2
SECONDS = 6.0  # of each measured part of a training
PATIENCE = 120.0  # seconds until a training has reached that part
TARGET = 0.45
SPINNING = {"GOMP_SPINCOUNT": "300000"}
TRAININGS = ("train, 8", "train, 32", "classify train, 64", "classify train, 96")
AUDIT = "audit, 32"
SILENT: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
COMMAND = [sys.executable, "-m", "radcommons"]
TICKS = os.sysconf("SC_CLK_TCK")
Measured = tuple[float, float]  # images/s (audits: audits/s), CPU seconds an image (an audit)


def settings(**values: object) -> list[str]:
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


def training(case: str, folder: Path, run: Path) -> list[str]:
    """The command of a case."""
    command, side = case.split(", ")
    if command == "train":
        shape = settings(resolution=side, total_images=1_000_000, growing_share=0.0002, log_every=160)
        return [*COMMAND, "train", str(folder / "store-32"), "--out", str(run), "--preset", "demo-32", *shape]
    store = folder / ("store-64" if side == "64" else "store-128")
    shape = settings(side=side, epochs=1000, patience=1000, log_every=64)
    return [*COMMAND, "classify", "train", str(store), "--out", str(run), "--preset", "small-64", *shape]


@contextmanager
def busy(processes: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def training_rate(case: str, folder: Path, environment: dict[str, str]) -> Measured:
    """Of the last stage, from its first log line on; NaN where it is not reached in time."""
    with tempfile.TemporaryDirectory(dir=folder) as run:
        command = training(case, folder, Path(run, "run"))
        process = subprocess.Popen(command, env={**os.environ, **environment}, **SILENT)

        def lines() -> list[dict[str, Any]]:
            every = [line for line in read_log(Path(run, "run")) if "images_per_second" in line]
            side = case.rpartition(" ")[2]
            return [line for line in every if line.get("fade", 1) == 1 and str(line.get("resolution", side)) == side]

        try:
            deadline = time.monotonic() + PATIENCE
            while len(lines()) < 2 and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.05)
            first, cpu = len(lines()), cpu_seconds(process.pid)
            time.sleep(SECONDS)
            cpu = cpu_seconds(process.pid) - cpu
            seen = lines()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
    if first < 2 or len(seen) <= first:
        return float("nan"), float("nan")
    steps = [b["images_seen"] - a["images_seen"] for a, b in zip(seen[first - 1 :], seen[first:], strict=False)]
    seconds = sum(n / line["images_per_second"] for n, line in zip(steps, seen[first:], strict=True))
    return sum(steps) / seconds, cpu / SECONDS * seconds / sum(steps)


def cpu_seconds(pid: int) -> float:
    """User and system time of a running process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def audit_rate(folder: Path, environment: dict[str, str]) -> Measured:
    sizes = settings(
        images=300, balanced_images=150, classifier_images=1500, inverted_films=32, inversion_steps=20, pairs=60
    )
    with tempfile.TemporaryDirectory(dir=folder) as out:
        command = [*COMMAND, "audit", str(folder / "run"), str(folder / "store-32"), "--out", f"{out}/audit"]
        started = time.monotonic()
        process = subprocess.Popen([*command, "--preset", "quick", *sizes], env={**os.environ, **environment}, **SILENT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return 1 / (time.monotonic() - started), used.ru_utime + used.ru_stime


def measure(case: str, folder: Path, rounds: int) -> dict[str, object]:
    def once(environment: dict[str, str], beside: int) -> Measured:
        with busy(beside):
            return audit_rate(folder, environment) if case == AUDIT else training_rate(case, folder, environment)

    ways = [({}, 0), (SPINNING, 0), ({}, CORES)]
    found = [[once(*way) for way in ways] for _ in range(rounds)]  # in turns, so that a slow minute harms all alike
    (rate, cpu), (spin_rate, spin_cpu), (beside, beside_cpu) = (
        tuple(median(values) for values in zip(*way, strict=True)) for way in zip(*found, strict=True)
    )
    return {
        "case": case,
        "a second, alone": rate,
        "spinning, alone": spin_rate,
        "alone, ours / spinning": rate / spin_rate,
        "a second, beside": beside,
        "kept": beside / rate,
        "CPU ms, alone": 1e3 * cpu,
        "CPU ms, beside": 1e3 * beside_cpu,
        "CPU ms, spinning, alone": 1e3 * spin_cpu,
    }


def prepare(folder: Path, cases: list[str]) -> None:
    """Stores of phantoms and a generator to audit."""
    stores = {"train": 32, "audit": 32, "classify train, 64": 64, "classify train, 96": 128}
    for side in sorted({side for name, side in stores.items() if any(case.startswith(name) for case in cases)}):
        store = ["--out", str(folder / f"store-{side}"), "--patients", "200", "--resolution", str(side)]
        run([*COMMAND, "data", "phantom", *store])
    if AUDIT in cases:
        trained = ["--out", str(folder / "run"), "--preset", "demo-32", *settings(total_images=2000)]
        run([*COMMAND, "train", str(folder / "store-32"), *trained])


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", action="append", choices=[*TRAININGS, AUDIT], help="these alone, and no result file")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    os.environ.pop("OMP_WAIT_POLICY", None)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    cases = options.case or [*TRAININGS, AUDIT]
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), cases)
        rows = [measure(case, Path(name), options.rounds) for case in cases]
    claim = " ".join(__doc__.split("\n\n")[0].split())
    if options.case:
        print_table(claim, rows)
    else:
        save("contention", claim, rows, rounds=options.rounds, target=TARGET)


if __name__ == "__main__":
    main()
