"""The page of a comparison: verdicts, rules, measures, labels and pictures of several generators side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from markupsafe import Markup

from radcommons.compare.measures import Measure, counts_of, score_of
from radcommons.compare.subjects import Compared
from radcommons.findings import NO_FINDING
from radcommons.metrics.label_fidelity import label_verdict
from radcommons.models.generator import Generator
from radcommons.pages import COLOURS, Table, component, drawing, picture, plot, render_page
from radcommons.pictures import SYNTHETIC, contact_sheet
from radcommons.records import AuditReport, PolicyLine

COLUMNS = 6  # of a contact sheet
SIDES = 64, 128  # smallest and largest side of an image on a contact sheet, pixels
MARKERS = "osD^vPX*"  # of the generators in the plot


def render(compared: Sequence[Compared], measures: Mapping[str, Sequence[Measure]]) -> str:
    """The whole page as HTML; `measures` are those of `all_measures`."""
    reports, heads = [one.report for one in compared], [one.name for one in compared]
    drawers = [(one.name, one.generator) for one in compared if one.generator is not None]
    rows = _sheet_rows([generator for _, generator in drawers])
    side = min(max(SIDES[0], *(generator.resolution for _, generator in drawers)), SIDES[1]) if drawers else 0
    labels, findings = measures["labels"], measures["findings"]
    return render_page(
        "compare.html.j2",
        heads=heads,
        compared=compared,
        summary=summary(measures, heads),
        sizes=_sizes(reports, heads),
        policies=len({str(report.settings.get("policy")) for report in reports}),
        rules_of={verdict: _rules(reports, heads, verdict) for verdict in ("privacy", "quality")},
        quality=_quality_table(reports, heads, measures["quality"]),
        quality_apart=measures["quality"][0].apart,
        labels=_label_table(reports, heads, labels) if labels else None,
        labels_apart=labels[0].apart if labels else "",
        judges=[f"{one.name}: {one.report.label_classifier or 'no classifier'}" for one in compared],
        forest=_forest(labels, heads) if labels else None,
        findings=_table("Distances of each finding", heads, findings) if findings else None,
        sheets=[(name, draw_sheet(generator, name, rows, side)) for name, generator in drawers],
        rows=rows,
        missing=[one.name for one in compared if one.generator is None],
    )


def summary(measures: Mapping[str, Sequence[Measure]], heads: Sequence[str]) -> list[str]:
    """What the comparison says, in sentences."""
    every = [measure for group in measures.values() for measure in group]
    comparable, apart = [m for m in every if m.comparable], [m for m in every if m.apart]
    said = []
    for place, head in enumerate(heads):
        if won := [_named(measure) for measure in comparable if measure.best == place]:
            said.append(f"{head} is better in {len(won)} of {len(comparable)} measures that compare: {', '.join(won)}.")
    if open_ := sum(measure.best is None for measure in comparable):
        said.append(f"In {open_} of {len(comparable)} measures that compare none is better: the intervals overlap.")
    if apart:
        reasons = ", ".join(sorted({reason for measure in apart for reason in measure.apart.split(", ")}))
        said.append(f"{len(apart)} of {len(every)} measures do not compare: {reasons}.")
    return said


def _named(measure: Measure) -> str:
    return f"{measure.name} ({measure.finding})" if measure.finding else measure.name


def _sizes(reports: Sequence[AuditReport], heads: Sequence[str]) -> Table:
    def count(report: AuditReport, what: str) -> str:
        return f"{report.counts[what]:,}" if what in report.counts else "–"

    def detected(limit: float | None) -> str:
        return "not even copies alone" if limit is None else f"from {limit:.1%} of the images on"

    found: dict[str, Callable[[AuditReport], str]] = {
        "copies would have been detected": lambda r: detected(r.detection_limit),
        "compared with films of": lambda r: r.store + (" (simulated)" if r.simulated else ""),
        "films in training": lambda r: count(r, "films in training"),
        "patients held out": lambda r: count(r, "patients held out"),
        "synthetic images that were tested": lambda r: count(r, "synthetic images"),
        "side of the images, pixels": lambda r: str(r.resolution),
        "real images seen in training": lambda r: "–" if r.images_seen is None else f"{r.images_seen:,}",
        "findings": lambda r: ", ".join(r.findings) or "none",
        "SHA-256 of weights or images": lambda r: Markup("<code>{}</code>").format(r.digest[:12]),
    }
    rows = [[words, *map(cell, reports)] for words, cell in found.items()]
    return Table(caption="What was audited", heads=("audited", *heads), rows=rows, stack=True)


def _rules(reports: Sequence[AuditReport], heads: Sequence[str], verdict: str) -> tuple[Table | None, Table | None]:
    """The rules of a verdict: those whose outcomes differ between the audits, and the others."""
    lines = [{line.rule: line for line in r.judgement.lines if line.verdict == verdict} for r in reports]
    differing: list[list[str]] = []
    alike: list[list[str]] = []
    for rule in dict.fromkeys(rule for of_one in lines for rule in of_one):
        found = [of_one.get(rule) for of_one in lines]
        row = [rule, *(_outcome(line) for line in found)]
        (alike if len({line and line.outcome for line in found}) == 1 else differing).append(row)

    def table(rows: list[list[str]], words: str) -> Table | None:
        return Table(caption=words, heads=("rule", *heads), rows=rows, stack=True) if rows else None

    of = f"Rules of {verdict} with"
    return table(differing, f"{of} different outcomes"), table(alike, f"{of} the same outcome")


def _outcome(line: PolicyLine | None) -> str:
    if line is None:
        return "not in this audit"
    return Markup('{}<br><span class="quiet">{}</span>').format(component("mark", line.outcome), line.found)


def _quality_table(reports: Sequence[AuditReport], heads: Sequence[str], measures: Sequence[Measure]) -> Table:
    scores = [score_of(report) for report in reports]
    table = _table("Distances of all synthetic images from held-out films", heads, measures)
    taken = [
        ["features (extractor)", *(score.extractor if score else "not measured" for score in scores)],
        ["numbers of images", *(counts_of(score) or "not measured" for score in scores)],
    ]
    return replace(table, rows=[*taken, *table.rows])


def _table(caption: str, heads: Sequence[str], measures: Sequence[Measure]) -> Table:
    """A row for each measure; those of several kinds about one finding also say why they do not compare."""
    several = len({measure.name for measure in measures if measure.finding}) > 1
    rows = []
    for measure in measures:
        name = f"{measure.finding}: {measure.name}" if several else measure.finding or measure.name
        remarks = [f"{measure.better}er is better"]
        if several and measure.apart:
            remarks.append(f"not compared: {measure.apart}")
        head = Markup('{}<br><span class="quiet">{}</span>').format(name, "; ".join(remarks))
        rows.append([head, *(_cell(measure, place) for place in range(len(measure.values)))])
    return Table(caption=caption, heads=("measure", *heads), rows=rows, stack=True)


def _cell(measure: Measure, place: int) -> Markup:
    """A value, a mark if it is the better one, and in small print the value of real films and the counts."""
    value, films = measure.values[place], measure.films[place]
    small = [f"real films: {measure.text(films)}"] if films is not None else []
    if value is not None and measure.counts[place]:
        small.append(measure.counts[place])
    parts = [Markup("{}").format(measure.text(value))]
    if measure.best == place:
        parts.append(component("mark", "better"))
    parts += [Markup('<span class="quiet">{}</span>').format(text) for text in small]
    return Markup("<br>").join(parts)


def _label_table(reports: Sequence[AuditReport], heads: Sequence[str], measures: Sequence[Measure]) -> Table:
    """AUCs of the labels, and in a word whether the finding is learned."""
    words = [{one.finding: label_verdict(one).outcome for one in report.fidelity} for report in reports]
    table = _table("AUC of each label", heads, measures)
    rows = []
    for measure, (head, *cells) in zip(measures, table.rows, strict=True):
        judged = [component("mark", of_one[f]) if (f := str(measure.finding)) in of_one else "" for of_one in words]
        rows.append(
            [
                head,
                *(Markup("{}<br>{}").format(*pair) if pair[0] else pair[1] for pair in zip(judged, cells, strict=True)),
            ]
        )
    return replace(table, rows=rows)


def _forest(measures: Sequence[Measure], heads: Sequence[str]) -> Markup:
    """AUC of each label with its interval, those of all generators below each other."""
    with drawing(5.2, 0.9 + 0.2 * len(measures) * (len(heads) + 0.6)) as figure:
        axes = figure.subplots()
        for place, head in enumerate(heads):
            colour = COLOURS[place % len(COLOURS)]
            found = [(row, value) for row, m in enumerate(measures) if (value := m.values[place]) is not None]
            at = [row + (place + 1) / (len(heads) + 1) - 0.5 for row, _ in found]
            axes.plot([value.value for _, value in found], at, MARKERS[place], color=colour, label=head)
            for y, (_, value) in zip(at, found, strict=True):
                ends = [value.value if end is None else end for end in (value.low, value.high)]
                axes.plot(ends, [y, y], color=colour, linewidth=1.6)
        axes.axvline(0.5, color="0.4", linewidth=0.9, linestyle="--")
        axes.set_yticks(range(len(measures)), [str(measure.finding) for measure in measures])
        axes.set_ylim(len(measures) - 0.5, -0.5)
        axes.set_xlabel("AUC of a classifier of real films on synthetic images")
        figure.legend(frameon=False, loc="outside upper center", ncols=min(len(heads), 3))
        return plot(figure, f"AUC of each finding's label with 95% intervals, of {' and '.join(heads)}")


def _sheet_rows(generators: Sequence[Generator]) -> list[str]:
    """What every contact sheet shows, from the top: the findings of all generators."""
    return [NO_FINDING, *dict.fromkeys(finding for one in generators for finding in one.findings)]


def draw_sheet(generator: Generator, name: str, rows: Sequence[str], side: int) -> Markup:
    """Images of the same random numbers in every row; a finding that the generator does not know is an empty row."""
    images = []
    for row in rows:
        known = row == NO_FINDING or row in generator.findings
        labels = {} if row == NO_FINDING or not known else {row: 1.0}
        images.append(generator.generate(COLUMNS, findings=labels, seed=0).images[: COLUMNS if known else 0])
    sheet = contact_sheet(images, rows, side=side, title=SYNTHETIC)
    return picture(sheet, f"Synthetic images of {name}, one row per finding")
