"""Claim: a dry run of the whole NIH table, 112,120 rows with as many image files, takes less than 5 seconds.

Timed as a whole process, `radcommons data import nih ... --dry-run`, Python's start included. The baseline is a process
that reads the table with the csv module, lists the folders' names, and puts patients in parts by a hash;
it checks nothing and counts parts and findings. The table is the real one where it is there, else one of its size.
"""

import csv
import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from support.measuring import pair, save

TARGET_SECONDS = 5.0
ROWS, PATIENTS = 112_120, 30_805
IMAGES_A_FOLDER = 10_000
TABLE = "Data_Entry_2017_v2020.csv"
REAL_TABLE = Path(__file__).parents[2] / "shared" / "data" / "nih" / f"{TABLE}.gz"
COLUMNS = (
    "Image Index",
    "Finding Labels",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
)

PLAIN = """
import csv, hashlib, os, sys
from collections import Counter
from pathlib import Path

root = Path(sys.argv[1])
names = {name for folder in root.glob("images_*/images") for name in os.listdir(folder)}
parts, findings = Counter(), Counter()
with (root / "Data_Entry_2017_v2020.csv").open(newline="") as file:
    for row in csv.DictReader(file):
        if row["Image Index"] not in names:
            continue
        position = int(hashlib.sha256(row["Patient ID"].encode()).hexdigest()[:8], 16) / 2**32
        part = "train" if position < 0.7 else "val" if position < 0.8 else "test"
        parts[part] += 1
        findings.update((part, finding) for finding in row["Finding Labels"].split("|"))
print(parts, findings)
"""


def real_table() -> str | None:
    return gzip.decompress(REAL_TABLE.read_bytes()).decode() if REAL_TABLE.is_file() else None


def table_of_the_same_size() -> str:
    """As many rows, patients and findings as NIH's, drawn at random."""
    draw = np.random.default_rng(0)
    findings = ("No Finding", "Infiltration", "Effusion", "Atelectasis", "Nodule|Mass", "Effusion|Edema|Pneumonia")
    follow_ups = np.zeros(PATIENTS + 1, int)
    lines = [",".join(COLUMNS)]
    for row in range(ROWS):
        patient = row + 1 if row < PATIENTS else int(draw.integers(1, PATIENTS + 1))
        name = f"{patient:08d}_{follow_ups[patient]:03d}.png"
        label, age, view = findings[draw.integers(6)], draw.integers(1, 95), ("PA", "AP")[draw.integers(2)]
        lines.append(f"{name},{label},{follow_ups[patient]},{patient},{age},{'MF'[patient % 2]},{view}")
        follow_ups[patient] += 1
    return "\n".join(lines) + "\n"


def build(root: Path, table: str) -> None:
    """The download's folders; every image is a name of its folder's one empty file, which is quicker to make."""
    (root / TABLE).write_text(table, encoding="utf-8")
    for number, row in enumerate(csv.DictReader(table.splitlines())):
        folder = root / f"images_{number // IMAGES_A_FOLDER + 1:03d}" / "images"
        if number % IMAGES_A_FOLDER == 0:
            folder.mkdir(parents=True)
            (empty := folder.parent / "empty").touch()
        os.link(empty, folder / row["Image Index"])


def process(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


def main() -> None:
    table = real_table()
    with tempfile.TemporaryDirectory() as temporary:
        root, out = Path(temporary) / "nih", Path(temporary) / "store"
        root.mkdir()
        build(root, table or table_of_the_same_size())
        command = ("-m", "radcommons", "data", "import", "nih", str(root), "--out", str(out), "--dry-run", "--json")
        said: list[str] = []
        timed = pair(lambda: process("-c", PLAIN, str(root)), lambda: said.append(process(*command)), warm_up=False)
        plan = json.loads(said[-1])
        wrote = out.exists()
    row = {
        "table": "NIH's own" if table else "drawn at random",
        "images": plan["images"],
        "patients": plan["patients"],
        "plain script s": timed.baseline_seconds,
        "dry run s": timed.our_seconds,
        "slowest dry run s": max(timed.ours),
        "times as fast": timed.ratio,
        "wrote anything": wrote,
        "target": "met" if timed.our_seconds < TARGET_SECONDS else "missed",
    }
    save("nih_listing", f"a dry run of the NIH table in under {TARGET_SECONDS:g} s", [row], "polars")


if __name__ == "__main__":
    main()
