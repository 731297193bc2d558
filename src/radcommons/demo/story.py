"""The demo: two simulated hospitals each train and audit a generator and deposit it in a hub, from which one pooled set
is drawn, and a third hospital tests whether synthetic films help it. One page shows the results.

Every step calls the same public function as the command line, so an interrupted demo continues.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from radcommons import audit
from radcommons.audit.flow import PAGE as AUDIT_PAGE
from radcommons.audit.release import RECORD as RELEASE_RECORD
from radcommons.audit.settings import AuditSettings
from radcommons.classify.evaluation import PAGE as EVALUATION_PAGE
from radcommons.classify.evaluation import evaluate
from radcommons.classify.settings import ClassifierSettings
from radcommons.classify.training import train_classifier
from radcommons.classify.training_data import open_split
from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.demo import page
from radcommons.demo.hub import deposit_and_draw
from radcommons.demo.results import AuditResult, DemoResult, LabelEffect, SiteResult
from radcommons.experiments.enrich import enrich
from radcommons.experiments.report import PAGE as EXPERIMENT_PAGE
from radcommons.experiments.settings import EnrichSettings
from radcommons.explain.evidence import evidence
from radcommons.explain.flow import InterpolationRequest, MapRequest, correlate, explain
from radcommons.explain.folder import PAGE as EXPLAIN_PAGE
from radcommons.files import write_whole
from radcommons.folders import alone_in, claim
from radcommons.gan import training
from radcommons.gan.recipes import load_settings
from radcommons.models.generator import Generator
from radcommons.progress import Track, silent
from radcommons.records import AuditReport, Explanation
from radcommons.runs.page import PAGE as TRAINING_PAGE
from radcommons.settings import override, preset_path, read_toml
from radcommons.study.design import IMAGES_RECORD, StudySettings
from radcommons.study.making import write_study
from radcommons.study_films import real_films, synthetic_films
from radcommons.synthetic.contact_sheet import SHEET as CONTACT_SHEET

SITES = ("A", "B")
PATIENTS = 400
RESOLUTION = 32
POOLED_IMAGES = 800
STUDY_FILMS = 15  # of each kind
AUDIT_SIZES = ("sheet_images=12",)  # changes to the preset quick
SMALL_SITE, SMALL_SITE_PATIENTS = "C", 900  # most are test patients, or the extra real films of the reference arm
EXPERIMENT_SIZES: tuple[str, ...] = ()  # changes to the preset demo
EXPLAINED = 500  # latent vectors per map, and images per row of the matrix
CLASSIFIER_SIZES: tuple[str, ...] = ("epochs=12",)  # changes to the preset small-32
BOOTSTRAP_SAMPLES = 1_000  # of the classifier's evaluation
PAGES_OF_SITE = (("audit", AUDIT_PAGE), ("audit", RELEASE_RECORD), ("explained", EXPLAIN_PAGE), ("run", TRAINING_PAGE))
P = ParamSpec("P")
T = TypeVar("T")


def run_demo(
    out: Path,
    *,
    track: Track = silent,
    patients: int = PATIENTS,
    small_site_patients: int = SMALL_SITE_PATIENTS,
    preset: str = "demo-32",
    workers: int = 1,
    program: str = "radcommons",
) -> DemoResult:
    """Run all steps into folder `out`; raises PathInUse and the errors of each step.

    Args:
        patients: number in each of the two hospitals that train a generator.
        small_site_patients: number in the third hospital, test patients included.
        preset: settings of the generators' training.
        workers: number of classifiers trained at the same time.
        program: `radcommons` as it is typed here, for the commands that the page names.
    """
    settings = load_settings(preset_path("train", preset))
    with alone_in(out, private=False):  # simulated; its stores, runs and audits are private, as in a hospital
        request = {
            "command": "demo",
            "patients": patients,
            "small_site_patients": small_site_patients,
            "preset": preset,
        }
        claim(out, request)
        clock = _Clock(out / "seconds.json")
        runs = [out / f"run-{site.lower()}" for site in SITES]
        stores, generators, sites = [], [], []
        for site, run in zip(SITES, runs, strict=True):
            store = Store.open(simulate_films(out, site, patients, clock, track))
            step = f"training at hospital {site}"
            clock.time(step, training.train, store, settings, run, track=track)
            generator = Generator.load(run, device="cpu")
            stores.append(store)
            generators.append(generator)
            sites.append(
                SiteResult(
                    site=site,
                    images=store.record.images,
                    patients=store.record.patients,
                    images_seen=generator.record.images_seen,
                    training_seconds=clock.seconds[step],
                    generator_parameters=sum(p.numel() for p in generator.network.parameters()),
                )
            )
        sizes = AuditSettings.load(preset_path("audit", "quick"), AUDIT_SIZES)
        audits, reports = [], []
        for site, run, store in zip(SITES, runs, stores, strict=True):
            folder = out / f"audit-{site.lower()}"
            report = clock.time(
                f"audit at hospital {site}",
                audit.run,
                run,
                store,
                folder,
                settings=sizes,
                controls=True,
                track=track,
            )
            reports.append(report)
            audits.append(AuditResult.of(site, report, folder.name))
        small_site = simulate_films(out, SMALL_SITE, small_site_patients, clock, track)
        pooled = out / "synthetic"
        published = clock.time(
            "packages, hub and pooled set",
            deposit_and_draw,
            out,
            [(site, run, out / f"audit-{site.lower()}") for site, run in zip(SITES, runs, strict=True)],
            Store.open(small_site),
            pooled,
            POOLED_IMAGES,
            track=track,
        )
        study = out / "study"
        clock.time("reader study", make_study, study, small_site, pooled, track)
        enriched = override(read_toml(preset_path("enrich", "demo")), EXPERIMENT_SIZES)
        asked = EnrichSettings.parse({**enriched, "store": small_site, "generators": runs}, source="preset demo")
        step = f"experiment at hospital {SMALL_SITE}"
        experiment = clock.time(step, enrich, asked, out / "experiment", workers=workers, track=track)
        classifier, evaluation = out / "classifier", out / "evaluation"
        step = f"classifier of hospital {SMALL_SITE}"
        clock.time(step, train_small_site, small_site, classifier, evaluation, track)
        effects: list[LabelEffect] = []
        for site, run, store, report in zip(SITES, runs, stores, reports, strict=True):
            folder, audited = out / f"explained-{site.lower()}", out / f"audit-{site.lower()}"
            clock.time(
                f"what generator {site} learned",
                explain,
                run,
                folder,
                every=True,
                interpolation=InterpolationRequest(),
                map_=MapRequest(n=EXPLAINED, store=store.path),
                audit=audited,
                track=track,
            )
            step = f"labels of generator {site}"
            explained = clock.time(
                step, correlate, run, classifier, folder, n=EXPLAINED, evaluation=evaluation, audit=audited, track=track
            )
            effects += label_effects(site, explained, report)
        result = DemoResult(
            program=program,
            report=str(out / "report.html"),
            synthetic_set=str(pooled),
            synthetic_images=POOLED_IMAGES,
            study=str(study),
            resolution=generators[0].resolution,
            sites=sites,
            effects=effects,
            audits=audits,
            published=published,
            experiment=experiment,
            seconds=clock.seconds,
        )
        text = page.render(result, stores, generators, runs)
        write_whole(out / "report.html", text)
        steps = [evaluation / EVALUATION_PAGE, out / "experiment" / EXPERIMENT_PAGE, pooled / CONTACT_SHEET]
        steps += [out / f"{kind}-{site.lower()}" / name for site in SITES for kind, name in PAGES_OF_SITE]
        page.link_back(steps, out / "report.html")
        write_whole(out / "demo.json", result.model_dump_json(indent=2) + "\n")
        return result


def simulate_films(out: Path, site: str, patients: int, clock: "_Clock", track: Track) -> Path:
    """Simulate a hospital; returns the folder of its store."""
    folder = out / f"hospital-{site.lower()}"
    step = f"films of hospital {site}"
    clock.time(step, ingest_phantoms, folder, patients=patients, site=site, resolution=RESOLUTION, seed=0, track=track)
    return folder


def make_study(folder: Path, store: Path, pooled: Path, track: Track) -> None:
    """A reader study of the third hospital's films and of pooled ones, ready to be served."""
    if (folder / IMAGES_RECORD).is_file():
        return
    block = {"resolution": RESOLUTION, "real": STUDY_FILMS, "synthetic": STUDY_FILMS}
    asked = {"title": "Simulated or synthetic?", "store": store, "synthetic": [str(pooled)], "block": [block]}
    settings = StudySettings.parse({**asked, "practice": 2, "show_result": True}, source="demo")
    with alone_in(folder, private=True):
        synthetic, origins = synthetic_films(settings, track)
        write_study(folder, settings, real_films(settings), synthetic, origins=origins, track=track)


def train_small_site(store: Path, run: Path, evaluation: Path, track: Track) -> None:
    """Train and evaluate a classifier of the third hospital's films; it scores the labels of the others' generators."""
    settings = ClassifierSettings.load(preset_path("classify", "small-32"), CLASSIFIER_SIZES)
    split = open_split([store], validation=None, findings=None, side=settings.side, seed=0, track=track)
    train_classifier(split, settings, run, track=track)
    evaluate(run, store, evaluation, bootstrap_samples=BOOTSTRAP_SAMPLES, track=track)


def label_effects(site: str, explained: Explanation, report: AuditReport) -> list[LabelEffect]:
    """Was each finding learned, and where does its label change the image?"""
    effects = []
    for found in explained.maps:
        if found.score is not None:
            known = evidence(found.findings, explained, report)
            effects.append(
                LabelEffect(
                    site=site,
                    finding=found.findings[0],
                    outcome=known.outcome,
                    reason=known.reason,
                    judge=known.judge,
                    auroc=found.score.auroc,
                    on_images=known.judged.auc_synthetic if known.judged else None,
                    on_films=known.judged.auc_real if known.judged else None,
                )
            )
    return effects


class _Clock:
    """Seconds of each step, summed over interruptions."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seconds: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}

    def time(self, step: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        started = time.monotonic()
        try:
            return work(*args, **kwargs)
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - started
            write_whole(self._path, json.dumps(self.seconds))
