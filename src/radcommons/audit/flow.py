"""An audit from beginning to end: one flat sequence of stages.

A stopped audit finds images, features, results and controls done; the neighbours among the films are looked up again.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from radcommons import __version__
from radcommons.audit import page
from radcommons.audit.controls import detection_limit, run_controls
from radcommons.audit.fidelity import (
    LabelClassifier,
    common_findings,
    fidelities,
    given_classifier,
    trained_classifier,
)
from radcommons.audit.finding_distances import finding_distances
from radcommons.audit.inputs.material import Material, chosen_rows, gather
from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.inputs.subject import Subject, open_subject
from radcommons.audit.quality import diversities, quality_scores
from radcommons.audit.release import RECORD, write_record
from radcommons.audit.sensitivity import spectra
from radcommons.audit.settings import AuditSettings
from radcommons.audit.tests import sample_tests, store_tests, weight_tests
from radcommons.audit.tests.patient_level_split import patients_in_training, trained_on_store
from radcommons.data.store import Store
from radcommons.errors import PathInUse, SettingRefused
from radcommons.extractors import Extractor, load_extractor
from radcommons.files import write_whole
from radcommons.folders import alone_in, claim, read_request
from radcommons.policy.judge import judge
from radcommons.policy.privacy import is_positive
from radcommons.policy.settings import Policy
from radcommons.precision import kept
from radcommons.progress import Track, silent
from radcommons.reader_study import read_study, section_html
from radcommons.records import (
    AuditReport,
    AuditResults,
    Control,
    Diversity,
    Fidelity,
    FindingDistance,
    PrivacyTest,
    QualityScore,
    Spectrum,
)
from radcommons.resume import Kept
from radcommons.versions import versions

REPORT = "audit.json"
PAGE = "report.html"
REQUEST = ".audit/request.json"  # while the audit is unfinished


def run(
    reference: Path | str,
    store: Store | Path | str,
    out: Path | str,
    *,
    settings: AuditSettings | None = None,
    rules: Policy | None = None,
    controls: bool = False,
    classifier: Path | None = None,
    study: Path | None = None,
    track: Track = silent,
) -> AuditReport:
    """Audit a generator, or a folder of synthetic images, against a store.

    Args:
        reference: a run, a generator package, or a folder with images and ``labels.csv``.
        store: the films; its training part is what must not leak, its test part is held out.
        out: folder for ``audit.json``, ``report.html`` and ``release.html``; the same call continues a stopped audit.
        settings: sizes and seed; `AuditSettings()` by default.
        rules: the policy; `Policy()` by default.
        controls: whether to put positive and negative controls through the same tests.
        classifier: a run of `classify train` on real films, which checks the labels; by default a small one is trained.
        study: record of `study analyse` about this generator, which the page shows; also of an audit that is finished.
    Returns:
        The report, also if a verdict is "failed".
    Raises:
        BadInput: with the next step; nothing was written then.
    """
    settings, policy, out = settings or AuditSettings(), rules or Policy(), Path(out)
    with alone_in(out, private=True):  # its page shows films
        if 1 / (settings.permutations + 1) >= policy.significance:
            raise SettingRefused(
                f"permutations is {settings.permutations}, too few for a significance of {policy.significance:g}; "
                f"pass --set permutations={int(1 / policy.significance) + 1} or more"
            )
        store = store if isinstance(store, Store) else Store.open(store)
        done = None
        if (out / REPORT).is_file():
            done = AuditReport.read(out / REPORT, refused=PathInUse, remedy="choose another --out")
        precision = kept(settings.precision, done.settings if done else read_request(out / REQUEST))
        subject = open_subject(Path(reference), store, precision=precision, track=track)
        settings = settings.model_copy(
            update={"precision": subject.generator.precision if subject.generator else "fp32"}
        )
        device = "cuda" if torch.cuda.is_available() else "cpu"
        extractor = load_extractor(settings.extractor, weights=settings.extractor_weights, device=device)
        seen = None
        if study is not None:
            seen = section_html(read_study(study, digest=subject.digest, name=subject.name), subject.digest)
        chosen_rows(store, settings)  # refused before anything is written
        given = given_classifier(classifier) if classifier is not None else None
        if given is not None:
            common_findings(given, subject.findings)
        request = _request(store, subject, extractor, settings, policy, controls, given)
        chosen = {**_plain(settings), "policy": policy.model_dump(mode="json"), "controls": controls}
        asked = {"subject": subject.digest, "store": store.record.manifest_sha256, **chosen, "sha256": request}
        if done is not None:
            begun = {"subject": done.digest, "store": done.store_manifest_sha256, **done.settings}
            claim(out, asked, begun={**begun, "sha256": done.request_sha256})
            if seen is not None:
                page.add_study(out / PAGE, seen)
            if not (out / RECORD).is_file():  # of an earlier version, or stopped just before
                write_record(out)
            return done
        work = open_work(out, asked)

        # ---- look at everything once ----
        material = gather(store, subject, settings, extractor, work, track)

        # ---- quality ----
        scores = work.records("quality", QualityScore, lambda: quality_scores(material))
        bands = work.records("spectra", Spectrum, lambda: spectra(material))
        of_findings = work.records("finding-distances", FindingDistance, lambda: finding_distances(material))
        spread = work.records("diversity", Diversity, lambda: diversities(material))
        labels = given
        if labels is None and settings.classifier_images:
            labels = trained_classifier(material, work.folder / "label-classifier")
        faithful = work.records("fidelity", Fidelity, lambda: fidelities(material, labels) if labels else [])

        # ---- privacy: the store, samples, weights and critic ----
        inputs = PrivacyInputs.of(material, policy.significance)
        of_store = work.records("store-tests", PrivacyTest, lambda: store_tests(inputs))
        of_samples = work.records("sample-tests", PrivacyTest, lambda: list(sample_tests(inputs, inputs.synthetic)))
        privacy = [*of_store, *of_samples, *weight_tests(inputs, material, work)]

        # ---- what would have been detected ----
        leaks = any(is_positive(test, policy) for test in of_samples)
        limit = work.array(
            "detection-limit", lambda: np.array(detection_limit(inputs, policy, material, leaks=leaks), np.float64)
        )
        known = work.records("controls", Control, lambda: run_controls(inputs, material, policy)) if controls else []

        # ---- verdicts ----
        results = AuditResults(
            subject=subject.name,
            kind=subject.kind,
            digest=subject.digest,
            findings=subject.findings,
            resolution=subject.resolution,
            images_seen=subject.generator.record.images_seen if subject.generator else None,
            patients=patients_in_training(subject, store, material.rows),
            federation=subject.generator.federation if subject.generator else None,
            trained_on_store=trained_on_store(subject, store),
            store=store.name,
            store_manifest_sha256=store.record.manifest_sha256,
            simulated=store.simulated,
            counts=_counts(material),
            detection_limit=None if np.isnan(limit) else float(limit),
            settings=chosen,
            request_sha256=request,
            versions=versions("torch", "numpy"),
            quality=tuple(scores),
            spectra=tuple(bands),
            by_finding=tuple(of_findings),
            diversity=tuple(spread),
            fidelity=tuple(faithful),
            label_classifier=labels.description if labels else None,
            privacy=tuple(privacy),
            controls=tuple(known),
        )
        report = AuditReport(**dict(results), judgement=judge(results, policy))
        write_whole(out / PAGE, page.render(report, material, inputs))
        if seen is not None:
            page.add_study(out / PAGE, seen)
        write_whole(out / REPORT, report.to_json())
        write_record(out)
        work.finish()
        return report


def open_work(out: Path, request: Mapping[str, Any]) -> Kept:
    """What a stopped audit of this request has kept; raises PathInUse if `out` holds anything else."""
    claim(out, request, file=REQUEST)
    out.chmod(0o700)  # its page shows films, and the folder may have been there
    return Kept(out / ".audit")


def _request(
    store: Store,
    subject: Subject,
    extractor: Extractor,
    settings: AuditSettings,
    policy: Policy,
    controls: bool,
    labels: LabelClassifier | None,
) -> str:
    asked = {
        "subject": [subject.digest, subject.labels_digest, subject.run is not None],
        "store": store.record.manifest_sha256,
        "settings": _plain(settings),
        "policy": policy.model_dump(mode="json"),
        "controls": controls,
        "extractor": extractor.record.digest,
        "label_classifier": labels.classifier.digest if labels else None,
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _plain(settings: AuditSettings) -> dict[str, object]:
    """The settings without the path of a file: the digest of the extractor says more, and a path may name a person."""
    return settings.model_dump(mode="json", exclude={"extractor_weights"})


def _counts(material: Material) -> dict[str, int]:
    names = {"train": "in training", "test": "held out", "val": "for reference"}
    counts: dict[str, int] = {}
    for part, words in names.items():
        films = material.films[part]
        counts[f"films {words}"] = len(films)
        counts[f"patients {words}"] = len(np.unique(films.patients))
    counts["synthetic images"] = len(material.films["synthetic"])
    counts["synthetic images, balanced"] = len(material.films["balanced"])
    return counts
