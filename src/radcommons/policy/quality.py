"""The rules of quality: synthetic images beside the audit's own controls (real films, blurred films, noise)."""

from collections.abc import Iterator

from radcommons.policy.settings import Policy
from radcommons.records import AuditResults, ImageSet, Outcome, PolicyLine, QualityScore

MEANINGS = {
    "precision": "share of synthetic images that look like a held-out film",
    "recall": "share of held-out films that look like a synthetic image",
    "coverage": "share of held-out films with a synthetic image near to them",
}


def quality_lines(results: AuditResults, policy: Policy) -> Iterator[PolicyLine]:
    """Every rule of quality with its limit, what was found, and whether it is met."""
    rows = {row.images: row for row in results.quality if row.finding is None and row.reference == "held-out films"}
    if policy.better_than_controls:
        yield _controls_line(rows)
    for measure, meaning in MEANINGS.items():
        least = getattr(policy, measure)
        if least is not None:
            real, ours = (getattr(rows.get(name), measure, None) for name in ("training films", "synthetic images"))
            yield _share_line(measure, meaning, least, real, ours)
    if policy.finding_fid_ratio is not None:
        yield _findings_line(results, policy.finding_fid_ratio)
    if policy.ms_ssim_excess is not None and results.diversity:
        excess = sum(d.synthetic - d.real for d in results.diversity) / len(results.diversity)
        meaning = "synthetic minus real MS-SSIM of pairs that share a finding, mean; high = all images alike"
        outcome: Outcome = "met" if excess <= policy.ms_ssim_excess else "not met"
        yield _line("diversity", meaning, f"at most {policy.ms_ssim_excess:.2f}", f"{excess:+.3f}", outcome)


def _controls_line(rows: dict[ImageSet, QualityScore]) -> PolicyLine:
    """Is the FID of synthetic images below that of noise and of blurred films? All four are of equally many images."""
    names: tuple[ImageSet, ...] = ("synthetic images", "training films", "blurred training films", "noise")
    fid = {name: score.value for name in names if name in rows and (score := rows[name].fid) is not None}
    meaning = "synthetic images are nearer to held-out films than noise and blurred training films are"
    outcome: Outcome = "not tested"
    found, limit = "no controls of quality in this report", "FID below that of both"
    if len(fid) == len(names):
        nearest_control = min(fid["noise"], fid["blurred training films"])
        found = "FID " + ", ".join(f"{name} {value:.3g}" for name, value in fid.items())
        if fid["training films"] >= nearest_control:
            outcome = "inconclusive"  # the extractor does not tell films from noise
        else:
            outcome = "met" if fid["synthetic images"] < nearest_control else "not met"
    return _line("better than controls", meaning, limit, found, outcome)


def _share_line(measure: str, meaning: str, least: float, real: float | None, ours: float | None) -> PolicyLine:
    meaning += ", beside training films in their place (real-vs-real baseline)"
    found = "too few films"
    outcome: Outcome = "not tested"
    if real is not None and ours is not None:
        found = f"{ours:.2f}, baseline {real:.2f}"
        outcome = "inconclusive" if real == 0 else "met" if ours >= least * real else "not met"
    return _line(measure, meaning, f"at least {least:.0%} of the baseline", found, outcome)


def _findings_line(results: AuditResults, most: float) -> PolicyLine:
    """The finding whose FID is highest beside that of training films; not met if chance does not explain it."""
    measured = {row.finding: row.fid_ratio for row in results.by_finding if row.fid_ratio is not None}
    found = "no finding has enough films"
    outcome: Outcome = "not tested"
    if measured:
        too_far = {finding for finding, ratio in measured.items() if (ratio.low or 0.0) > most}
        worst = max(too_far or measured, key=lambda finding: measured[finding].value)
        outcome = "not met" if too_far else "met"
        found = f"{worst} {measured[worst].value:.2f}, of {len(measured)} findings"
    meaning = "FID of a finding's synthetic images over that of training films with it, against held-out films"
    return _line("distance by finding", meaning, f"at most {most:g} for each finding", found, outcome)


def _line(rule: str, meaning: str, limit: str, found: str, outcome: Outcome) -> PolicyLine:
    return PolicyLine(rule=rule, verdict="quality", meaning=meaning, limit=limit, found=found, outcome=outcome)
