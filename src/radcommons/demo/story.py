"""The demo: two phantom hospitals, a generator trained and audited in each, one pooled set, a third hospital that asks
whether synthetic films help it, and one page that shows it.

Every step is the public call that the command line makes, so that a stopped demo continues where it was.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from radcommons import audit
from radcommons.audit.settings import AuditSettings
from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.demo import page
from radcommons.demo.page import AuditResult, DemoResult, LabelEffect, SiteResult
from radcommons.experiments.enrich import enrich
from radcommons.experiments.settings import EnrichSettings
from radcommons.metrics.classification import area_under_roc
from radcommons.models.sampling import Generator, LabelChoice, write_set
from radcommons.progress import Track, silent
from radcommons.records import ExperimentResult
from radcommons.settings import override, preset_path, read_toml
from radcommons.train import gan
from radcommons.train.settings import TrainSettings

SITES = ("A", "B")
PATIENTS = 400
RESOLUTION = 32
POOLED_IMAGES = 800
AUDIT_SIZES = ("sheet_images=12",)  # laid over the preset quick
SMALL_SITE, SMALL_SITE_PATIENTS = "C", 900  # most of them are its test patients and what an oracle would have
EXPERIMENT_SIZES: tuple[str, ...] = ()  # laid over the preset demo
PAIRS = 64  # pseudo-patients drawn with and without each finding
T = TypeVar("T")


def run_demo(
    out: Path,
    *,
    track: Track = silent,
    patients: int = PATIENTS,
    small_site_patients: int = SMALL_SITE_PATIENTS,
    preset: str = "demo-32",
    workers: int = 1,
) -> DemoResult:
    """Tell the whole story into folder `out`; raises PathInUse and the errors of each step.

    Args:
        patients: of each of the two hospitals that train a generator.
        small_site_patients: of the third one, test patients included.
        preset: of the generators' training.
        workers: classifiers trained at a time.
    """
    settings = TrainSettings.load(preset_path("train", preset))
    clock = _Clock(out / "seconds.json")
    stores, generators, sites = [], [], []
    for site in SITES:
        folder, run = out / f"hospital-{site.lower()}", out / f"run-{site.lower()}"
        draw = partial(
            ingest_phantoms, folder, patients=patients, site=site, resolution=RESOLUTION, seed=0, track=track
        )
        clock.time(f"films of hospital {site}", draw)
        store = Store.open(folder)
        step = f"training at hospital {site}"
        clock.time(step, partial(gan.train, store, settings, run, track=track))
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
    audits = []
    for site, store in zip(SITES, stores, strict=True):
        run, folder = out / f"run-{site.lower()}", out / f"audit-{site.lower()}"
        told = partial(audit.run, run, store, folder, settings=sizes, controls=True, track=track)
        audits.append(AuditResult.of(site, clock.time(f"audit at hospital {site}", told), folder))
    pooled = out / "synthetic"
    clock.time(
        "synthetic films",
        lambda: write_set(generators, pooled, POOLED_IMAGES, choice=LabelChoice(balanced=True), seed=1, track=track),
    )
    experiment = small_site_experiment(out, small_site_patients, workers, clock, track)
    effects = [
        effect
        for store, generator in zip(stores, generators, strict=True)
        for effect in label_effects(store, generator)
    ]
    result = DemoResult(
        report=str(out / "report.html"),
        synthetic_set=str(pooled),
        synthetic_images=POOLED_IMAGES,
        resolution=generators[0].resolution,
        sites=sites,
        effects=effects,
        audits=audits,
        experiment=experiment,
        seconds=clock.seconds,
    )
    text = page.render(result, stores, generators, [out / f"run-{s.lower()}" for s in SITES])
    (out / "report.html").write_text(text, encoding="utf-8")
    (out / "demo.json").write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return result


def small_site_experiment(out: Path, patients: int, workers: int, clock: "_Clock", track: Track) -> ExperimentResult:
    """A third hospital with few films of a finding: do synthetic films of the other two help its classifier?"""
    folder = out / f"hospital-{SMALL_SITE.lower()}"
    clock.time(
        f"films of hospital {SMALL_SITE}",
        partial(
            ingest_phantoms, folder, patients=patients, site=SMALL_SITE, resolution=RESOLUTION, seed=0, track=track
        ),
    )
    sizes = override(read_toml(preset_path("enrich", "demo")), EXPERIMENT_SIZES)
    generators = [out / f"run-{site.lower()}" for site in SITES]
    settings = EnrichSettings.parse({**sizes, "store": folder, "generators": generators}, source="preset demo")
    asked = partial(enrich, settings, out / "experiment", workers=workers, track=track)
    return clock.time(f"experiment at hospital {SMALL_SITE}", asked)


def label_effects(store: Store, generator: Generator) -> list[LabelEffect]:
    """For each finding, the same pseudo-patients with and without it: where do they differ?"""
    truth = np.load(store.path / "truth.npz")
    effects = []
    for finding in generator.findings:
        if finding not in truth:
            continue
        present = generator.generate(PAIRS, findings={finding: 1}, seed=2).images
        absent = generator.generate(PAIRS, findings={}, seed=2).images
        change = np.abs(present.astype(np.float64) - absent).mean(axis=0)
        region = truth[finding] >= truth[finding].max() / 2
        never = truth[finding] == 0
        effects.append(
            LabelEffect(
                site=store.name,
                finding=finding,
                auroc=area_under_roc(change[region], change[never]),
                mean_change=float(change[region].mean()),
            )
        )
    return effects


class _Clock:
    """Seconds of each step, added up over the calls that it took."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.seconds: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}

    def time(self, step: str, work: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return work()
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - started
            self._path.write_text(json.dumps(self.seconds), encoding="utf-8")
