"""Latent inversion: films that a generator has memorised are rebuilt better than others."""

import numpy as np
import pytest

from radcommons.audit import planted
from radcommons.audit.planted import overfitted_generator
from radcommons.audit.tests.membership_white_box import detail, inversion_errors
from radcommons.data.store import Store
from radcommons.metrics.classification import area_under_roc


@pytest.mark.slow
def test_inversion_rebuilds_memorised_films_better_than_others(phantom_store: Store) -> None:
    films = np.asarray(phantom_store.images(16)[:40])
    fitted = overfitted_generator(films[:20], seed=0)
    nothing = np.zeros((40, 0), np.float32)
    blocks = list(inversion_errors(fitted.generator, films, nothing, steps=80, seed=1))
    errors = np.concatenate(blocks)
    assert [len(b) for b in blocks] == [16, 16, 8]
    assert area_under_roc(-errors[:20], -errors[20:]) > 0.9
    before = np.concatenate(list(inversion_errors(fitted.generator, films, nothing, steps=1, seed=1)))
    assert (errors <= before + 1e-9).all(), "more steps never lose what was found"


def test_a_film_s_error_does_not_depend_on_where_a_stopped_inversion_went_on(
    phantom_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planted, "OVERFITTED_STEPS", 5)
    films = np.asarray(phantom_store.images(16)[:32])
    fitted = overfitted_generator(films[:4], seed=0)
    nothing = np.zeros((32, 0), np.float32)
    whole = np.concatenate(list(inversion_errors(fitted.generator, films, nothing, steps=2, seed=1)))
    rest = np.concatenate(list(inversion_errors(fitted.generator, films[16:], nothing[16:], steps=2, seed=1)))
    assert np.allclose(whole[16:], rest)


def test_fine_detail_is_what_a_blur_takes_away() -> None:
    flat, fine = np.full((1, 16, 16), 90, np.uint8), np.zeros((1, 16, 16), np.uint8)
    fine[0, ::2] = 255
    assert detail(flat)[0] == 0 and detail(fine)[0] == pytest.approx(1.0, rel=0.02)
