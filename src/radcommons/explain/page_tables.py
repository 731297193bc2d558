"""The tables of an explanation's page."""

from collections.abc import Sequence

from markupsafe import Markup

from radcommons.explain.correlate import JOINED_AT
from radcommons.explain.evidence import THAT_OF_THE_AUDIT, Evidence
from radcommons.explain.finding_sets import title
from radcommons.explain.statements import place_in_words
from radcommons.metrics.label_fidelity import label_verdict
from radcommons.pages import Table, component
from radcommons.records import AuditReport, Correlation, Estimate, MapResult

NOT_KNOWN = "not known"


def estimate(value: Estimate | None, form: str = "z.2f") -> str:
    """A number with its interval; nothing if there is no number."""
    return "" if value is None else value.text(form)


def link(anchor: str, text: str) -> Markup:
    """A link to a section of the page."""
    return Markup('<a href="#{}">{}</a>').format(anchor, text)


def glance(
    rows: Sequence[tuple[str, str, Evidence, MapResult | None, Markup | None]], correlation: Correlation | None
) -> Table:
    """One row per set of findings: the word, the picture, the numbers behind it.

    Args:
        rows: title, anchor, evidence, map, and the picture of one person.
    """
    pictures = any(picture for *_, picture in rows)
    regions = any(one is not None and one.score is not None for _, _, _, one, _ in rows)
    judged = correlation is not None or any(e.on_films for _, _, e, _, _ in rows)
    shown = [pictures, correlation is not None, judged, regions]
    heads = ["without, with, and the difference", "correlation of label and classifier",
             "classifier's own AUC on films", "change in its region"]  # fmt: skip

    shown_heads = [head for head, wanted in zip(heads, shown, strict=True) if wanted]

    def cells(row: tuple[str, str, Evidence, MapResult | None, Markup | None]) -> list[str]:
        name, anchor, found, one, picture = row
        word = Markup('{}: {}<br><span class="quiet">{}</span>').format(
            link(anchor, name), component("mark", found.outcome), found.reason + other_judge(found)
        )
        rest = [picture or "", estimate(found.correlation), on_films(found), place(one)]
        return [word, *(cell for cell, wanted in zip(rest, shown, strict=True) if wanted)]

    return Table(
        caption="What each label has learned",
        heads=["finding, and whether its label is learned", *shown_heads],
        rows=[cells(row) for row in rows],
        numbers=[place for place, head in enumerate(shown_heads, start=1) if head != heads[0]],
        stack=True,
    )


def other_judge(found: Evidence) -> str:
    """Whose word it is, if the numbers beside it are another classifier's."""
    return f" ({found.judge})" if found.judge and found.judge != found.films_judge else ""


def on_films(found: Evidence) -> str:
    """The classifier's own AUC, and whose it is if it is another's than the correlation's."""
    if found.on_films is None:
        return NOT_KNOWN
    whose = f", {found.films_judge}" if found.films_judge == THAT_OF_THE_AUDIT else ""
    return found.on_films.text("z.2f") + whose


def place(one: MapResult | None) -> str:
    """Whether a map's change sits in its region, with the AUROC."""
    if one is None or one.score is None:
        return NOT_KNOWN
    return f"{place_in_words(one.score)} (AUROC {one.score.auroc:.2f})"


def maps(rows: Sequence[tuple[str, str, MapResult]]) -> Table:
    """All numbers of the difference maps; rows are title, anchor and map."""
    scored = any(one.score is not None for _, _, one in rows)
    heads = ["finding", "strongest change, grey levels of 255"]
    if scored:
        heads += ["AUROC in its region", "AUROC, region moved", "AUROC, others' regions", "AUROC, region brightens",
                  "strongest point inside", "change inside / outside, grey levels"]  # fmt: skip
    heads += ["share of the change outside the body (share of the area)", "another person? 0 same, 1 other"]
    return Table(
        caption="All numbers of the difference maps",
        heads=heads,
        rows=[_map_row(name, anchor, one, scored=scored) for name, anchor, one in rows],
        numbers=range(1, len(heads)),
        stack=True,
    )


def _map_row(name: str, anchor: str, one: MapResult, *, scored: bool) -> list[str]:
    error = "" if one.strongest_error is None else f" ± {one.strongest_error:.1f}"
    row = [link(anchor, name), "no change" if one.collapsed else f"{one.strongest:+z.0f}{error}"]
    if (score := one.score) is not None:
        inside = f"{score.change_inside.value:.0f} / {score.change_outside.value:.0f}"
        row += [f"{score.auroc:.2f}", _two_digits(score.auroc_moved), _two_digits(score.auroc_others),
                f"{score.gain:.2f}", "yes" if score.points_inside else "no", inside]  # fmt: skip
    elif scored:
        row += [one.unscored or "", "", "", "", "", ""]
    outside = "" if one.outside_body is None else f"{one.outside_body:.0%} ({one.outside_body_area:.0%})"
    return [*row, outside, estimate(one.identity)]


def _two_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def correlations(result: Correlation, evidence: Sequence[Evidence]) -> Table:
    """The diagonal of the matrix beside the classifier's own AUC; `evidence` is in the order of the record."""
    companions = companions_of(result)
    rows, faint = [], set()
    for place, (finding, found) in enumerate(zip(result.findings, evidence, strict=True)):
        ranked = result.spearman[place][place]
        rows.append(
            [
                title((finding,)),
                estimate(found.correlation) or "the output does not change",
                "" if ranked is None else f"{ranked:z.2f}",
                estimate(result.own_auc.get(finding)),
                on_films(found),
                companions[finding],
            ]
        )
        if found.few:
            faint.add(place)
    return Table(
        caption="Each label and its own output of the classifier",
        heads=["finding", "correlation (Pearson)", "rank correlation (Spearman)", "AUC on synthetic images",
               "classifier's own AUC on films", "also changes the output of"],
        rows=rows,
        numbers=(1, 2, 3, 4),
        faint=faint,
        stack=True,
    )  # fmt: skip


def companions_of(correlation: Correlation) -> dict[str, str]:
    """For each finding, the other outputs that its label changes, strongest first."""
    found = {}
    for finding, row in zip(correlation.findings, correlation.pearson, strict=True):
        moved = [
            (value, other)
            for value, other in zip(row, correlation.findings, strict=True)
            if other != finding and value is not None and abs(value) >= JOINED_AT
        ]
        found[finding] = ", ".join(f"{title((o,))} {v:+.2f}" for v, o in sorted(moved, key=lambda m: -abs(m[0])))
    return found


def audited_labels(audit: AuditReport, findings: Sequence[str]) -> Table:
    """Label fidelity and diversity of each finding that the audit measured."""
    fidelity, diversity = {f.finding: f for f in audit.fidelity}, {d.finding: d for d in audit.diversity}
    rows = []
    for finding in findings:
        f, d = fidelity.get(finding), diversity.get(finding)
        if finding not in audit.findings:
            continue
        rows.append(
            [
                title((finding,)),
                component("mark", label_verdict(f).outcome if f else "cannot tell"),
                estimate(f.auc_real) if f else "",
                estimate(f.auc_synthetic) if f else "",
                f"{d.real:.2f}" if d else "",
                f"{d.synthetic:.2f}" if d else "",
            ]
        )
    return Table(
        caption="Labels and diversity, as the audit found them",
        heads=["finding", "label", "AUC of the audit's classifier on films", "on synthetic images",
               "MS-SSIM of pairs of films", "of synthetic images"],
        rows=rows,
        numbers=(2, 3, 4, 5),
        stack=True,
    )  # fmt: skip


def audited_distances(audit: AuditReport) -> Table:
    """FID of each pair of sets."""
    return Table(
        caption="Frechet distance (FID) of the audit; lower = more alike",
        heads=["images, against", "number of each", "FID"],
        rows=[
            [
                f"{s.images}, against {s.reference}",
                f"{s.image_count:,} / {s.reference_count:,}",
                estimate(s.fid, ".1f"),
            ]
            for s in audit.quality
            if s.finding is None and s.change is None and s.fid
        ],
        numbers=(1, 2),
        show_caption=True,
    )
