"""The tables of an audit's page, from its record alone."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from radcommons.audit.neighbours.nearest import SPACES
from radcommons.metrics.bootstrap import FEW_PATIENTS
from radcommons.metrics.label_fidelity import LabelVerdict, label_verdict
from radcommons.pages import Table, component
from radcommons.records import (
    LEAK_WORDS,
    AuditReport,
    Estimate,
    Outcome,
    PolicyLine,
    PrivacyTest,
    PrivacyTestKind,
    QualityScore,
    p_text,
)

NOTHING = "–"
LEAKS: dict[PrivacyTestKind, str] = {  # attacks with images alone: what they measure, and which way a leak moves it
    "near-duplicates": "images that are a training film, slightly changed; more = leak",
    "data copying": "z of the three-sample test; lower = leak",
    "data copying by finding": "the lowest z of all findings; lower = leak",
    "distance to closest record": "images whose nearest film was in training; more = leak",
    "re-identification": "images that would be taken for a patient in training; more = leak",
    "membership inference: black-box": "AUC over patients; 0.5 = a guess, higher = leak",
}
COUNTING = ("near-duplicates", "re-identification")  # the tests that count images
UNJUDGED = LabelVerdict("cannot tell", "no classifier that knows it looked at the images")
SHARES = ("precision", "recall", "density", "coverage")


def words(finding: str) -> str:
    """A finding's name for people."""
    return finding.replace("_", " ")


def number(value: float) -> str:
    """A number for people: three digits that count, never an exponent."""
    if 0 < abs(value) < 0.001:
        return "below 0.001" if value > 0 else "above -0.001"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def p_value(test: PrivacyTest, report: AuditReport) -> str:
    """The p value of a test in words that agree with its outcome."""
    significance = report.settings["policy"]["significance"]
    return NOTHING if test.p_value is None else p_text(test.p_value, significance).removeprefix("p ")


def all_ways(test: PrivacyTest, report: AuditReport) -> str:
    """How all ways to compare images ended, where one test answers for several; "" if it is the only one."""
    judged, alike = outcomes(report), [o for o in report.privacy if o.kind == test.kind and o.result]
    lines = []
    if test.kind in COUNTING and test.result:
        most = max(alike, key=lambda other: other.result.value if other.result else 0.0)
        if most.result and most.result.value > test.result.value:
            chance = "" if most.expected is None else f" ({most.expected:.1f} by chance)"
            lines.append(f"by {most.space}: {most.result.value:,.0f}{chance}")
    if len(alike) > 1:
        ended = Counter(LEAK_WORDS[judged[o.name]] for o in alike if o.name in judged)
        if len(ended) > 1:
            lines.append(", ".join(f"{words} by {count} of {len(alike)} ways" for words, count in ended.items()))
        lowest = min((o.p_value for o in alike if o.p_value is not None), default=None)
        if lowest is not None and test.p_value is not None and lowest < test.p_value:
            lines.append(f"lowest {p_text(lowest, report.settings['policy']['significance'])}")
    return "; ".join(lines)


def outcomes(report: AuditReport) -> dict[str, Outcome]:
    """What the policy says of each test that it judges, by the test's name."""
    return {line.rule: line.outcome for line in report.judgement.lines}


def label_verdicts(report: AuditReport) -> dict[str, LabelVerdict]:
    """Whether each finding was learned."""
    judged = {one.finding: label_verdict(one) for one in report.fidelity}
    few = {one.finding: LabelVerdict("cannot tell", one.skipped) for one in report.by_finding if one.skipped}
    return {finding: judged.get(finding, few.get(finding, UNJUDGED)) for finding in report.findings}


def findings_table(report: AuditReport, pictures: Mapping[str, Markup]) -> Table:
    """Each finding with its verdict, the picture that shows it, and why."""
    found = {one.finding: one for one in report.fidelity}
    rows, faint = [], []
    for place, (finding, verdict) in enumerate(label_verdicts(report).items()):
        one, why = found.get(finding), Markup.escape(verdict.reason)
        if one is None or (one.patients is not None and one.patients < FEW_PATIENTS):
            faint.append(place)
        if one is not None and one.patients is not None:
            counted = f"with it: {one.patients:,} held-out patients, {one.images:,} synthetic images"
            why = two_lines(verdict.reason, f"{counted}, {one.positives:,} films in training")
        shown = [pictures[finding]] if pictures else []
        rows.append([words(finding), component("mark", verdict.outcome), *shown, why])
    heads = ["finding", "label", *(["without, with it"] if pictures else []), "why"]
    return Table(caption="Has the generator learned each finding?", heads=heads, rows=rows, faint=faint, stack=True)


def attack_matrix(report: AuditReport) -> Table:
    """Every attack with images alone, in each space."""
    tests = {(test.kind, test.space): test for test in report.privacy}
    rows = [
        [two_lines(kind, unit), *(_cell(tests.get((kind, space)), report) for space in SPACES)]
        for kind, unit in LEAKS.items()
    ]
    heads = ["attack", *(space[0].upper() + space[1:] for space in SPACES)]
    caption = "Attacks with synthetic images alone, by three ways to compare images"
    return Table(caption=caption, heads=heads, rows=rows, stack=True, show_caption=True)


def _cell(test: PrivacyTest | None, report: AuditReport) -> Markup | str:
    if test is None:
        return NOTHING
    if test.result is None:
        return _mark(test, report)
    return Markup("{}<br>{}").format(_mark(test, report), two_lines(test.found, f"p {p_value(test, report)}"))


def other_tests(report: AuditReport) -> Table:
    """The attacks with weights or critic, and the checks of the store itself."""
    rows = [
        [two_lines(test.kind, test.question), _mark(test, report), test.found, p_value(test, report), test.detectable]
        if test.result is not None
        else [two_lines(test.kind, test.question), _mark(test, report), test.found, NOTHING, NOTHING]
        for test in report.privacy
        if test.kind not in LEAKS
    ]
    heads = ["test", "outcome", "found", "p", "would have detected"]
    caption = "Attacks with the weights or the critic, and checks of the films"
    return Table(caption=caption, heads=heads, rows=rows, stack=True, show_caption=True)


def _mark(test: PrivacyTest, report: AuditReport) -> Markup:
    judged = outcomes(report).get(test.name)
    return component("mark", LEAK_WORDS[judged] if judged else "not judged")


def test_details(report: AuditReport) -> list[tuple[str, Table]]:
    """For each kind of test its question, and everything that was measured, space by space."""
    return [(f"{kind}: {tests[0].question}", _details(kind, tests, report)) for kind, tests in by_kind(report).items()]


def by_kind(report: AuditReport) -> dict[PrivacyTestKind, list[PrivacyTest]]:
    """The privacy tests of each kind, in the report's order."""
    kinds: dict[PrivacyTestKind, list[PrivacyTest]] = {}
    for test in report.privacy:
        kinds.setdefault(test.kind, []).append(test)
    return kinds


def _details(kind: PrivacyTestKind, tests: Sequence[PrivacyTest], report: AuditReport) -> Table:
    rows = []
    for test in tests:
        compared = test.space or test.access
        if test.result is None:
            rows.append([compared, test.found, *[NOTHING] * 4])
            continue
        measured = two_lines(test.measure, ", ".join(f"{count:,} {name}" for name, count in test.counts.items()))
        expected = NOTHING if test.expected is None else number(test.expected)
        further = "; ".join(f"{name} {number(value)}" for name, value in test.details.items())
        found = two_lines(test.found, measured)
        rows.append([compared, found, expected, p_value(test, report), test.detection, further or NOTHING])
    heads = ["compared by", "found", "without a leak", "p", "would have detected", "further numbers"]
    return Table(caption=f"Details of {kind}", heads=heads, rows=rows, stack=True)


def rules_table(lines: Iterable[PolicyLine], caption: str) -> Table:
    """Rules of the policy with their outcome."""
    rows = [[two_lines(x.rule, x.meaning), component("mark", x.outcome), x.found, x.limit] for x in lines]
    return Table(caption=caption, heads=["rule", "outcome", "found", "limit"], rows=rows, stack=True)


def controls_table(report: AuditReport) -> Table:
    """Cases whose answer is known."""
    rows = [
        [
            two_lines(control.name, control.description),
            component("mark", "right answer" if control.behaved else "wrong answer"),
            "caught" if control.must_be_caught else "passed",
            _by_kind(control.caught_by),
        ]
        for control in report.controls
    ]
    heads = ["control", "outcome", "must be", "caught by"]
    return Table(caption="Cases whose answer is known", heads=heads, rows=rows, stack=True)


def _by_kind(names: Sequence[str]) -> str:
    """Names of tests, each kind once with its spaces."""
    spaces: dict[str, list[str]] = {}
    for name in names:
        kind, _, space = name.partition(", ")
        spaces.setdefault(kind, []).extend([space] if space else [])
    return "; ".join(f"{kind} ({', '.join(s)})" if s else kind for kind, s in spaces.items()) or "nothing"


def main_scores(report: AuditReport) -> list[QualityScore]:
    """Synthetic images and the controls, all against held-out films and of equally many images."""
    return [s for s in report.quality if s.reference == "held-out films" and s.finding is None and s.change is None]


def changed_scores(report: AuditReport) -> list[QualityScore]:
    """Training films changed in known ways, against held-out films."""
    return [score for score in report.quality if score.change is not None]


def other_scores(report: AuditReport) -> list[QualityScore]:
    """Synthetic images against training films: all, in equal counts of each finding, and finding by finding."""
    shown = main_scores(report)
    return [score for score in report.quality if score.change is None and score not in shown]


def quality_table(scores: Sequence[QualityScore], caption: str, *, beside: bool = False) -> Table:
    """Distances between sets of images, one row for each comparison; `beside` says with what and of how many images."""
    rows = []
    for score in scores:
        name = score.change or (score.images if score.finding is None else f"{words(score.finding)}: {score.images}")
        against = f"against {score.reference}; {score.image_count:,} and {score.reference_count:,}"
        shares = (getattr(score, share) for share in SHARES)
        rows.append([
            two_lines(name, against) if beside else name, interval(score.fid, ".1f"),
            interval(score.kid, ".1f", times=1000),
            *(NOTHING if share is None else f"{share:.2f}" for share in shares),
        ])  # fmt: skip
    heads = ["images", "FID", "1000 x KID", *SHARES]
    return Table(caption=caption, heads=heads, rows=rows, numbers=range(1, len(heads)), stack=True, show_caption=True)


def finding_distances_table(report: AuditReport) -> Table:
    """How near the images of each finding are to held-out films with it."""
    rows: list[Sequence[str]] = []
    faint: list[int] = []
    for place, row in enumerate(report.by_finding):
        if row.image_count < FEW_PATIENTS or row.skipped is not None:
            faint.append(place)
        if row.kid is None or row.kid_baseline is None:
            rows.append([words(row.finding), f"{row.image_count:,}", row.skipped or NOTHING, *[NOTHING] * 5])
            continue
        kids = (f"{1000 * value:.2f}" for value in (row.kid, row.kid_baseline))
        rows.append([
            words(row.finding), f"{row.image_count:,}", f"{row.fid:.1f}", f"{row.fid_baseline:.1f}",
            interval(row.fid_ratio), *kids, interval(row.kid_excess, ".2f", times=1000),
        ])  # fmt: skip
    heads = [
        "finding", "images of each kind", "FID", "FID of training films", "ratio", "1000 x KID", "of training films",
        "excess",
    ]  # fmt: skip
    return Table(
        caption="Synthetic images of a finding, and training films with it, against held-out films with it",
        heads=heads,
        rows=rows,
        numbers=range(1, len(heads)),
        faint=faint,
        stack=True,
    )


def diversity_table(report: AuditReport) -> Table:
    """How alike pairs of images with the same finding are."""
    rows = [
        [words(one.finding), f"{one.real:.3f} ± {one.real_sd:.3f}", f"{one.synthetic:.3f} ± {one.synthetic_sd:.3f}"]
        for one in report.diversity
    ]
    heads = ["finding", "real, mean ± sd", "synthetic, mean ± sd"]
    return Table(caption="MS-SSIM of pairs of images with the same finding", heads=heads, rows=rows, numbers=(1, 2))


def provenance(report: AuditReport) -> Table:
    """What was audited, and with what."""
    seen = f", {report.images_seen:,} images seen in training" if report.images_seen else ""
    rows = [["audited", f"{report.kind} {report.digest[:16]}{seen}"]]
    if report.patients is not None:
        known, why = report.patients, report.patients.incomparable
        rows.append([
            "patients that the generator has seen",
            f"{known.in_training:,} of those in training, {known.held_out:,} of those held out, "
            f"{known.for_reference:,} of those for validation{f' (not known of the others: {why})' if why else ''}",
        ])  # fmt: skip
    rows += [
        ["findings", ", ".join(map(words, report.findings)) or "none"],
        ["settings", _listed({name: value for name, value in report.settings.items() if name != "policy"})],
        ["policy", _listed(report.settings["policy"])],
        ["versions", _listed(report.versions)],
    ]
    return Table(caption="Generator, films, settings and versions", heads=["what", "value"], rows=rows, stack=True)


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def interval(estimate: Estimate | None, form: str = ".2f", *, times: float = 1) -> str:
    """A number with its interval, each multiplied by `times`."""
    if estimate is None:
        return NOTHING
    value, *ends = (
        None if one is None else f"{times * one:{form}}" for one in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} ({ends[0]} to {ends[1]})" if None not in ends else str(value)


def two_lines(first: str, second: str) -> Markup:
    """A cell of a table, with a second line that is printed weakly if there is one."""
    return Markup.escape(first) if not second else Markup('{}<br><span class="quiet">{}</span>').format(first, second)
