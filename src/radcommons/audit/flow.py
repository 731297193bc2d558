"""An audit from beginning to end: one flat sequence of stages.

A stopped audit finds images, features, results and controls done; the neighbours among the films are looked up again.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from radcommons import __version__
from radcommons.audit import page, policy
from radcommons.audit.controls import run_controls
from radcommons.audit.fidelity import Judge, common_findings, fidelities, given_judge, trained_judge
from radcommons.audit.inputs.material import Material, chosen_rows, gather
from radcommons.audit.inputs.subject import Subject, open_subject
from radcommons.audit.quality import (
    HELD_OUT_FILMS,
    SYNTHETIC_IMAGES,
    TRAINING_FILMS,
    diversities,
    quality_scores,
    score_of,
)
from radcommons.audit.settings import AuditSettings, Policy
from radcommons.audit.tests.patient_level_split import Apart
from radcommons.audit.tests.sanity_checks import Scene, detectable_share, ground_tests, weight_tests
from radcommons.audit.work import PAGE, REPORT, Work, finished_report
from radcommons.data.store import Store
from radcommons.errors import SettingRefused
from radcommons.extractors import Extractor, load_extractor
from radcommons.files import write_whole
from radcommons.folders import alone_in, claim
from radcommons.progress import Track, silent
from radcommons.records import AuditReport, Control, Diversity, Fidelity, PrivacyTest, QualityScore
from radcommons.versions import versions


def run(
    reference: Path | str,
    store: Store | Path | str,
    out: Path | str,
    *,
    settings: AuditSettings | None = None,
    rules: Policy | None = None,
    controls: bool = False,
    classifier: Path | None = None,
    track: Track = silent,
) -> AuditReport:
    """Audit a generator, or a folder of synthetic images, against a store.

    Args:
        reference: a run, a generator package, or a folder with images and ``labels.csv``.
        store: the films; its training part is what must not leak, its test part is held out.
        out: folder for ``audit.json`` and ``report.html``; the same call continues a stopped audit.
        settings: sizes and seed; `AuditSettings()` by default.
        rules: the policy; `Policy()` by default.
        controls: whether to put planted leaks and a clean case through the same tests.
        classifier: a run of `classify train` on real films, which judges the labels; by default a small one is trained.
    Returns:
        The report, also where its verdict is "failed".
    Raises:
        BadInput: with the next step; nothing was written then.
    """
    with alone_in(Path(out), private=True):  # films will be seen on its page
        return _run(
            reference, store, Path(out), settings or AuditSettings(), rules or Policy(), controls, classifier, track
        )


def _run(
    reference: Path | str,
    store: Store | Path | str,
    out: Path,
    settings: AuditSettings,
    rules: Policy,
    controls: bool,
    classifier: Path | None,
    track: Track,
) -> AuditReport:
    if 1 / (settings.permutations + 1) >= rules.significance:
        raise SettingRefused(
            f"permutations is {settings.permutations}, too few for a significance of {rules.significance:g}; "
            f"pass --set permutations={int(1 / rules.significance) + 1} or more"
        )
    opened = store if isinstance(store, Store) else Store.open(store)
    subject = open_subject(Path(reference), opened, track=track)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    extractor = load_extractor(settings.extractor, weights=settings.extractor_weights, device=device)
    chosen_rows(opened, settings)  # refused before anything is written
    given = given_judge(classifier) if classifier is not None else None
    if given is not None:
        common_findings(given, subject.findings)
    request = _request(opened, subject, extractor, settings, rules, controls, given)
    chosen = {**_plain(settings), "policy": rules.model_dump(mode="json"), "controls": controls}
    asked = {"subject": subject.digest, "store": opened.record.manifest_sha256, **chosen, "sha256": request}
    finished = finished_report(out)
    if finished is not None:
        begun = {"subject": finished.digest, "store": finished.store_manifest_sha256, **finished.settings}
        claim(out, asked, begun={**begun, "sha256": finished.request_sha256})
        return finished
    work = Work.open(out, asked)

    # ---- look at everything once ----
    material = gather(opened, subject, settings, extractor, work, track)

    # ---- quality ----
    scores = work.records("quality", QualityScore, lambda: quality_scores(material))
    spread = work.records("diversity", Diversity, lambda: diversities(material))
    judge = given
    if judge is None and settings.classifier_images:
        judge = trained_judge(material, work.folder / "judge")
    faithful = work.records("fidelity", Fidelity, lambda: fidelities(material, judge) if judge else [])

    # ---- privacy: the ground, samples, weights, critic ----
    scene = Scene.of(material, rules)
    ground = work.records("ground", PrivacyTest, lambda: ground_tests(scene))
    samples = work.records("samples", PrivacyTest, lambda: list(scene.tests(scene.synthetic)))
    attacks, trained_here = weight_tests(scene, material, work)
    privacy = [*ground, *samples, *attacks]

    # ---- what would have been seen ----
    leaks = any(policy.finds_leak(test, rules) for test in samples)
    power = work.array("power", lambda: np.array(detectable_share(scene, rules, material, leaks=leaks), np.float64))
    share = None if np.isnan(power) else float(power)
    known = work.records("controls", Control, lambda: run_controls(scene, material, rules)) if controls else []

    # ---- verdict ----
    apart = Apart.of(subject, opened, material.rows, trained_here)
    lines = policy.judge(
        rules,
        is_generator=subject.kind == "generator",
        apart=apart,
        privacy=privacy,
        detectable_share=share,
        controls=known,
        floor=score_of(scores, TRAINING_FILMS, HELD_OUT_FILMS),
        held_out=score_of(scores, SYNTHETIC_IMAGES, HELD_OUT_FILMS),
        diversity=spread,
    )
    verdict, statement = policy.verdict(
        lines, privacy, rules, share, is_generator=subject.kind == "generator", apart=apart
    )
    report = AuditReport(
        verdict=verdict,
        statement=statement,
        subject=subject.name,
        kind=subject.kind,
        digest=subject.digest,
        findings=subject.findings,
        resolution=subject.resolution,
        images_seen=subject.generator.record.images_seen if subject.generator else None,
        patients=apart.record,
        trained_on_store=trained_here,
        store=opened.name,
        store_manifest_sha256=opened.record.manifest_sha256,
        counts=_counts(material),
        detectable_share=share,
        settings=chosen,
        request_sha256=request,
        versions=versions("torch", "numpy"),
        quality=tuple(scores),
        diversity=tuple(spread),
        fidelity=tuple(faithful),
        judge=judge.description if judge else None,
        privacy=tuple(privacy),
        controls=tuple(known),
        policy=tuple(lines),
    )
    write_whole(out / PAGE, page.render(report, material, scene))
    write_whole(out / REPORT, report.to_json())
    work.finish()
    return report


def _request(
    store: Store,
    subject: Subject,
    extractor: Extractor,
    settings: AuditSettings,
    rules: Policy,
    controls: bool,
    judge: Judge | None,
) -> str:
    asked = {
        "subject": [subject.digest, subject.labels_digest, subject.run is not None],
        "store": store.record.manifest_sha256,
        "settings": _plain(settings),
        "policy": rules.model_dump(mode="json"),
        "controls": controls,
        "extractor": extractor.record.digest,
        "judge": judge.classifier.digest if judge else None,
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
