"""How far a deposit's images are from films, by the statistics that the operator has registered."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from radcommons.errors import RadCommonsError
from radcommons.extractors import extract, load_extractor
from radcommons.extractors.reference_statistics import ReferenceStatistics
from radcommons.metrics.smoothed_gaussian import SmoothedGaussian, frechet_distance_to
from radcommons.records import ReferenceDistance


def fitting(references: Sequence[Path], side: int) -> tuple[list[ReferenceStatistics], list[str]]:
    """The registered statistics that have films of a side, and why others could not be read."""
    found, faults = [], []
    for path in references:
        try:
            statistics = ReferenceStatistics.load(path)
        except RadCommonsError as error:
            faults.append(str(error))
            continue
        if side in statistics.arrays:
            found.append(statistics)
    return found, faults


def distances(
    images: np.ndarray, statistics: Sequence[ReferenceStatistics]
) -> tuple[list[ReferenceDistance], list[str]]:
    """The distance to each of the statistics, and why others could not be measured.

    Args:
        images: uint8 (n, R, R).
        statistics: with films of side R. The images go through each extractor once.
    """
    side, found, faults = images.shape[-1], [], []
    features: dict[str, np.ndarray] = {}
    for each in statistics:
        record = each.record
        try:
            extractor = load_extractor(record.extractor)
        except RadCommonsError as error:
            faults.append(f"{record.name}: {error}")
            continue
        if (extractor.record.digest, extractor.record.resize) != (record.extractor_sha256, record.resize):
            faults.append(f"{record.name}: its extractor {record.extractor} has other weights or resizes otherwise")
            continue
        if record.extractor not in features:
            features[record.extractor] = extract(extractor, images).values
        known = next(entry for entry in record.sides if entry.side == side)
        found.append(
            ReferenceDistance(
                name=record.name,
                extractor=record.extractor,
                extractor_sha256=record.extractor_sha256,
                side=side,
                image_count=len(images),
                films=record.films,
                fid=frechet_distance_to(_gaussian(each, side), features[record.extractor]),
                fid_films=known.fid_films,
                fid_blurred=known.fid_blurred,
                fid_noise=known.fid_noise,
                ms_ssim_films=known.ms_ssim,
            )
        )
    return found, faults


def _gaussian(statistics: ReferenceStatistics, side: int) -> SmoothedGaussian:
    values = statistics.arrays[side]
    return SmoothedGaussian(values["mean"], values["components"], values["variances"], float(values["rest"]))
