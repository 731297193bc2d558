"""Planted leaks: copies that are still the same film, and a generator that draws nothing but what it has learned."""

import numpy as np
import pytest

from radcommons.audit.planted import overfitted_generator, slightly_changed
from radcommons.data.store import Store
from radcommons.metrics.ssim import ssim


def test_a_slightly_changed_film_is_another_picture_of_the_same_film(phantom_store: Store) -> None:
    films = np.asarray(phantom_store.images(32)[:12])
    changed = slightly_changed(films, np.random.default_rng(0))
    assert changed.shape == films.shape and changed.dtype == np.uint8
    assert not (changed == films).all(axis=(1, 2)).any()
    same = ssim(films, changed)
    others = np.array([ssim(films, np.roll(films, shift, axis=0)) for shift in range(1, 12)]).max(axis=0)
    assert (same > others).all(), "each is nearer to its original than any other film is"


def test_the_same_stream_changes_films_in_the_same_way(phantom_store: Store) -> None:
    films = np.asarray(phantom_store.images(32)[:3])
    a, b = (slightly_changed(films, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(a, b)


@pytest.mark.slow
def test_the_overfitted_generator_draws_its_films_and_no_others(phantom_store: Store) -> None:
    films = np.asarray(phantom_store.images(16)[:40])
    drawn = overfitted_generator(films[:20], seed=0).draw(60, seed=1)
    learned = np.array([ssim(np.broadcast_to(image, (20, 16, 16)), films[:20]).max() for image in drawn])
    unseen = np.array([ssim(np.broadcast_to(image, (20, 16, 16)), films[20:]).max() for image in drawn])
    assert (learned > unseen).mean() > 0.95
    assert np.median(learned) > 0.8
