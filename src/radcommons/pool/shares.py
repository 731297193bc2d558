"""How the images of a pool are shared between generators and findings: numbers only."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise

from radcommons.errors import SettingRefused
from radcommons.findings import NO_FINDING
from radcommons.pool.settings import PoolSettings

Labels = dict[str, int]  # number of images drawn for each finding


def divided(total: int, weights: Sequence[float]) -> list[int]:
    """`total` as whole numbers in proportion to weights, at least one of them above 0; the sum is exact."""
    exact = [Fraction(str(weight)) for weight in weights]  # 0.7 means 7/10, not the nearest binary fraction
    stops = [0, *(int(total * part / sum(exact)) for part in accumulate(exact))]
    return [stop - first for first, stop in pairwise(stops)]


def images_of_each(settings: PoolSettings) -> list[int]:
    """The number of images of each generator of a pool that is not balanced; raises SettingRefused where it is 0."""
    counted = [each.counted for each in settings.generator]
    weights = [each.share for each in settings.generator]
    if any(weights):
        assert settings.total_images is not None
        rest = divided(settings.total_images - sum(counted), weights)
        counted = [a + b for a, b in zip(counted, rest, strict=True)]
    _require_images(settings, counted)
    return counted


def balanced_labels(settings: PoolSettings, known: Sequence[Sequence[str]]) -> list[Labels]:
    """For each generator the number of images drawn for each finding, so that every finding has as many in the pool.

    Args:
        known: canonical findings of each generator.
    Raises:
        SettingRefused: a generator would draw nothing.
    """
    assert settings.total_images is not None
    labels: list[Labels] = [{} for _ in known]
    findings = list(dict.fromkeys(finding for names in known for finding in names))
    if settings.no_finding and NO_FINDING not in findings:
        findings.append(NO_FINDING)
    for finding, images in zip(findings, divided(settings.total_images, [1] * len(findings)), strict=True):
        everybody = settings.no_finding and finding == NO_FINDING
        able = [finding in names or everybody for names in known]
        weights = [each.share if knows else 0 for each, knows in zip(settings.generator, able, strict=True)]
        for own, part in zip(labels, divided(images, weights), strict=True):
            if part:
                own[finding] = part
    _require_images(settings, [sum(own.values()) for own in labels])
    return labels


def _require_images(settings: PoolSettings, images: Sequence[int]) -> None:
    for each, count in zip(settings.generator, images, strict=True):
        if count == 0:
            raise SettingRefused(
                f"{each.reference} would draw no image; raise 'total_images' or its weight, or leave it out"
            )
