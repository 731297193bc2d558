"""The page of an audit: verdicts first, then pictures, then every number. It shows patients' films and stays inside."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from radcommons.audit import figures, sheets, tables
from radcommons.audit.histogram import histogram
from radcommons.audit.inputs.material import Material
from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.neighbours.nearest import SPACES
from radcommons.audit.release import detected_the_fewest, next_steps
from radcommons.errors import PathMissing
from radcommons.files import write_whole
from radcommons.metrics.label_fidelity import RULE
from radcommons.pages import render_page
from radcommons.records import AuditReport, Space, share_text

LAST_LINK, LAST_PART = '<a href="#how">', '<h2 id="how">'  # of the page; a reader study comes before it
STUDY_LINK = '<a href="#study">Reader study</a>'


@dataclass(frozen=True)
class Headline:
    """A number that comes first: its value, its interval or size, and what it is."""

    value: str
    beside: str
    meaning: str


def render(report: AuditReport, material: Material, inputs: PrivacyInputs) -> str:
    """The whole page as HTML."""
    attacks = [test for test in report.privacy if test.name in figures.ATTACKS and test.curve]
    strong = [one for one in report.fidelity if one.strengths]
    return render_page(
        "audit.html.j2",
        report=report,
        headlines=list(headlines(report)),
        next_steps=next_steps(report),
        untried=detected_the_fewest(report),
        tables=tables,
        with_p=[t for t in report.privacy if t.p_value is not None and t.name in tables.outcomes(report)],
        label_rule=RULE,
        findings=tables.findings_table(report, sheets.finding_pairs(material)),
        real=sheets.film_grid(material),
        synthetic=sheets.synthetic_grid(material),
        sheets={space: sheets.neighbour_sheet(material, inputs, space) for space in SPACES},
        distances={space: _distances(inputs, space) for space in SPACES},
        attacks=[figures.attack_plot(attacks, few_alarms=few) for few in (False, True)] if attacks else [],
        spectrum=figures.spectrum_plot(report.spectra) if report.spectra else None,
        diversity=figures.diversity_plot(report.diversity) if report.diversity else None,
        strengths=figures.strength_plot(strong) if strong else None,
    )


def add_study(page: Path, section: Markup) -> None:
    """Put a reader study on a page that is written, in place of an earlier one; raises PathMissing."""
    try:
        text = page.read_text(encoding="utf-8")
    except OSError:
        raise PathMissing(f"{page} is missing; audit again with another --out") from None
    text = re.sub(r"<section id=\"study\">.*?</section>\n*", "", text, flags=re.DOTALL).replace(STUDY_LINK, "")
    for place, added in ((LAST_LINK, STUDY_LINK), (LAST_PART, f"{section}\n\n")):
        text = text.replace(place, added + place, 1)
    write_whole(page, text)


def headlines(report: AuditReport) -> Iterator[Headline]:
    """What a data-protection officer and a data scientist need first."""
    limit, counts = report.detection_limit, report.counts
    share = "none" if limit is None else share_text(limit, counts["synthetic images"], "images")
    value, bracket, percent = share.partition(" (")
    yield Headline(
        value, (bracket + percent).strip(), "from here on, copies of training films would have been detected"
    )
    copies = [test for test in report.privacy if test.kind == "near-duplicates" and test.result is not None]
    if copies:
        best = min(copies, key=lambda test: 1.0 if test.detection_limit is None else test.detection_limit)
        yield Headline(best.found, "", f"are a training film, slightly changed (compared by {best.space})")
    yield from _strongest_attack(report)
    others = f"{counts['patients held out']:,} held out, {counts['patients for reference']:,} for validation"
    meaning = f"patients in training; {others}; no patient is in two parts"
    yield Headline(f"{counts['patients in training']:,}", "", meaning)
    yield from _distance_to_films(report)
    if report.findings:
        learned = Counter(one.outcome for one in tables.label_verdicts(report).values())
        rest = ", ".join(f"{count} {outcome}" for outcome, count in learned.items() if outcome != "learned")
        of = f"{learned['learned']} of {learned.total()}"
        yield Headline(of, "", f"labels were learned; {rest or 'none is missing'}")


def _strongest_attack(report: AuditReport) -> Iterator[Headline]:
    attacks = [
        (test.result, test)
        for test in report.privacy
        if test.access in ("samples", "weights") and test.measures_auc and test.result is not None
    ]
    if attacks:
        result, strongest = max(attacks, key=lambda one: one[0].value)
        value, _, interval = result.text(".2f").partition(" ")
        how = figures.attack_name(strongest) + (f", {strongest.space}" if strongest.space else "")
        counted = " and ".join(f"{count:,} {name}" for name, count in strongest.counts.items() if "patients" in name)
        meaning = (
            f"of the strongest attack with images or weights on who was in training ({how}; {counted}); 0.5 = a guess"
        )
        yield Headline(f"AUC {value}", interval, meaning)


def _distance_to_films(report: AuditReport) -> Iterator[Headline]:
    rows = {score.images: score for score in tables.main_scores(report)}
    ours, real = rows["synthetic images"], rows["training films"]
    if ours.fid is not None and real.fid is not None:
        value, _, interval = ours.fid.text(".1f").partition(" ")
        meaning = (
            f"of {ours.image_count:,} synthetic images against {ours.reference_count:,} held-out films, by "
            f"{ours.extractor}; training films in their place: {real.fid.text('.1f')}"
        )
        yield Headline(f"FID {value}", interval, meaning)


def _distances(inputs: PrivacyInputs, space: Space) -> Markup:
    """Histograms of the similarity to the nearest training film, with planted copies as the end of the scale."""
    known = inputs.neighbours[space]
    spread = histogram(
        {
            "held-out films": known.held_to_train.best,
            "synthetic images": inputs.synthetic[space].to_train.best,
            "planted copies": inputs.copies[space].to_train.best,
        }
    )
    measure = "SSIM" if space == "SSIM" else f"cosine of {space}"
    return figures.distance_plot(spread, measure, known.copy_similarity if known.tells_copies else None)
