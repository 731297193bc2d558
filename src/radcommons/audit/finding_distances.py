"""Is each finding drawn well? Distances of synthetic images of a finding to held-out films with it.

The overall scores say little of a rare finding: it hardly moves them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from radcommons.audit.inputs.material import BALANCED, Material
from radcommons.metrics.frechet import frechet_distance
from radcommons.metrics.half_samples import half_sample_interval
from radcommons.metrics.kid import squared_mmd
from radcommons.records import Estimate, FindingDistance
from radcommons.seeds import numpy_stream

DRAWS = 10  # of equally many images, whose distances are averaged
MOST = 500  # images of each kind in a draw: with more, only the time grows


@dataclass(frozen=True)
class Showing:
    """Features (n, d) of the images that show one finding, and the patient of each film, (n,)."""

    features: np.ndarray
    patients: np.ndarray

    @property
    def count(self) -> int:
        """How many patients; of synthetic images, how many images."""
        return len(np.unique(self.patients))

    def drawn(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """One image of each of `count` random patients, without replacement."""
        order = rng.permutation(len(self.patients))
        _, first = np.unique(self.patients[order], return_index=True)
        drawn: np.ndarray = self.features[order[rng.permutation(first)[:count]]]
        return drawn

    def half(self, rng: np.random.Generator) -> "Showing":
        """The images of a random half of the patients."""
        patients = np.unique(self.patients)
        kept = np.isin(self.patients, rng.permutation(patients)[: len(patients) // 2])
        return Showing(self.features[kept], self.patients[kept])


def finding_distances(material: Material) -> list[FindingDistance]:
    """Every finding: synthetic images and, as the baseline, training films, against held-out films with it.

    All three sets have equally many images, one film per patient. A Frechet distance of few images is far too high, by
    about as much in both, so that only their ratio says something. The kernel distance has no such bias: what the
    synthetic images have more of it than the training films is the more honest number for few films.
    """
    found = []
    with material.track("Distances by finding", total=len(material.subject.findings), unit="findings") as advance:
        for column, finding in enumerate(material.subject.findings):
            synthetic, train, held_out = (_showing(material, name, column) for name in (BALANCED, "train", "test"))
            rng = numpy_stream(material.settings.seed, "finding distances", finding)
            found.append(_compared(finding, synthetic, train, held_out, material, rng))
            advance(1)
    return found


def _showing(material: Material, name: str, column: int) -> Showing:
    films = material.films[name]
    rows = films.with_finding(column)
    return Showing(material.features[name].values[rows], films.patients[rows])


def _compared(
    finding: str, synthetic: Showing, train: Showing, held_out: Showing, material: Material, rng: np.random.Generator
) -> FindingDistance:
    counts = {"synthetic images": synthetic.count, "patients in training": train.count, "held out": held_out.count}
    what, fewest = min(counts.items(), key=lambda item: item[1])
    record = material.extractor.record
    row = FindingDistance(
        finding=finding, image_count=min(fewest, MOST), extractor=record.name, extractor_sha256=record.digest
    )  # fmt: skip
    if fewest < material.settings.fewest:
        return row.model_copy(update={"skipped": f"too few films ({what}: {fewest})"})
    whole = _distances(synthetic, train, held_out, DRAWS, rng)
    halves = np.array([
        _distances(synthetic.half(rng), train.half(rng), held_out.half(rng), 1, rng)
        for _ in range(material.settings.fid_halves)
    ])  # fmt: skip
    ratio, excess = whole[0] / whole[1], whole[2] - whole[3]
    ratios = half_sample_interval(ratio, halves[:, 0] / halves[:, 1], corrected=False)
    excesses = half_sample_interval(excess, halves[:, 2] - halves[:, 3])
    return row.model_copy(
        update={
            "fid": float(whole[0]),
            "fid_baseline": float(whole[1]),
            "fid_ratio": Estimate(value=float(ratio), low=max(ratios[0], 0.0), high=ratios[1]),
            "kid": float(whole[2]),
            "kid_baseline": float(whole[3]),
            "kid_excess": Estimate(value=float(excess), low=excesses[0], high=excesses[1]),
        }
    )


def _distances(synthetic: Showing, train: Showing, held_out: Showing, draws: int, rng: np.random.Generator
               ) -> np.ndarray:  # fmt: skip
    """FID of synthetic images and of training films, KID of both, against held-out films; means over draws, (4,)."""
    count = min(synthetic.count, train.count, held_out.count, MOST)
    means: np.ndarray = np.mean(list(_draws(synthetic, train, held_out, count, draws, rng)), axis=0)
    return means


def _draws(synthetic: Showing, train: Showing, held_out: Showing, count: int, draws: int, rng: np.random.Generator
           ) -> Iterator[list[float]]:  # fmt: skip
    for _ in range(draws):
        real, *others = (some.drawn(count, rng) for some in (held_out, synthetic, train))
        yield [measure(real, other) for measure in (frechet_distance, squared_mmd) for other in others]
