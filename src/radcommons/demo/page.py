"""The demo's results and page: real and synthetic films side by side, training curves, time of each step."""

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
from markupsafe import Markup
from pydantic import BaseModel

from radcommons.audit.figures import ATTACKS
from radcommons.audit.flow import PAGE
from radcommons.data.store import Store
from radcommons.demo.hub import Published
from radcommons.experiments.report import figure
from radcommons.models.generator import Generator
from radcommons.pages import picture, plot, render_page
from radcommons.pictures import contact_sheet
from radcommons.records import AuditReport, Control, Estimate, ExperimentResult
from radcommons.runs.curves import draw_curves
from radcommons.runs.log import read_log

COLUMNS = 8
SHOWN_STEPS = ("signature", "images", "reference", "duplicates")  # of the gate, whose rules the page shows
SIDE = 64  # CSS pixels of a film on the page


class SiteResult(BaseModel):
    """One hospital: its films and its training."""

    site: str
    images: int
    patients: int
    images_seen: int
    training_seconds: float
    generator_parameters: int


class LabelEffect(BaseModel):
    """Where a finding's label changes the image, compared with the simulation's known regions.

    Attributes:
        auroc: probability that a pixel where the finding sits changes more than one where it never sits; 0.5 = chance.
        mean_change: root mean square change inside the true region, grey levels.
        correlation: Pearson's correlation of the label with the output of a classifier of the third hospital's films;
            None if the classifier does not know the finding.
    """

    site: str
    finding: str
    auroc: float
    mean_change: float
    correlation: float | None


class AuditResult(BaseModel):
    """The audit of one hospital's generator; `page` is relative to the demo's report."""

    site: str
    privacy: str
    statement: str
    quality: str
    quality_statement: str
    page: str
    detection_limit: float | None
    controls: list[Control]
    attacks: dict[str, Estimate]

    @classmethod
    def of(cls, site: str, report: AuditReport, folder: Path) -> Self:
        """The result in an audit's report."""
        return cls(
            site=site,
            privacy=report.judgement.privacy,
            statement=report.judgement.statement,
            quality=report.judgement.quality,
            quality_statement=report.judgement.quality_statement,
            page=f"{folder.name}/{PAGE}",
            detection_limit=report.detection_limit,
            controls=list(report.controls),
            attacks={t.name: t.result for t in report.privacy if t.name in ATTACKS and t.result is not None},
        )


class DemoResult(BaseModel):
    """Everything that the page shows, and the paths of the page and the set."""

    report: str
    synthetic_set: str
    synthetic_images: int
    study: str
    resolution: int
    sites: list[SiteResult]
    effects: list[LabelEffect]
    audits: list[AuditResult]
    published: list[Published]
    experiment: ExperimentResult
    seconds: dict[str, float]

    def as_text(self) -> str:
        """The result in a few lines."""
        auroc = np.median([e.auroc for e in self.effects])
        training = sum(s.training_seconds for s in self.sites)
        lines = [
            f"{len(self.sites)} hospitals, {sum(s.images for s in self.sites):,} films, none shared; "
            f"{self.synthetic_images:,} synthetic films pooled in {self.synthetic_set}",
            f"training took {training / 60:.1f} minutes; a finding's label changes the pixels where the finding sits "
            f"with a median AUROC of {auroc:.2f} (0.5 = chance)",
            *(f"audit at hospital {a.site}: privacy {a.privacy}. {a.statement}" for a in self.audits),
            *(f"audit at hospital {a.site}: quality {a.quality}. {a.quality_statement}" for a in self.audits),
            *(
                f"hub: {p.reference.partition('@')[0]} passed the gate, {len(p.lines)} rules in {p.seconds:.0f} seconds"
                for p in self.published
            ),
            f"do synthetic films help a third hospital? {self.experiment.sentence}",
            f"can you tell? A reader study is ready: radcommons study serve {self.study}",
            f"open {self.report}",
        ]
        return "\n".join(lines)


def render(result: DemoResult, stores: list[Store], generators: list[Generator], runs: list[Path]) -> str:
    """The whole page as HTML."""
    hospitals = [
        {
            "site": site,
            "real": real_sheet(store, generator),
            "synthetic": synthetic_sheet(store, generator),
            "curves": list(islice(draw_curves(read_log(run)), 2)),
            "store": store.name,
        }
        for site, store, generator, run in zip(result.sites, stores, generators, runs, strict=True)
    ]
    effects = {(e.finding, e.site): e for e in result.effects}
    found = {(line["rule"], p.site): line for p in result.published for line in p.lines}
    findings = dict.fromkeys(e.finding for e in result.effects)
    return render_page(
        "demo.html.j2",
        result=result,
        hospitals=hospitals,
        findings=findings,
        effects=effects,
        rules={x["rule"]: x["limit"] for p in result.published for x in p.lines if x["step"] in SHOWN_STEPS},
        outcomes=[(p.site, Counter(line["outcome"] for line in p.lines)) for p in result.published],
        found=found,
        hub=Path(result.report).parent / "hub",
        experiment=plot(figure(result.experiment), "AUC of every arm of the experiment, with intervals"),
    )


def real_sheet(store: Store, generator: Generator) -> Markup:
    """Simulated films of the training part: one row without finding, then one row per finding."""
    images, labels = store.images(generator.resolution), store.labels()
    train = store.rows("train")
    rows = [train[(labels[train] == 0).all(axis=1)]]
    rows += [train[labels[train, store.findings.index(f)] == 1] for f in generator.findings]
    sheet = contact_sheet([images[r[:COLUMNS]] for r in rows], ("No finding", *generator.findings), side=SIDE)
    return picture(sheet, f"Films of {store.name}, one row per finding")


def synthetic_sheet(store: Store, generator: Generator) -> Markup:
    """Synthetic films in the same layout as the real ones; each column has one latent vector."""
    choices = [{}, *({finding: 1.0} for finding in generator.findings)]
    rows = [generator.generate(COLUMNS, findings=choice, seed=3).images for choice in choices]
    sheet = contact_sheet(rows, ("No finding", *generator.findings), side=SIDE)
    return picture(sheet, f"Synthetic films from {store.name}'s generator, one row per finding")
