"""An audit from beginning to end: positive controls are caught, a negative one passes, a stopped audit goes on."""

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import cv2
import numpy as np
import pytest

from radcommons import audit
from radcommons.audit import flow
from radcommons.audit.inputs.subject import open_subject
from radcommons.audit.planted import slightly_changed
from radcommons.audit.sensitivity import CHANGES
from radcommons.audit.settings import AuditSettings
from radcommons.cli import run as command
from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.errors import ClassifierRefused, PathInUse, PathMissing, SettingRefused, TooFewImages
from radcommons.extractors import Extractor
from radcommons.pages import sentences
from radcommons.policy.judge import judge
from radcommons.policy.settings import Policy
from radcommons.progress import silent
from radcommons.reader_study import read_study, section_html
from radcommons.records import (
    AuditReport,
    ClientPrivacy,
    FederationRecord,
    PatientsInTraining,
    PolicyLine,
    PrivacyTestKind,
)


def write_set(folder: Path, films: np.ndarray, *, first: int = 0) -> Path:
    (folder / "images").mkdir(parents=True)
    rows = ["image,Effusion"]
    for i, film in enumerate(films):
        cv2.imwrite(str(folder / "images" / f"{i:04d}.png"), film)
        rows.append(f"{i:04d}.png,{(i + first) % 2}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def line_of(report: AuditReport, rule: str) -> PolicyLine:
    """The line of a rule, by the first word of its name."""
    return next(line for line in report.judgement.lines if line.rule.partition(",")[0] == rule)


@pytest.mark.slow
def test_a_run_is_audited_with_every_test_and_every_control(
    hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path
) -> None:
    sizes = sizes.model_copy(update={"sensitivity": True})
    report = audit.run(short_run, hospital, tmp_path / "a", settings=sizes, controls=True)
    done = {test.kind for test in report.privacy if test.skipped is None}
    assert done == set(get_args(PrivacyTestKind))
    assert report.trained_on_store is True and report.kind == "generator"
    members = report.counts["patients in training"]
    assert report.patients == PatientsInTraining(in_training=members, held_out=0, for_reference=0, incomparable=None)
    assert line_of(report, "patient-level split").outcome == "met"
    assert [(c.name, c.behaved) for c in report.controls] == [
        ("positive control: copies", True),
        ("positive control: overfitted generator", True),
        ("positive control: train-test duplicates", True),
        ("negative control: unseen films", True),
    ]
    assert report.detection_limit is not None and report.detection_limit <= 0.1
    for test in report.privacy:
        assert test.skipped or test.p_value is None or 0 < test.p_value <= 1
    whole = [s for s in report.quality if s.reference == "held-out films"]
    assert len({s.image_count for s in whole}) == 1, "these rows compare"
    fid = {s.images: s.fid.value for s in whole if s.fid is not None and s.change is None}
    assert fid["training films"] < fid["blurred training films"] < fid["noise"]
    assert fid["training films"] < fid["synthetic images"]
    changed = {s.change: s for s in report.quality if s.change}
    assert changed.keys() == CHANGES.keys() and all(s.images == "changed training films" for s in changed.values())
    assert [s.images for s in report.spectra] == ["training films", "synthetic images"]
    assert max(abs(ratio - 1) for ratio in report.spectra[0].ratio) < 0.5, "films of one hospital"
    assert report.judgement.privacy == "passed" and report.judgement.quality == "failed", "it learned next to nothing"

    assert "stripes of 2 grey levels" in (tmp_path / "a" / "report.html").read_text()
    saved = AuditReport.model_validate_json((tmp_path / "a" / "audit.json").read_bytes())
    assert saved == report
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["audit.json", "release.html", "report.html"]
    again = audit.run(short_run, hospital, tmp_path / "a", settings=sizes, controls=True)
    assert again == report


@pytest.mark.slow
def test_a_set_of_copies_fails_and_a_set_of_strangers_passes(
    hospital: Store, sizes: AuditSettings, tmp_path: Path
) -> None:
    films = np.asarray(hospital.images(32)[hospital.rows("train")])
    copies = write_set(tmp_path / "copies", slightly_changed(films[:120], np.random.default_rng(0)))
    ingest_phantoms(tmp_path / "others", patients=80, site="A", resolution=32, seed=99)
    others = write_set(tmp_path / "strangers", np.asarray(Store.open(tmp_path / "others").images(32)[:120]))

    leaky = audit.run(copies, hospital, tmp_path / "a", settings=sizes)
    clean = audit.run(others, hospital, tmp_path / "b", settings=sizes)
    assert leaky.judgement.privacy == "failed" and "A leak was found" in leaky.judgement.statement
    assert clean.judgement.privacy == "passed" and "No leak was found" in clean.judgement.statement
    assert leaky.judgement.quality == clean.judgement.quality == "passed", "both are real films"
    weights = next(test for test in clean.privacy if test.kind == "membership inference: white-box")
    assert weights.skipped == "a set has no weights"
    assert line_of(clean, "patient-level split").outcome == "not tested"
    assert "training is not known: a set has no list of patients." in clean.judgement.statement
    page = (tmp_path / "a" / "report.html").read_text()
    assert "SIMULATED" in page and leaky.simulated
    assert "Do not share." in (tmp_path / "a" / "release.html").read_text()


@pytest.mark.slow
def test_a_few_copies_among_many_images_are_found(hospital: Store, sizes: AuditSettings, tmp_path: Path) -> None:
    films = np.asarray(hospital.images(32)[hospital.rows("train")[:5]])
    ingest_phantoms(tmp_path / "others", patients=80, site="A", resolution=32, seed=99)
    strangers = np.asarray(Store.open(tmp_path / "others").images(32)[:115])
    mixed = np.concatenate([strangers, slightly_changed(films, np.random.default_rng(1))])
    report = audit.run(write_set(tmp_path / "mixed", mixed), hospital, tmp_path / "a", settings=sizes)
    copies = next(test for test in report.privacy if test.name == "near-duplicates, re-identification features")
    assert copies.result is not None and copies.result.value == 5


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_train_test_duplicates_fail_the_audit(
    hospital: Store,
    short_run: Path,
    sizes: AuditSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    share: float,
) -> None:
    train, test = hospital.rows("train"), hospital.rows("test")
    images = np.array(hospital.images(32))
    count = round(share * len(test))
    images[test[:count]] = slightly_changed(images[train[:count]], np.random.default_rng(2))
    monkeypatch.setattr(
        Store,
        "images",
        lambda self, side: np.stack([cv2.resize(i, (side, side), interpolation=cv2.INTER_AREA) for i in images]),
    )
    report = audit.run(short_run, hospital, tmp_path / "a", settings=sizes)
    line = line_of(report, "train-test duplicates")
    assert line.outcome == "not met" and 0.8 * count <= int(line.found.partition(" ")[0]) <= count


@pytest.mark.slow
def test_a_generator_that_has_seen_held_out_patients_is_no_subject_of_this_store(
    short_run: Path, sizes: AuditSettings, tmp_path: Path
) -> None:
    """The same patients, split otherwise: some that this store holds out were in the training of the other one."""
    ingest_phantoms(tmp_path / "again", patients=160, site="A", resolution=32, seed=3, split_salt="other")
    again = Store.open(tmp_path / "again")
    package = tmp_path / "package"
    shutil.copytree(short_run / "generator", package)
    report = audit.run(package, again, tmp_path / "a", settings=sizes)
    assert report.judgement.privacy == "failed" and report.trained_on_store is None
    assert report.patients is not None and report.patients.held_out > 0
    line = line_of(report, "patient-level split")
    assert line.outcome == "not met" and "held-out patients were in this generator's training" in line.found
    assert report.judgement.statement.startswith(line.found)
    assert line.found in Page((tmp_path / "a" / "report.html").read_text()).text
    (package / "patients.json").unlink()
    with pytest.raises(PathInUse, match="was begun with other data or settings; use those, or choose another --out"):
        audit.run(package, again, tmp_path / "a", settings=sizes)


@pytest.mark.slow
def test_a_generator_of_another_hospital_is_a_negative_control_where_the_policy_lets_it_be(
    short_run: Path, sizes: AuditSettings, tmp_path: Path
) -> None:
    ingest_phantoms(tmp_path / "other", patients=160, site="A", resolution=32, seed=4)
    other = Store.open(tmp_path / "other")
    report = audit.run(short_run, other, tmp_path / "a", settings=sizes)
    line = line_of(report, "patient-level split")
    assert line.outcome == "not met" and "names another store" in line.found
    rules = Policy(patient_level_split=False)
    judged = judge(report, rules)
    assert "patient-level split" not in {line.rule for line in judged.lines}
    assert judged.privacy == "passed", judged.statement


@pytest.mark.slow
def test_a_stopped_audit_goes_on_and_ends_as_if_it_had_not_been_stopped(
    hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = audit.run(short_run, hospital, tmp_path / "whole", settings=sizes)
    with monkeypatch.context() as patch:
        patch.setattr(flow, "weight_tests", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            audit.run(short_run, hospital, tmp_path / "stopped", settings=sizes)
    assert not (tmp_path / "stopped" / "audit.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr(flow, "quality_scores", lambda *_: pytest.fail("the quality had been worked out"))
        assert audit.run(short_run, hospital, tmp_path / "stopped", settings=sizes) == whole
    with pytest.raises(PathInUse, match="whole was begun with seed = 0, not 1; use those, or choose another --out"):
        audit.run(short_run, hospital, tmp_path / "whole", settings=sizes.model_copy(update={"seed": 1}))


def test_an_audit_keeps_the_precision_that_it_began_with(
    hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "gather", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    for asked in ("bf16", "auto"):  # "auto" alone is fp32 for this family
        with pytest.raises(KeyboardInterrupt):
            audit.run(short_run, hospital, tmp_path / "a", settings=sizes.model_copy(update={"precision": asked}))
        (tmp_path / "a" / ".audit" / "begun").touch()
        assert json.loads((tmp_path / "a" / ".audit" / "request.json").read_text())["precision"] == "bf16"
    with pytest.raises(PathInUse, match="was begun with precision = bf16, not fp32"):
        audit.run(short_run, hospital, tmp_path / "a", settings=sizes)


def test_a_set_with_other_labels_is_another_subject(
    hospital: Store, projection: Extractor, sizes: AuditSettings, tmp_path: Path
) -> None:
    films = np.asarray(hospital.images(32)[:6])
    one, other = (write_set(tmp_path / str(first), films, first=first) for first in (0, 1))
    first, second = (open_subject(folder, hospital, track=silent) for folder in (one, other))
    assert first.digest == second.digest and first.labels_digest != second.labels_digest
    asked = [
        flow._request(hospital, subject, projection, sizes, Policy(), False, None) for subject in (first, second, first)
    ]
    assert asked[0] == asked[2] != asked[1]


def test_a_damaged_report_is_named_in_one_line(
    hospital: Store, short_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "audit.json").write_text("{")
    arguments = ["audit", str(short_run), str(hospital.path), "--out", str(tmp_path / "a"), "--preset", "quick"]
    assert command(arguments) == 2
    assert "audit.json is damaged; choose another --out" in capfd.readouterr().err


def test_the_folder_of_an_audit_is_its_owner_s_also_where_it_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    flow.open_work(tmp_path / "a", {"sha256": "request"})
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_a_classifier_of_other_findings_is_refused_before_anything_is_written(
    hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = SimpleNamespace(classifier=SimpleNamespace(findings=("Hernia",), digest="0" * 64), description="")
    monkeypatch.setattr(flow, "given_classifier", lambda run: stranger)
    with pytest.raises(ClassifierRefused, match="knows Hernia and the subject .*; name a classifier with a finding in"):
        audit.run(short_run, hospital, tmp_path / "a", settings=sizes, classifier=tmp_path)
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_the_report_that_leaves_holds_no_patient(
    hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path
) -> None:
    audit.run(short_run, hospital, tmp_path / "a", settings=sizes)
    text = (tmp_path / "a" / "audit.json").read_text()
    manifest = hospital.manifest
    for column in ("image_id", "patient", "sha256"):
        assert not any(value in text for value in manifest[column])
    assert str(tmp_path) not in text and "data:image" not in text


class Page(HTMLParser):
    """What a page loads, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_self_contained_and_shows_the_verdict_and_every_rule(
    hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path
) -> None:
    report = audit.run(short_run, hospital, tmp_path / "a", settings=sizes)
    page = Page((tmp_path / "a" / "report.html").read_text(encoding="utf-8"))
    here = ("data:image/", "#", "release.html", "audit.json")
    assert all(source.startswith(here) for source in page.sources)
    assert all(sentence in page.text for sentence in sentences(report.judgement.statement))
    assert report.judgement.quality_statement in page.text
    for line in report.judgement.lines:
        assert line.rule in page.text and line.found in page.text
    assert "anonym" not in page.text.lower()


@pytest.mark.slow
def test_the_page_of_a_federated_generator_says_who_trained_it_and_that_other_clients_films_were_not_tested(
    hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path
) -> None:
    bound = ClientPrivacy(epsilon=7.5, delta=1e-5, noise_multiplier=1.0, clipping_norm=2.0, releases=40)
    record = FederationRecord(
        clients=5, films=1234, rounds=40, share="generator", aggregation="mean", local_iterations=10, privacy=bound
    )
    run = tmp_path / "run"
    shutil.copytree(short_run, run)
    (run / "generator" / "federation.json").write_text(record.to_json())
    report = audit.run(run, hospital, tmp_path / "a", settings=sizes)
    page = Page((tmp_path / "a" / "report.html").read_text(encoding="utf-8"))
    assert report.federation == record
    told = f"{record.summary} {record.tested(report.counts['films in training'])}"
    assert told in page.text and "epsilon 7.5, delta 1e-05" in told and "of the other clients were not tested" in told
    assert "No differential privacy" not in page.text
    (run / "generator" / "federation.json").unlink()
    with pytest.raises(PathInUse, match="was begun with other data or settings"):
        audit.run(run, hospital, tmp_path / "a", settings=sizes)


@pytest.mark.slow
def test_a_reader_study_is_put_on_the_page_of_a_finished_audit_and_of_a_new_one(
    hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path, studied
) -> None:
    page = tmp_path / "a" / "report.html"
    report = audit.run(short_run, hospital, page.parent, settings=sizes)
    before, record = page.read_text(), (page.parent / "audit.json").read_bytes()
    assert 'id="study"' not in before
    of_others, half, whole = studied(), studied(drawn_by=(report.digest, "f" * 64)), studied(drawn_by=(report.digest,))
    with pytest.raises(SettingRefused, match="is about a study that showed no image of phantom-A; give one that did"):
        audit.run(short_run, hospital, page.parent, settings=sizes, study=of_others)
    assert page.read_text() == before
    for study, words in ((half, "drew 20 of the synthetic ones"), (whole, "drew all of the synthetic ones")):
        assert audit.run(short_run, hospital, page.parent, settings=sizes, study=study) == report
        text = page.read_text()
        section = section_html(read_study(study, digest=report.digest, name="phantom-A"), report.digest)
        assert section in text and text.count('<section id="study">') == text.count('href="#study"') == 1
        assert words in text and "Ampel" not in text
        without = text.replace(f"{section}\n\n", "").replace('<a href="#study">Reader study</a>', "")
        assert without == before, "all else stays as it was"
    assert (page.parent / "audit.json").read_bytes() == record
    audit.run(short_run, hospital, page.parent, settings=sizes)
    assert page.read_text() == text, "without the option it stays"
    with pytest.raises(SettingRefused, match="showed no image of phantom-A"):
        audit.run(short_run, hospital, tmp_path / "b", settings=sizes, study=of_others)
    assert not (tmp_path / "b").exists()
    audit.run(short_run, hospital, tmp_path / "b", settings=sizes, study=whole)
    assert section in (tmp_path / "b" / "report.html").read_text()
    page.unlink()
    with pytest.raises(PathMissing, match=r"report\.html is missing; audit again with another --out"):
        audit.run(short_run, hospital, page.parent, settings=sizes, study=whole)


def test_too_few_patients_and_too_few_permutations_are_refused_before_anything_is_written(
    phantom_store: Store, hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path
) -> None:
    few = sizes.model_copy(update={"permutations": 500})
    with pytest.raises(SettingRefused, match="permutations is 500, too few for a significance of 0.001; pass --set"):
        audit.run(short_run, hospital, tmp_path / "a", settings=few)
    with pytest.raises(TooFewImages, match=r"has \d+ patients held out \('test'\); an audit needs 20 or more"):
        audit.run(short_run, phantom_store, tmp_path / "a", settings=sizes)
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_the_command_ends_with_3_where_the_policy_is_not_met(
    hospital: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    films = np.asarray(hospital.images(32)[hospital.rows("train")[:60]])
    copies = write_set(tmp_path / "copies", films)
    sizes = [f"--set={key}" for key in ("images=60", "balanced_images=60", "pairs=20", "permutations=1200")]
    arguments = ["audit", str(copies), str(hospital.path), "--out", str(tmp_path / "a"), "--preset", "quick", *sizes]
    assert command([*arguments, "--json"]) == 3
    out, err = capfd.readouterr()
    assert json.loads(out)["judgement"]["privacy"] == "failed"
    assert "the audit's policy is not met: near-duplicates, re-identification features" in err.splitlines()[-1]


@pytest.mark.slow
def test_without_a_validation_part_the_tests_that_need_it_are_left_out_and_say_so(
    hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Store.rows
    nobody = np.empty(0, np.int64)
    monkeypatch.setattr(Store, "rows", lambda self, part=None: nobody if part == "val" else rows(self, part))
    report = audit.run(short_run, hospital, tmp_path / "a", settings=sizes, controls=True)
    check = next(test for test in report.privacy if test.kind == "sanity check: no generator")
    assert check.skipped == "there is no validation part"
    assert [c.name.partition(":")[0] for c in report.controls if c.behaved] == ["positive control"] * 3
    assert report.counts["patients for reference"] == 0
