"""The rules about what the gate measured on images that it drew itself, and about copies of older deposits."""

from collections.abc import Iterable, Iterator, Sequence

from radcommons.hub.fingerprint import nearest_copy
from radcommons.hub.gate_settings import GateRules
from radcommons.hub.package_checks import met, not_met, not_tested
from radcommons.records import AuditReport, GateFigures, GateLine, GateStep, KnownDeposit, ReferenceDistance

TRAIN_AGAIN = "train again, longer or with more films"
AUDIT_AGAIN = "audit these weights again with 'radcommons audit', then package them"
NO_REFERENCE = "no reference statistics of this size are registered"


def image_lines(figures: GateFigures, audit: AuditReport, rules: GateRules) -> Iterator[GateLine]:
    """Rules for which no film is needed."""
    if rules.flat is not None:
        limit = f"at most {rules.flat:.0%} of the images"
        yield _judged("images", "flat images", limit, f"{figures.flat:.1%}", figures.flat <= rules.flat, TRAIN_AGAIN)
    if rules.repeats is not None:
        found = f"{figures.repeats:.1%} of {figures.image_count:,} images nearly repeat another one"
        remedy = "the generator replays few images; " + TRAIN_AGAIN
        limit = f"at most {rules.repeats:.0%} of the images"
        yield _judged("images", "repeats", limit, found, figures.repeats <= rules.repeats, remedy)
    if rules.label_effect is not None and figures.label_effect:
        effect = sum(figures.label_effect.values()) / len(figures.label_effect)
        limit = f"at least {rules.label_effect:g} grey levels when a finding is switched on"
        remedy = "the labels do not act; train with labels"
        yield _judged("images", "labels act", limit, f"{effect:.2f}", effect >= rules.label_effect, remedy)
    if figures.ms_ssim is None:
        yield not_tested(
            "images", "diversity", "MS-SSIM of pairs", f"images of {figures.side} pixels are too small for it"
        )
        return
    found = f"{figures.ms_ssim:.3f}"
    if rules.ms_ssim_least is not None:
        good, remedy = figures.ms_ssim >= rules.ms_ssim_least, "the images are noise; " + TRAIN_AGAIN
        yield _judged("images", "likeness", f"MS-SSIM of pairs at least {rules.ms_ssim_least}", found, good, remedy)
    beside_films = rules.ms_ssim_excess is not None and any(d.ms_ssim_films is not None for d in figures.distances)
    if rules.ms_ssim_most is not None and not beside_films:
        good, remedy = figures.ms_ssim <= rules.ms_ssim_most, "the images are alike; " + TRAIN_AGAIN
        yield _judged("images", "diversity", f"MS-SSIM of pairs at most {rules.ms_ssim_most}", found, good, remedy)
    if rules.ms_ssim_tolerance is not None:
        yield _agreement_line(figures, audit, rules.ms_ssim_tolerance)


def _agreement_line(figures: GateFigures, audit: AuditReport, tolerance: float) -> GateLine:
    """The one figure of the audit that the hub can measure again without a film: MS-SSIM of synthetic pairs."""
    rule, limit = (
        "agreement with the audit",
        f"MS-SSIM of pairs that share a finding within {tolerance:g} of the audit's",
    )
    theirs = {row.finding: row.synthetic for row in audit.diversity if row.side == figures.side}
    both = [finding for finding in theirs if finding in figures.ms_ssim_by_finding]
    if not both:
        return not_tested("images", rule, limit, "the audit has no finding with enough films")
    ours = sum(figures.ms_ssim_by_finding[finding] for finding in both) / len(both)
    said = sum(theirs[finding] for finding in both) / len(both)
    found = f"{ours:.3f} here, {said:.3f} in the audit, mean over {len(both)} findings"
    return _judged("images", rule, limit, found, abs(ours - said) <= tolerance, AUDIT_AGAIN)


def reference_lines(
    distances: Sequence[ReferenceDistance], figures: GateFigures, faults: Sequence[str], rules: GateRules
) -> Iterator[GateLine]:
    """Rules about the distance to films: the nearest of the registered references decides."""
    rule, limit = "distance to films", "FID to registered reference statistics"
    if not distances:
        found = "; ".join(faults or [NO_REFERENCE])
        if rules.require_reference:
            yield not_met(
                "reference", rule, limit, found, "ask the operator to register statistics of films of this size"
            )
        else:
            yield not_tested("reference", rule, limit, found)
        return
    nearest = min(distances, key=lambda each: each.fid / min(each.fid_blurred, each.fid_noise))
    if rules.fid_share is not None:
        worst = min(nearest.fid_blurred, nearest.fid_noise)
        most = rules.fid_share * worst
        limit = f"FID at most {most:.1f}, {rules.fid_share:.0%} of that of blurred films or noise, the lower"
        found = (
            f"{nearest.fid:.1f} of {nearest.image_count:,} images to {nearest.films:,} films of {nearest.name}; "
            f"films of other patients {nearest.fid_films:.1f}, blurred films {nearest.fid_blurred:.1f}, "
            f"noise {nearest.fid_noise:.1f}"
        )
        yield _judged("reference", rule, limit, found, nearest.fid <= most, TRAIN_AGAIN)
    if rules.ms_ssim_excess is not None and nearest.ms_ssim_films is not None and figures.ms_ssim is not None:
        excess = figures.ms_ssim - nearest.ms_ssim_films
        limit = f"MS-SSIM of pairs at most {rules.ms_ssim_excess:g} above that of films of {nearest.name}"
        found = f"{figures.ms_ssim:.3f}, films {nearest.ms_ssim_films:.3f}"
        remedy = "the images are too much alike; " + TRAIN_AGAIN
        yield _judged("reference", "diversity beside films", limit, found, excess <= rules.ms_ssim_excess, remedy)


def weights_known_line(weights_sha256: str, known: Iterable[KnownDeposit]) -> GateLine:
    """Whether the very same weights are on the hub."""
    rule, limit = "new weights", "not those of an older deposit"
    same = [each.name for each in known if each.weights_sha256 == weights_sha256]
    if same:
        return not_met(
            "duplicates", rule, limit, f"the weights are those of {same[0]}", "nothing is to be deposited again"
        )
    return met("duplicates", rule, limit, weights_sha256[:16])


def copy_line(fingerprint: str, known: Iterable[KnownDeposit], least: float) -> GateLine:
    """Whether the images are nearly those of an older deposit."""
    rule, limit = "no copy", f"images differ by at least {least:.0%} of what unrelated ones do"
    nearest = nearest_copy(fingerprint, known)
    if nearest is None:
        return met("duplicates", rule, limit, "there is no other deposit to compare with")
    name, share = nearest
    remedy = "it is nearly a generator that is here already; deposit one of your own, or a new revision under its name"
    return _judged("duplicates", rule, limit, f"{share:.0%}, the nearest is {name}", share >= least, remedy)


def _judged(step: GateStep, rule: str, limit: str, found: str, good: bool, remedy: str) -> GateLine:
    return met(step, rule, limit, found) if good else not_met(step, rule, limit, found, remedy)
