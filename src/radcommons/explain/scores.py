"""Draw images with rising labels and score them with a classifier, block by block; an interrupted run continues."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radcommons.explain.latents import labels, latents, threads_for
from radcommons.models.classifier_files import Classifier
from radcommons.models.generator import Generator
from radcommons.progress import Track
from radcommons.seeds import derive, numpy_stream
from radcommons.threads import thread_map

BLOCK = 512  # images drawn and scored together; at least one block of the generator


@dataclass(frozen=True)
class Scores:
    """Label values (k, n) of k findings, each raised alone, and the classifier's probabilities (k, n, k)."""

    strengths: np.ndarray
    probabilities: np.ndarray


def score_labels(
    generator: Generator,
    classifier: Classifier,
    findings: tuple[str, ...],
    *,
    n: int,
    seed: int,
    kept: Path,
    track: Track,
) -> Scores:
    """Score `n` images for each finding, with its label uniform in [0, 1] and all others 0.

    Every finding has its own latent vectors; image i depends on the generator, the seed, the finding and i only.
    At most one block of images is in memory; the file `kept` holds the scores until the end.
    """
    k, outputs = len(findings), [classifier.findings.index(finding) for finding in findings]
    size = generator.block_size
    block = max(1, BLOCK // size) * size
    threads = threads_for(generator, -(-block // size))
    request = hashlib.sha256(repr((generator.digest, classifier.digest, findings, n, seed, size)).encode()).hexdigest()
    table, done = _table(kept, (k, n, k), request)
    strengths = np.stack([numpy_stream(seed, "correlate", f).random(n, dtype=np.float32) for f in findings])

    def draw(finding: str, first: int, stop: int) -> np.ndarray:
        root, values = derive(seed, "correlate", finding), strengths[findings.index(finding)]

        def part(start: int) -> np.ndarray:
            z = latents(generator, start, start + size, root)
            whole = np.zeros(size, np.float32)
            whole[: len(values[start : start + size])] = values[start : start + size]
            return generator.draw(z, labels(generator, (finding,), whole))

        return np.concatenate(list(thread_map(part, range(first, stop, size), threads=threads)))[: stop - first]

    with track("Drawing and scoring", total=k * n, done=done) as advance:
        while done < k * n:
            row, first = divmod(done, n)
            stop = min(first + block, n)
            images = draw(findings[row], first, stop)
            table[row, first:stop] = classifier.scores(images)[:, outputs]
            done += stop - first
            table.flush()
            _note(kept).write_text(f"{request} {done}", encoding="utf-8")
            advance(stop - first)
    return Scores(strengths, np.array(table))


def forget(kept: Path) -> None:
    """Remove the files of a finished run."""
    kept.unlink(missing_ok=True)
    _note(kept).unlink(missing_ok=True)


def _note(kept: Path) -> Path:
    """The file that says which request the table belongs to, and how many images are scored."""
    return kept.with_suffix(".done")


def _table(kept: Path, shape: tuple[int, ...], request: str) -> tuple[np.memmap, int]:
    """The table of scores and the number of images in it: of an interrupted run of this request, or a new one."""
    words = _note(kept).read_text(encoding="utf-8").split() if _note(kept).is_file() else []
    if len(words) == 2 and words[0] == request and kept.is_file():
        table = np.lib.format.open_memmap(kept, "r+")
        if table.shape == shape:
            return table, int(words[1])
    _note(kept).unlink(missing_ok=True)
    return np.lib.format.open_memmap(kept, "w+", np.float32, shape), 0
