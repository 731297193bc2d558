"""Draw images with rising labels and score them with a classifier, block by block; an interrupted run continues."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radcommons.explain.latents import labels, latents
from radcommons.models.classifier_files import Classifier
from radcommons.models.generator import Generator
from radcommons.progress import Track
from radcommons.resume import Kept, Rows
from radcommons.seeds import derive, numpy_stream

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
    At most one block of images is in memory; the folder `kept` holds the scores, and the caller removes it.
    """
    k, outputs = len(findings), [classifier.findings.index(finding) for finding in findings]
    size = generator.block_size
    block = max(1, BLOCK // size) * size
    request = hashlib.sha256(repr((generator.digest, classifier.digest, findings, n, seed, size)).encode()).hexdigest()
    table = Rows(Kept(kept, request).folder / "probabilities.rows", (k,), np.float32)
    done = len(table)
    strengths = np.stack([numpy_stream(seed, "correlate", f).random(n, dtype=np.float32) for f in findings])

    def draw(finding: str, first: int, stop: int) -> np.ndarray:
        root, values = derive(seed, "correlate", finding), strengths[findings.index(finding)]

        def part(start: int) -> np.ndarray:
            z = latents(generator, start, start + size, root)
            whole = np.zeros(size, np.float32)
            whole[: len(values[start : start + size])] = values[start : start + size]
            return generator.draw(z, labels(generator, (finding,), whole))

        return np.concatenate(list(generator.on_threads(part, range(first, stop, size))))[: stop - first]

    with track("Drawing and scoring", total=k * n, done=done) as advance:
        while done < k * n:
            row, first = divmod(done, n)
            stop = min(first + block, n)
            images = draw(findings[row], first, stop)
            table.write(done, classifier.scores(images)[:, outputs])
            done += stop - first
            advance(stop - first)
    return Scores(strengths, np.array(table.read()).reshape(k, n, k))
