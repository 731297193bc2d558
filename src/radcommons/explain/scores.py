"""What a classifier says of images whose labels rise: drawn and scored block by block, going on after a kill."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radcommons.explain.pseudo_patients import labels, latents
from radcommons.models.classifier_files import Classifier
from radcommons.models.generator import Generator
from radcommons.progress import Track
from radcommons.resume import Kept, Rows
from radcommons.seeds import derive, numpy_stream

BLOCK = 512  # images drawn and scored together, at least one of the generator's blocks


@dataclass(frozen=True)
class Scores:
    """Label strengths (k, n) of k findings, each raised alone, and the probabilities of those findings (k, n, k)."""

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
    """For each finding, `n` images with its label uniform in [0, 1] and all others 0, scored by a classifier.

    Every finding has pseudo-patients of its own; image i depends on the generator, the seed, the finding and i only.
    No more than a block of images is in memory; scores are kept in the folder `kept`, which the caller removes.
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
