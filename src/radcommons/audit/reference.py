"""Reference statistics of a store: what a hub needs to compare generators with films that it never sees."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from radcommons.audit.quality import BLUR
from radcommons.audit.sensitivity import blurred, pure_noise
from radcommons.data.listing import Part
from radcommons.data.store import Store
from radcommons.errors import SettingRefused, TooFewImages
from radcommons.extractors.extractor import Extractor, extract
from radcommons.extractors.reference_statistics import ReferenceStatistics
from radcommons.metrics.classification import area_under_roc
from radcommons.metrics.smoothed_gaussian import explained_shares, frechet_distance_to, smoothed_gaussian
from radcommons.metrics.ssim import ms_ssim, ms_ssim_scales
from radcommons.progress import Track, silent
from radcommons.records.reference import FEWEST_FILMS, ReferenceRecord, ReferenceSide
from radcommons.seeds import numpy_stream
from radcommons.versions import versions

SMALLEST_SIDE = 32  # of films, pixels: generators of smaller images are of no use
PATIENTS_PER_COMPONENT = 80  # with fewer it can be told who is behind the statistics, see docs/privacy.md
MOST_COMPONENTS = 256
CONTROLS = 1_000  # blurred films, and images of noise, at most
PAIRS = 1_000  # of films, for MS-SSIM
PAIRS_AT_ONCE = 100


def reference_statistics(
    store: Store,
    extractor: Extractor,
    *,
    parts: Sequence[Part],
    sides: Sequence[int] | None = None,
    seed: int = 0,
    track: Track = silent,
) -> ReferenceStatistics:
    """Statistics of a store's films: numbers, never pictures.

    Args:
        parts: of the split, whose films count.
        sides: sizes of films, pixels; by default all of the store from SMALLEST_SIDE on.
    Raises:
        TooFewImages: fewer than FEWEST_FILMS films.
        SettingRefused: the store has no such side.
    """
    rows = np.sort(np.concatenate([store.rows(part) for part in parts]))
    patients = store.manifest["patient"].to_numpy()[rows]
    count = len(np.unique(patients))
    if len(rows) < FEWEST_FILMS:
        raise TooFewImages(
            f"{store.path}: {' + '.join(parts)} have {len(rows):,} films, reference statistics need "
            f"{FEWEST_FILMS:,}; take more parts with --part, or another store"
        )
    chosen = sorted(set(sides)) if sides else [side for side in store.resolutions if side >= SMALLEST_SIDE]
    if not chosen or not set(chosen) <= set(store.resolutions):
        wanted = ", ".join(map(str, chosen)) or f"{SMALLEST_SIDE} or more"
        known = ", ".join(map(str, store.resolutions))
        raise SettingRefused(f"{store.path} has no films of side {wanted}; it has {known}")
    components = min(MOST_COMPONENTS, max(1, count // PATIENTS_PER_COMPONENT))
    found, arrays = [], {}
    for side in chosen:
        described, values = _of_side(store.images(side), rows, patients, extractor, components, seed, track)
        found.append(described)
        arrays[side] = values
    record = ReferenceRecord(
        name=store.name,
        extractor=extractor.record.name,
        extractor_sha256=extractor.record.digest,
        dimension=extractor.record.dimension,
        extractor_side=extractor.record.side,
        resize=extractor.record.resize,
        parts=tuple(parts),
        films=len(rows),
        patients=count,
        components=components,
        sides=tuple(found),
        versions=versions("numpy", "torch"),
    )
    return ReferenceStatistics(record, arrays)


def _of_side(
    images: np.ndarray,
    rows: np.ndarray,
    patients: np.ndarray,
    extractor: Extractor,
    components: int,
    seed: int,
    track: Track,
) -> tuple[ReferenceSide, dict[str, np.ndarray]]:
    side = images.shape[-1]
    rng = numpy_stream(seed, "reference", side)
    features = extract(extractor, images, rows=rows, track=track, description=f"Films of {side} pixels").values
    gaussian = smoothed_gaussian(features, components)
    first = np.isin(patients, rng.permutation(np.unique(patients))[::2])
    half = smoothed_gaussian(features[first], components)
    shares = explained_shares(half, features)
    some = np.sort(rng.choice(rows, min(CONTROLS, len(rows)), replace=False))
    films = np.asarray(images[some])
    control = {
        name: frechet_distance_to(
            gaussian, extract(extractor, change(films, rng), track=track, description=name).values
        )
        for name, change in (("Blurred films", blurred(BLUR * side)), ("Noise", pure_noise))
    }
    described = ReferenceSide(
        side=side,
        fid_films=frechet_distance_to(half, features[~first]),
        fid_blurred=control["Blurred films"],
        fid_noise=control["Noise"],
        control_count=len(some),
        ms_ssim=_similarity(images, rows, patients, rng) if ms_ssim_scales(side) else None,
        membership_auc=area_under_roc(shares[first], shares[~first]),
    )
    return described, {name: np.asarray(value, np.float64) for name, value in asdict(gaussian).items()}


def _similarity(images: np.ndarray, rows: np.ndarray, patients: np.ndarray, rng: np.random.Generator) -> float:
    """Mean MS-SSIM of random pairs of films of two patients."""
    a, b = rng.integers(len(rows), size=(2, 2 * PAIRS))
    a, b = (each[patients[a] != patients[b]][:PAIRS] for each in (a, b))
    spans = [slice(start, start + PAIRS_AT_ONCE) for start in range(0, len(a), PAIRS_AT_ONCE)]
    return float(np.concatenate([ms_ssim(images[rows[a[span]]], images[rows[b[span]]]) for span in spans]).mean())
