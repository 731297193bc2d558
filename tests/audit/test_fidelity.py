from types import SimpleNamespace
from typing import Any

import numpy as np

from radcommons.audit.fidelity import LabelClassifier, fidelities
from radcommons.audit.inputs.material import BALANCED
from radcommons.audit.settings import AuditSettings
from radcommons.records import Fidelity

FINDINGS = ("Effusion", "Nodule")
FILMS = 200


class Halves:
    """A classifier whose two scores are the brightness of an image's two halves."""

    findings = FINDINGS

    def scores(self, images: np.ndarray, rows: Any = None, track: Any = None) -> np.ndarray:
        shown = images if rows is None else images[rows]
        return np.stack([shown[:, :, :2].mean((1, 2)), shown[:, :, 2:].mean((1, 2))], axis=1)


def films(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The left half is bright with the first finding, the right half with the second; with some noise."""
    signal = np.repeat(labels, 2, axis=1)[:, None, :] * 60
    return np.clip(100 + signal + rng.normal(0, 40, (len(labels), 1, 4)), 0, 255).repeat(4, axis=1)


def audited(swapped: float) -> dict[str, Fidelity]:
    """What the audit finds where a share of the synthetic images show each finding in place of the other."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([[1, 0], [0, 1]], FILMS // 2, axis=0)).astype(np.float32)
    shown = labels.copy()
    shown[: int(swapped * FILMS)] = shown[: int(swapped * FILMS), ::-1]
    part = SimpleNamespace(labels=labels, patients=np.arange(FILMS))
    material = SimpleNamespace(
        subject=SimpleNamespace(generator=None, findings=FINDINGS), settings=AuditSettings(), track=None,
        rows={"test": np.arange(FILMS)}, images=films(labels, rng),
        synthetic={BALANCED: SimpleNamespace(images=films(shown, rng))},
        films={"train": part, "test": part, BALANCED: part},
    )  # fmt: skip
    return {one.finding: one for one in fidelities(material, LabelClassifier(Halves(), "halves"))}  # type: ignore[arg-type]


def test_findings_that_a_share_of_the_images_show_in_each_others_place_are_seen() -> None:
    clean, some, many = audited(0.0), audited(0.3), audited(0.7)
    for finding in FINDINGS:
        real, intervals = clean[finding].auc_real, [found[finding].auc_synthetic for found in (clean, some, many)]
        assert (clean[finding].patients, clean[finding].images) == (FILMS // 2, FILMS // 2)
        assert real.value > 0.8 and abs(intervals[0].value - real.value) < 0.05
        assert intervals[1].high is not None and intervals[1].high < real.value - 0.1
        assert intervals[2].value < 0.5 < intervals[1].value
