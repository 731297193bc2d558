"""Question: what does one GPU do with this project? Tests, sampling, stages of training and films, in under 12 minutes.

Each part is a process with a time limit of its own. It writes its JSON file as it goes, so that a part that fails or
runs out of time leaves what it has found and does not stop the next. `summary.md` and `summary.json` are written anew
after each part.

    make gpu OUT=results [STORE=stores/site-a] [PARTS="tests sampling"]
    python benchmarks/gpu.py --toy    # every part on a CPU, tiny, in half a minute

Without a GPU, and without --toy, it says so and runs nothing.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from support.measuring import machine

HERE = Path(__file__).parent
NO_GPU = "no CUDA GPU here: nothing was run; 'python benchmarks/gpu.py --toy' tries every part on the CPU, tiny"
TAIL = 3000  # characters of a part's output that the summary keeps


@dataclass(frozen=True)
class Part:
    """A process: its name, which is that of its JSON file, its command, and after how many seconds it is killed."""

    name: str
    command: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Ended:
    """How a part ended: "done", "failed" or "out of time"; the last of its output unless it is done."""

    part: str
    status: str
    seconds: float
    output: str


LIMITS = {"tests": 90.0, "sampling": 120.0, "stages": 120.0, "films": 375.0}
MODULES = {"tests": "gpu_tests", "sampling": "speed_of_sampling", "stages": "speed_of_stages", "films": "films"}
TOY_LIMIT = 600.0  # a busy machine takes ten times as long as a free one
TOY_TRAINING_SECONDS = 3.0


def parts(options: argparse.Namespace) -> list[Part]:
    """The parts that were asked for, in the order of LIMITS."""
    chosen = []
    for name, limit in LIMITS.items():
        if name not in options.parts:
            continue
        seconds = TOY_LIMIT if options.toy else limit
        training = TOY_TRAINING_SECONDS if options.toy else options.training_seconds
        command = [sys.executable, "-m", f"gpu_parts.{MODULES[name]}", "--out", str(options.out)]
        command += ["--seconds", str(seconds), "--training-seconds", str(training)]
        command += ["--toy"] if options.toy else []
        command += ["--store", str(options.store)] if options.store else []
        chosen.append(Part(name, tuple(command), seconds))
    return chosen


def run_parts(chosen: Sequence[Part], out: Path, about: dict[str, Any]) -> list[Ended]:
    """Run one part after another, and write the summary after each."""
    out.mkdir(parents=True, exist_ok=True)
    ended: list[Ended] = []
    for part in chosen:
        (out / f"{part.name}.json").unlink(missing_ok=True)
        print(f"{part.name}: at most {part.seconds:.0f} s", flush=True)
        ended.append(run_part(part))
        print(f"{part.name}: {ended[-1].status} after {ended[-1].seconds:.0f} s", flush=True)
        write_summary(out, ended, about)
    return ended


def run_part(part: Part) -> Ended:
    """One part, and whatever it has started, ended at its limit."""
    paths = [str(HERE), str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    started, status = time.monotonic(), "out of time"
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            part.command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = "failed" if process.wait(part.seconds) else "done"
        finally:
            with contextlib.suppress(ProcessLookupError):  # what it has started may have outlived it
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        text = output.read().decode(errors="replace")
    return Ended(part.name, status, round(time.monotonic() - started, 1), "" if status == "done" else text[-TAIL:])


def write_summary(out: Path, ended: Sequence[Ended], about: dict[str, Any]) -> None:
    """`summary.json` and `summary.md`: how the parts ended, and what each has found."""
    summary = {**about, "parts": [asdict(one) for one in ended]}
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    lines = ["# One GPU", "", ", ".join(f"{name} {value}" for name, value in about.items()), ""]
    lines += table([{"part": one.part, "status": one.status, "seconds": one.seconds} for one in ended])
    for one in ended:
        lines += ["", f"## {one.part}", ""]
        path = out / f"{one.part}.json"
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": []}
        rows = found.pop("rows")
        for name, value in found.items():
            listed = isinstance(value, list) and value
            lines += ["", *table(value), ""] if listed else [f"- {name}: {value}"]
        lines += ["", *table(rows)] if rows else ["", "No row."]
        lines += ["", "```", one.output, "```"] if one.output else []
    (out / "summary.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Rows as a Markdown table; the columns are all their keys."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([cell(row.get(key)) for key in columns] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:,.4g}" if isinstance(value, float) and abs(value) < 1e4 else str(value)
    return text.replace("|", "/").replace("\n", " ")[:200]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--store", type=Path, help="films of 128 pixels: a store's folder or an archive of it")
    parser.add_argument("--parts", nargs="+", choices=list(LIMITS), default=list(LIMITS))
    parser.add_argument("--training-seconds", type=float, default=300.0, help="of the films' training")
    parser.add_argument("--toy", action="store_true", help="tiny and on the CPU")
    options = parser.parse_args()
    if not options.toy and not torch.cuda.is_available():
        print(NO_GPU)
        return
    if options.toy:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # also for what chooses its device by itself
    about = {"toy": options.toy, **machine()}
    ended = run_parts(parts(options), options.out, about)
    print(f"results in {options.out}; begin with {options.out / 'summary.md'}")
    if any(one.status != "done" for one in ended):
        raise SystemExit("not every part is done: " + ", ".join(f"{one.part} {one.status}" for one in ended))


if __name__ == "__main__":
    main()
