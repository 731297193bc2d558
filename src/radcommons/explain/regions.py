"""Where findings are known to sit, and how well a difference map agrees with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radcommons.data.store import Store
from radcommons.data.truth import read_boxes, read_truth
from radcommons.errors import FindingUnknown, SettingRefused
from radcommons.explain.difference import Change
from radcommons.explain.finding_sets import FindingSet, title
from radcommons.explain.identity import mean_with_interval
from radcommons.metrics.localisation import auroc_inside, gain_inside, moved_scores, points_inside
from radcommons.models.generator import Generator
from radcommons.records import RegionScore


@dataclass(frozen=True)
class Regions:
    """Known regions.

    Attributes:
        source: where they come from, in words.
        heats: for each finding, how often it covers each pixel, float64 (R, R).
        cases: number of boxes of each finding, if the regions come from boxes.
    """

    source: str
    heats: Mapping[str, np.ndarray]
    cases: Mapping[str, int]

    def of(self, chosen: FindingSet) -> np.ndarray | None:
        """The region of findings together: at each pixel the largest of their shares; None if one is unknown."""
        if not all(finding in self.heats for finding in chosen):
            return None
        whole: np.ndarray = np.max([self.heats[finding] / self.heats[finding].max() for finding in chosen], axis=0)
        return whole


NO_REGIONS = Regions("", {}, {})


def read_regions(
    generator: Generator, sets: Sequence[FindingSet], *, store: Path | None, boxes: Path | None
) -> Regions:
    """Regions of a simulated hospital or of a list of boxes; no regions if neither is given.

    Raises:
        SettingRefused: both are given.  PathMissing, StoreRefused, TableRefused: they cannot be read.
        FindingUnknown: no set has a region; the message names the findings that have one.
    """
    if store is not None and boxes is not None:
        raise SettingRefused("--store and --boxes exclude each other; pass one of them")
    if store is not None:
        found = Regions("the simulation's known regions", read_truth(Store.open(store), generator.resolution), {})
    elif boxes is not None:
        listed = read_boxes(boxes)
        heats = {finding: listed.heat_map(finding, generator.resolution) for finding in listed.by_finding}
        found = Regions("radiologists' boxes", heats, {name: len(b) for name, b in listed.by_finding.items()})
    else:
        return NO_REGIONS
    if all(found.of(chosen) is None for chosen in sets):
        common = [finding for finding in generator.findings if finding in found.heats]
        raise FindingUnknown(
            f"{store or boxes} does not say where {' or '.join(map(title, sets))} sits; "
            f"it and the generator both know {', '.join(common) or 'none'}"
        )
    return found


def score(change: Change, regions: Regions, body: np.ndarray, *, rng: np.random.Generator) -> RegionScore | None:
    """Score a map against the region of its findings; None if the region is unknown or the map is empty."""
    heat = regions.of(change.findings)
    if heat is None or change.collapsed or np.isnan(change.rms_outside).any():  # NaN: the finding sits everywhere
        return None
    own = auroc_inside(change.mean, heat)
    gain = gain_inside(change.mean, heat)
    moved, gains = (moved_scores(kind, change.mean, heat, body) for kind in (auroc_inside, gain_inside))
    others = [auroc_inside(change.mean, h) for name, h in regions.heats.items() if name not in change.findings]
    others = [value for value in others if np.isfinite(value)]
    return RegionScore(
        source=regions.source,
        cases=sum(regions.cases[f] for f in change.findings) if regions.cases else None,
        points_inside=points_inside(change.mean, heat),
        auroc=own,
        auroc_moved=float(moved.mean()) if len(moved) else None,
        moves=len(moved),
        moves_as_high=float((moved >= own).mean()) if len(moved) else None,
        auroc_others=float(np.mean(others)) if others else None,
        gain=gain,
        moves_as_far=float((np.abs(gains - 0.5) >= abs(gain - 0.5)).mean()) if len(gains) else None,
        change_inside=mean_with_interval(change.rms_inside, rng=rng),
        change_outside=mean_with_interval(change.rms_outside, rng=rng),
    )
