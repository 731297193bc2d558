"""Distances by finding: synthetic images beside training films, both against held-out films, in equal counts."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from radcommons.audit.finding_distances import Showing, finding_distances
from radcommons.audit.inputs.material import BALANCED, Material
from radcommons.audit.settings import AuditSettings
from radcommons.extractors import ExtractorRecord
from radcommons.progress import silent
from radcommons.records import FindingDistance

RECORD = ExtractorRecord(name="toy", digest="0" * 64, dimension=6, side=8, resize="none")


def made(shift: float, *, images: int = 60, held_out: int = 40) -> FindingDistance:
    """The row of a finding whose synthetic images lie `shift` deviations off the films."""
    rng = np.random.default_rng(3)
    sets: dict[str, tuple[np.ndarray, np.ndarray]] = {
        BALANCED: (rng.normal(shift, 1, (images, 6)), np.arange(images)),
        "train": (rng.normal(0, 1, (300, 6)), np.arange(300) // 3),  # three films of each of 100 patients
        "test": (rng.normal(0, 1, (held_out, 6)), np.arange(held_out)),
    }

    def films(patients: np.ndarray) -> Any:
        return SimpleNamespace(patients=patients, with_finding=lambda column: np.arange(len(patients)))

    material = SimpleNamespace(
        settings=AuditSettings(),
        track=silent,
        subject=SimpleNamespace(findings=("Effusion",)),
        extractor=SimpleNamespace(record=RECORD),
        films={name: films(patients) for name, (_, patients) in sets.items()},
        features={name: SimpleNamespace(values=values) for name, (values, _) in sets.items()},
    )
    (row,) = finding_distances(cast(Material, material))
    return row


def test_images_like_the_films_are_as_near_as_training_films_in_equal_counts() -> None:
    row = made(0.0)
    assert row.image_count == 40, "the fewest of the three"
    assert row.fid is not None and row.fid > 0.3, "of 40 images it is far above 0, where it belongs"
    assert row.fid_ratio is not None and row.fid_ratio.value == pytest.approx(1, abs=0.3)
    assert row.kid_excess is not None and row.kid_excess.low is not None and row.kid_excess.high is not None
    assert row.kid_excess.low < 0 < row.kid_excess.high


def test_images_unlike_the_films_are_farther_than_training_films() -> None:
    near, far = made(0.3), made(1.0)
    assert near.fid_ratio is not None and far.fid_ratio is not None and far.kid_excess is not None
    assert 1 < near.fid_ratio.value < far.fid_ratio.value
    assert far.fid_ratio.low is not None and far.fid_ratio.low > 1
    assert far.kid_excess.low is not None and far.kid_excess.low > 0


def test_a_finding_of_too_few_films_says_how_many() -> None:
    row = made(0.0, held_out=19)
    assert row.skipped == "too few films (held out: 19)" and row.fid is None and row.fid_ratio is None
    assert made(0.0, images=7).skipped == "too few films (synthetic images: 7)"


def test_a_draw_holds_one_film_of_a_patient_and_a_half_holds_whole_patients() -> None:
    patients = np.arange(60) // 3
    some = Showing(np.column_stack([np.arange(60), patients]).astype(float), patients)
    rng = np.random.default_rng(0)
    drawn = some.drawn(12, rng)
    assert len(drawn) == 12 and len(set(drawn[:, 1])) == 12
    half = some.half(rng)
    assert half.count == 10 and (np.bincount(half.patients)[np.unique(half.patients)] == 3).all()
