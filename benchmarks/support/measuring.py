"""Paired timing of two ways to do the same, what the machine could do at most, and where results go."""

import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

RESULTS = Path(__file__).parents[1] / "results"
ROUNDS = 5


@dataclass(frozen=True)
class Pair:
    """Seconds of the baseline and of ours, one entry a round, measured in turns."""

    baseline: list[float]
    ours: list[float]

    @property
    def baseline_seconds(self) -> float:
        return median(self.baseline)

    @property
    def our_seconds(self) -> float:
        return median(self.ours)

    @property
    def ratio(self) -> float:
        """Median over the rounds of baseline / ours; > 1 = ours is faster."""
        return median(b / o for b, o in zip(self.baseline, self.ours, strict=True))


def pair(
    baseline: Callable[[], Any],
    ours: Callable[[], Any],
    *,
    rounds: int = ROUNDS,
    warm_up: bool = True,
    before: Callable[[], Any] = lambda: None,
) -> Pair:
    """Time both `rounds` times, in turns and in changing order, so that a busy neighbour harms both alike.

    `before` runs before each and is not timed.
    """
    if warm_up:
        baseline()
        ours()
    seconds: tuple[list[float], list[float]] = ([], [])
    for round_number in range(rounds):
        for which in (0, 1) if round_number % 2 == 0 else (1, 0):
            before()
            seconds[which].append(seconds_of((baseline, ours)[which]))
    return Pair(*seconds)


def seconds_of(work: Callable[[], Any]) -> float:
    """Wall seconds of one call; waits for a GPU."""
    _wait()
    started = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - started


def matrix_product_rate(side: int = 2048) -> float:
    """float32 FLOP/s of this device's matrix product, median of nine, with torch's present thread count."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a, b = torch.randn(side, side, device=device), torch.randn(side, side, device=device)
    a @ b
    return 2 * side**3 / median(seconds_of(lambda: a @ b) for _ in range(9))


def copy_rate(megabytes: int = 200) -> float:
    """Bytes/s moved (read and written) by a copy that fits in no cache, median of nine."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a = torch.randn(megabytes * 250_000, device=device)
    b = torch.empty_like(a)
    b.copy_(a)
    return 2 * a.numel() * 4 / median(seconds_of(lambda: b.copy_(a)) for _ in range(9))


def machine(*packages: str) -> dict[str, Any]:
    """What was measured on: processor, threads, versions of Python, torch and the named packages."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "device": gpu or _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "vector_unit": torch.backends.cpu.get_cpu_capability(),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("torch", "numpy", *packages)},
        },
    }


def save(name: str, claim: str, rows: Sequence[Mapping[str, Any]], *packages: str, **more: Any) -> None:
    """Print the rows as a table and write ``results/NAME.json``."""
    print_table(claim, rows)
    RESULTS.mkdir(exist_ok=True)
    result = {"claim": claim, "rounds": ROUNDS, **machine(*packages), **more, "rows": [_short(row) for row in rows]}
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """One line a row; the columns are the keys of the first."""
    columns = list(rows[0])
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(c), *(len(line[i]) for line in cells)) for i, c in enumerate(columns)]
    print(title)
    print("  ".join(c.rjust(w) for c, w in zip(columns, widths, strict=True)))
    for line in cells:
        print("  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)))
    print(flush=True)


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in row.items()}


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return "" if value is None else str(value)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
