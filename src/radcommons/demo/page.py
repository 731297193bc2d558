"""The demo's page: four answers, what they rest on, films side by side, and what to open next."""

from collections import Counter
from functools import partial
from itertools import islice
from pathlib import Path

from markupsafe import Markup

from radcommons.audit.tables import two_lines
from radcommons.data.store import Store
from radcommons.demo.answers import answers, may_leave, serve_hub, serve_study
from radcommons.demo.results import AuditResult, DemoResult, LabelEffect, LeakTest
from radcommons.experiments.report import arm_table, comparison_table, drawn, tested
from radcommons.explain.evidence import THIS_CLASSIFIER
from radcommons.files import write_whole
from radcommons.metrics.label_fidelity import RULE
from radcommons.models.generator import Generator
from radcommons.pages import Table, component, picture, render_page
from radcommons.pictures import contact_sheet
from radcommons.records import LEAK_WORDS
from radcommons.runs.curves import draw_curves
from radcommons.runs.log import read_log

COLUMNS = 8
SHOWN_STEPS = ("signature", "images", "reference", "duplicates")  # of the gate, whose rules the page shows
SIDE = 64  # CSS pixels of a film on the page
HEAVY = 3_000_000  # bytes; a larger page says so
MAIN = '<main id="main">\n'
mark = partial(component, "mark")


def render(result: DemoResult, stores: list[Store], generators: list[Generator], runs: list[Path]) -> str:
    """The whole page as HTML."""
    hospitals = [
        {
            "site": site,
            "real": real_sheet(store, generator),
            "synthetic": synthetic_sheet(store, generator),
            "curves": list(islice(draw_curves(read_log(run)), 2)),
        }
        for site, store, generator, run in zip(result.sites, stores, generators, runs, strict=True)
    ]
    fill = partial(
        render_page,
        "demo.html.j2",
        result=result,
        answers=answers(result),
        leave=[may_leave(audit) for audit in result.audits],
        tests=test_table(result.audits),
        controls=control_table(result.audits),
        labels=label_table(result),
        rule=RULE,
        reasons=[e for e in result.effects if e.outcome != "learned"],
        tested=tested(result.experiment),
        experiment=drawn(result.experiment),
        arms=arm_table(result.experiment),
        comparisons=comparison_table(result.experiment, mark),
        hospitals=hospitals,
        gate=gate_table(result),
        outcomes=[(p.site, Counter(line["outcome"] for line in p.lines)) for p in result.published],
        times=time_table(result),
        study=serve_study(result),
        hub=serve_hub(result),
    )
    text = fill(megabytes=None)
    size = len(text.encode())
    return text if size <= HEAVY else fill(megabytes=f"{size / 1e6:.1f}")


def test_table(audits: list[AuditResult]) -> Table:
    """Of each kind of test the one that sees the smallest leak: what it found, what it would have found."""
    sharpest = [audit.sharpest for audit in audits]
    rows = []
    for kind, question in {kind: test.question for tests in sharpest for kind, test in tests.items()}.items():
        row: list[str] = [Markup('{}<br><span class="quiet">{}</span>').format(kind, question)]
        for tests in sharpest:
            test = tests.get(kind)
            row += [_answer(test), two_lines(test.found, test.all_ways), test.detectable] if test else ["", "", ""]
        rows.append(row)
    heads = ["test", *(h.format(a.site) for a in audits for h in ("generator {}", "{}: found", "{}: would have found"))]
    return Table(caption="Tests for leaks", heads=heads, rows=rows, stack=True)


def _answer(test: LeakTest) -> Markup:
    return mark(LEAK_WORDS[test.outcome] if test.outcome else "not judged")


def control_table(audits: list[AuditResult]) -> Table:
    """Cases whose answer is known, and whether the tests gave it."""
    rows = [
        [
            f"{audit.site}: {control.name}",
            control.description,
            mark("right answer" if control.behaved else "wrong answer"),
            "; ".join(control.caught_by) or "no test",
        ]
        for audit in audits
        for control in audit.controls
    ]
    return Table(caption="Controls", heads=["control", "what it is", "answer", "caught by"], rows=rows, stack=True)


def label_table(result: DemoResult) -> Table:
    """Each finding, in each generator: learned or not, where the image changes, whether a classifier sees it."""
    effects = {(e.finding, e.site): e for e in result.effects}
    sites = list(dict.fromkeys(e.site for e in result.effects))
    rows = []
    for finding in dict.fromkeys(e.finding for e in result.effects):
        row: list[str] = [finding]
        for site in sites:
            e = effects.get((finding, site))
            row += [_judged(e), _aucs(e), f"{e.auroc:.2f}"] if e else [mark("not learned"), "", ""]
        rows.append(row)
    of = ("generator {}", "{}: AUC of the judge", "{}: right pixels (AUROC)")
    heads = ["finding", *(head.format(s) for s in sites for head in of)]
    numbers = [3 + 3 * i for i in range(len(sites))]
    return Table(caption="The labels", heads=heads, rows=rows, numbers=numbers, stack=True)


def _aucs(effect: LabelEffect) -> Markup | str:
    if effect.on_images is None or effect.on_films is None:
        return ""
    return two_lines(f"{effect.on_images.text('.2f')}", f"on films {effect.on_films.value:.2f}")


def _judged(effect: LabelEffect) -> Markup:
    by_c = Markup('<br><span class="quiet">judge: C</span>') if effect.judge == THIS_CLASSIFIER else ""
    return mark(effect.outcome) + by_c


def gate_table(result: DemoResult) -> Table:
    """Rules of the hub's gate that it judges by itself."""
    found = {(line["rule"], p.site): line for p in result.published for line in p.lines}
    rules = {x["rule"]: x["limit"] for p in result.published for x in p.lines if x["step"] in SHOWN_STEPS}
    rows = []
    for rule, limit in rules.items():
        lines = [found.get((rule, p.site)) for p in result.published]
        cells = [mark(line["outcome"]) + ": " + line["found"] if line else "" for line in lines]
        rows.append([rule, limit, *cells])
    heads = ["rule of the gate", "limit", *(f"generator {p.site}" for p in result.published)]
    return Table(caption="The gate's own rules", heads=heads, rows=rows, stack=True)


def time_table(result: DemoResult) -> Table:
    """Seconds of every step."""
    rows = [[step, f"{seconds:,.0f}"] for step, seconds in result.seconds.items()]
    rows.append(["all", f"{sum(result.seconds.values()):,.0f}"])
    return Table(caption="Seconds of every step", heads=["step", "seconds"], rows=rows, numbers=(1,))


def real_sheet(store: Store, generator: Generator) -> Markup:
    """Films of the training part: one row without finding, then one row per finding."""
    images, labels = store.images(generator.resolution), store.labels()
    train = store.rows("train")
    rows = [train[(labels[train] == 0).all(axis=1)]]
    rows += [train[labels[train, store.findings.index(f)] == 1] for f in generator.findings]
    names, stamp = ("No finding", *generator.findings), "SIMULATED" if store.simulated else ""
    sheet = contact_sheet([images[r[:COLUMNS]] for r in rows], names, side=SIDE, stamp=stamp)
    return picture(sheet, f"Films of {store.name} in rows: {', '.join(names)}")


def synthetic_sheet(store: Store, generator: Generator) -> Markup:
    """Synthetic films in the same layout as the real ones; each column has one latent vector."""
    choices = [{}, *({finding: 1.0} for finding in generator.findings)]
    rows = [generator.generate(COLUMNS, findings=choice, seed=3).images for choice in choices]
    names = ("No finding", *generator.findings)
    sheet = contact_sheet(rows, names, side=SIDE, stamp="SYNTHETIC")
    return picture(sheet, f"Synthetic films from {store.name}'s generator in rows: {', '.join(names)}")


def link_back(pages: list[Path], report: Path) -> None:
    """Put a link to the demo's report on the pages of its steps; done once."""
    for page in pages:
        link = f'<p class="screen"><a href="../{report.name}">Back to the demo\'s report</a></p>\n'
        text = page.read_text(encoding="utf-8")
        if link not in text:
            write_whole(page, text.replace(MAIN, MAIN + link, 1))
