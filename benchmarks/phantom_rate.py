"""Claim: the phantom draws at least 50 films a second at 128 x 128 on one core, masks included.

Prints films per second of wall time and of CPU time; the CPU figure stands on a busy machine.
"""

import json
import platform
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from radcommons.data.phantom import draw_exams, render

TARGET = 50.0
ROUNDS, EXAMS = 5, 60


def measure(site: str, resolution: int) -> dict[str, float]:
    exams = draw_exams(EXAMS, site=site, seed=0)[:EXAMS]
    render(exams[:5], resolution)
    wall, cpu = [], []
    for _ in range(ROUNDS):
        started, busy = time.perf_counter(), time.process_time()
        render(exams, resolution)
        wall.append(EXAMS / (time.perf_counter() - started))
        cpu.append(EXAMS / (time.process_time() - busy))
    return {"wall": round(median(wall), 1), "cpu": round(median(cpu), 1)}


def main() -> None:
    cv2.setNumThreads(1)
    rates = {f"{site}-{resolution}": measure(site, resolution) for site in "AB" for resolution in (64, 128, 256)}
    print("site-resolution   films/s (wall)   films/s (CPU second)")
    for name, rate in rates.items():
        print(f"{name:<17} {rate['wall']:>14} {rate['cpu']:>22}")
    result = {
        "claim": f">= {TARGET:g} films/s at 128 on one core",
        "median_of": ROUNDS,
        "films_a_round": EXAMS,
        "rates": rates,
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "opencv": cv2.__version__},
    }
    path = Path(__file__).parent / "results" / "phantom_rate.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
