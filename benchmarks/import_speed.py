"""Claim: an import on two cores is 4 times as fast as a sequential Pillow and NumPy importer, or takes at most 1.3
times as long as the same two workers need to decode the files and do nothing else.

Films of 1024 x 1024 pixels as PNG at two resolutions, and of 2000 x 2400 pixels as DICOM, uncompressed and as lossless
JPEG. The baseline is `support/plain_import.py`. Both write the same pyramid; ours also takes two SHA-256 digests a
film, keeps the journal that lets a killed import go on, and waits until the store is on the disk. Decoding alone is
`cv2.imdecode` in two threads, or pydicom's `pixel_array` (lossless JPEG: libjpeg-turbo) in two processes, as in the
import; of lossless JPEG the import also asks the decoder whether the stream is whole, which is a second decoding. The
files lie in the page cache, and worker processes are already started: their start is timed apart. What was written the
round before is deleted between the timings.
"""

import shutil
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import pydicom
from joblib.externals.loky import get_reusable_executor
from support import film_files
from support.measuring import ROUNDS, pair, save, seconds_of
from support.plain_import import import_films, stored_values

from radcommons.data.ingest import ingest
from radcommons.data.pixels import is_picture
from radcommons.data.store import Store
from radcommons.workers import in_order

WORKERS = 2
FASTER_TARGET, DECODING_TARGET = 4.0, 1.3
JOBS = 16  # of decoding alone


def decode(paths: list[Path]) -> None:
    """What cannot be left out: bytes to grey values."""
    for path in paths:
        if path.suffix == ".dcm":
            stored_values(pydicom.dcmread(path))
        else:
            cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)


def decode_all(paths: list[Path]) -> None:
    size = max(1, len(paths) // JOBS)
    jobs = [(paths[first : first + size],) for first in range(0, len(paths), size)]
    with in_order(decode, jobs, workers=WORKERS, threads=all(map(is_picture, paths))) as done:
        for _ in done:
            pass


def read_all(paths: list[Path]) -> None:
    """What the page cache gives: bytes into one buffer, in one process."""
    buffer = bytearray(max(path.stat().st_size for path in paths))
    for path in paths:
        with path.open("rb", buffering=0) as file:
            file.readinto(buffer)


def measure(name: str, paths: list[Path], resolution: int, folder: Path) -> dict[str, Any]:
    """One line of the table."""
    listed = film_files.listing(paths)
    plain_out, our_out, old = folder / "plain", folder / "store", folder / "old"

    def empty() -> None:
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir()

    def plain() -> None:
        set_aside(plain_out, old)
        import_films(paths, plain_out, resolution=resolution)

    def ours() -> None:
        set_aside(our_out, old)
        ingest(listed, our_out, name="benchmark", resolution=resolution, workers=WORKERS)

    empty()
    ours()  # starts worker processes
    decode_all(paths)
    beside_plain = pair(plain, ours, warm_up=False, before=empty)
    beside_decoding = pair(lambda: decode_all(paths), ours, warm_up=False, before=empty)
    difference = mean_difference(plain_out, our_out, resolution)
    size = sum(path.stat().st_size for path in paths)
    reading = median(seconds_of(lambda: read_all(paths)) for _ in range(ROUNDS))
    times_decoding = 1 / beside_decoding.ratio
    met = beside_plain.ratio >= FASTER_TARGET or times_decoding <= DECODING_TARGET
    return {
        "films": name,
        "resolution": resolution,
        "n": len(paths),
        "KB a film": size / len(paths) / 1000,
        "plain films/s": len(paths) / beside_plain.baseline_seconds,
        "our films/s": len(paths) / beside_plain.our_seconds,
        "times as fast": beside_plain.ratio,
        "decoding films/s": len(paths) / beside_decoding.baseline_seconds,
        "ours / decoding": times_decoding,
        "floor of reading, films/s": len(paths) / reading,
        "mean difference": difference,
        "target": "met" if met else "missed",
    }


def set_aside(out: Path, old: Path) -> None:
    """Move what the round before wrote, which takes no time."""
    if out.exists():
        out.rename(old / out.name)


def mean_difference(plain_out: Path, our_out: Path, resolution: int) -> float:
    """Grey levels between the largest images of the two importers, of 255: they resize with different libraries."""
    plain = np.load(plain_out / f"images_{resolution:04d}.npy")
    ours = Store.open(our_out).images(resolution)
    return float(np.abs(plain.astype(np.int16) - ours).mean())


def seconds_to_start_workers(path: Path) -> float:
    """Until both workers of a fresh pool have decoded a film."""
    get_reusable_executor(max_workers=WORKERS).shutdown(wait=True)

    def start() -> None:
        with in_order(decode, [([path],)] * WORKERS, workers=WORKERS) as done:
            list(done)

    return seconds_of(start)


def main() -> None:
    drawn = film_files.phantoms(16)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        png = film_files.png_films(folder / "png", drawn, films=64)
        uncompressed = film_files.dicom_films(folder / "raw", drawn, films=16, syntax=film_files.UNCOMPRESSED)
        lossless = film_files.dicom_films(folder / "jpeg", drawn[:4], films=4, syntax=film_files.JPEG_LOSSLESS)
        rows = [
            measure("PNG", png, 256, folder / "png"),
            measure("PNG", png, 1024, folder / "png"),
            measure("DICOM, uncompressed", uncompressed, 256, folder / "raw"),
            measure("DICOM, JPEG lossless", lossless, 256, folder / "jpeg"),
        ]
        started = median(seconds_to_start_workers(png[0]) for _ in range(3))
    claim = (
        f"import with {WORKERS} workers: >= {FASTER_TARGET:g} times a sequential Pillow and NumPy importer, "
        f"or <= {DECODING_TARGET:g} times decoding alone"
    )
    save("import_speed", claim, rows, "opencv-python-headless", "pillow", "pydicom", "imagecodecs", "simplejpeg",
         workers=WORKERS, seconds_to_start_workers=round(started, 2))  # fmt: skip
    print(f"starting {WORKERS} worker processes: {started:.2f} s, once an import")


if __name__ == "__main__":
    main()
