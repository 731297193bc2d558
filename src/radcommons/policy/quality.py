"""The rules of quality: synthetic images beside the audit's own controls (real films, blurred films, noise)."""

from collections.abc import Iterator
from typing import Literal

from radcommons.policy.settings import Policy
from radcommons.records import AuditResults, ImageSet, Outcome, PolicyLine, QualityScore

MEASURES: tuple[Literal["precision", "recall", "coverage"], ...] = ("precision", "recall", "coverage")
MEANINGS = {
    "precision": "share of synthetic images that look like a held-out film",
    "recall": "share of held-out films that look like a synthetic image",
    "coverage": "share of held-out films with a synthetic image near to them",
}


def quality_lines(results: AuditResults, policy: Policy) -> Iterator[PolicyLine]:
    """Every rule of quality with its limit, what was found, and whether it is met."""
    if policy.better_than_controls:
        yield _controls_line(results)
    baseline, synthetic = _against_held_out(results, "training films"), _against_held_out(results, "synthetic images")
    for measure in MEASURES:
        least = getattr(policy, measure)
        if least is not None:
            yield _share_line(measure, least, baseline, synthetic)
    if policy.ms_ssim_excess is not None and results.diversity:
        excess = sum(d.synthetic - d.real for d in results.diversity) / len(results.diversity)
        meaning = "synthetic minus real MS-SSIM of pairs that share a finding, mean; high = all images alike"
        outcome: Outcome = "met" if excess <= policy.ms_ssim_excess else "not met"
        yield _line("diversity", meaning, f"at most {policy.ms_ssim_excess:.2f}", f"{excess:+.3f}", outcome)


def _controls_line(results: AuditResults) -> PolicyLine:
    """Is the FID of synthetic images below that of noise and of blurred films? All four are of equally many images."""
    names: tuple[ImageSet, ...] = ("synthetic images", "training films", "blurred training films", "noise")
    rows = [_against_held_out(results, name) for name in names]
    fid = {row.images: row.fid.value for row in rows if row is not None and row.fid is not None}
    meaning = "synthetic images are nearer to held-out films than noise and blurred training films are"
    outcome: Outcome = "not tested"
    found, limit = "no controls of quality in this report", "FID below that of both"
    if len(fid) == len(names):
        nearest_control = min(fid["noise"], fid["blurred training films"])
        found = "FID " + ", ".join(f"{name} {fid[name]:.3g}" for name in names)
        if fid["training films"] >= nearest_control:
            outcome = "could not detect"  # the extractor does not tell films from noise
        else:
            outcome = "met" if fid["synthetic images"] < nearest_control else "not met"
    return _line("better than controls", meaning, limit, found, outcome)


def _share_line(
    measure: Literal["precision", "recall", "coverage"],
    least: float,
    baseline: QualityScore | None,
    synthetic: QualityScore | None,
) -> PolicyLine:
    meaning = f"{MEANINGS[measure]}, beside training films in their place (real-vs-real baseline)"
    limit = f"at least {least:.0%} of the baseline"
    real, ours = (None if row is None else getattr(row, measure) for row in (baseline, synthetic))
    if real is None or ours is None:
        return _line(measure, meaning, limit, "too few films", "not tested")
    found = f"{ours:.2f}, baseline {real:.2f}"
    if real == 0:
        return _line(measure, meaning, limit, found, "could not detect")
    return _line(measure, meaning, limit, found, "met" if ours >= least * real else "not met")


def _against_held_out(results: AuditResults, images: ImageSet) -> QualityScore | None:
    """The row that compares a whole set with held-out films."""
    whole = (row for row in results.quality if row.finding is None and row.reference == "held-out films")
    return next((row for row in whole if row.images == images), None)


def _line(rule: str, meaning: str, limit: str, found: str, outcome: Outcome) -> PolicyLine:
    return PolicyLine(rule=rule, verdict="quality", meaning=meaning, limit=limit, found=found, outcome=outcome)
