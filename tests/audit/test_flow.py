"""An audit from beginning to end: planted leaks are caught, a clean case passes, a stopped audit goes on."""

import json
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from radcommons import audit
from radcommons.audit import flow
from radcommons.audit.planted import slightly_changed
from radcommons.audit.settings import AuditSettings
from radcommons.cli import run as command
from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.errors import PathInUse, SettingRefused, TooFewImages
from radcommons.records import AuditReport


def write_set(folder: Path, films: np.ndarray) -> Path:
    (folder / "images").mkdir(parents=True)
    rows = ["image,Effusion"]
    for i, film in enumerate(films):
        cv2.imwrite(str(folder / "images" / f"{i:04d}.png"), film)
        rows.append(f"{i:04d}.png,{i % 2}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_run_is_audited_with_every_test_and_every_control(
    hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path
) -> None:
    report = audit.run(short_run, hospital, tmp_path / "a", settings=sizes, controls=True)
    names = {test.name.split(",")[0] for test in report.privacy if test.skipped is None}
    assert names == {
        "shared films",
        "split bias",
        "members against members",
        "copies",
        "data copying",
        "data copying by finding",
        "closer to training",
        "membership by samples",
        "membership by weights",
        "membership by critic",
    }
    assert report.trained_on_store is True and report.kind == "generator"
    assert [(c.name, c.behaved) for c in report.controls] == [
        ("replay", True),
        ("overfitted", True),
        ("planted duplicates", True),
        ("never saw the films", True),
    ]
    assert report.detectable_share is not None and report.detectable_share <= 0.1
    for test in report.privacy:
        assert test.skipped or test.p_value is None or 0 < test.p_value <= 1
    floor, synthetic = report.quality[:2]
    assert floor.image_count == synthetic.image_count, "the first two rows compare"
    assert floor.fid is not None and synthetic.fid is not None and floor.fid.value < synthetic.fid.value

    saved = AuditReport.model_validate_json((tmp_path / "a" / "audit.json").read_bytes())
    assert saved == report
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["audit.json", "report.html"]
    again = audit.run(short_run, hospital, tmp_path / "a", settings=sizes, controls=True)
    assert again == report


def test_a_set_of_copies_fails_and_a_set_of_strangers_passes(
    hospital: Store, sizes: AuditSettings, tmp_path: Path
) -> None:
    films = np.asarray(hospital.images(32)[hospital.rows("train")])
    copies = write_set(tmp_path / "copies", slightly_changed(films[:120], np.random.default_rng(0)))
    ingest_phantoms(tmp_path / "others", patients=80, site="A", resolution=32, seed=99)
    others = write_set(tmp_path / "strangers", np.asarray(Store.open(tmp_path / "others").images(32)[:120]))

    leaky = audit.run(copies, hospital, tmp_path / "a", settings=sizes)
    clean = audit.run(others, hospital, tmp_path / "b", settings=sizes)
    assert leaky.verdict == "failed" and "A leak was found" in leaky.statement
    assert clean.verdict == "passed" and "No leak found" in clean.statement
    weights = next(test for test in clean.privacy if test.name == "membership by weights")
    assert weights.skipped == "a set has no weights"
    page = (tmp_path / "a" / "report.html").read_text()
    assert "stays in the hospital" in page


def test_a_few_copies_among_many_images_are_found(hospital: Store, sizes: AuditSettings, tmp_path: Path) -> None:
    films = np.asarray(hospital.images(32)[hospital.rows("train")[:5]])
    ingest_phantoms(tmp_path / "others", patients=80, site="A", resolution=32, seed=99)
    strangers = np.asarray(Store.open(tmp_path / "others").images(32)[:115])
    mixed = np.concatenate([strangers, slightly_changed(films, np.random.default_rng(1))])
    report = audit.run(write_set(tmp_path / "mixed", mixed), hospital, tmp_path / "a", settings=sizes)
    copies = next(test for test in report.privacy if test.name == "copies, identity")
    assert copies.result is not None and copies.result.value == 5


def test_films_shared_by_training_and_held_out_patients_fail_the_audit(
    hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = hospital.rows("train"), hospital.rows("test")
    images = np.array(hospital.images(32))
    images[test[:4]] = slightly_changed(images[train[:4]], np.random.default_rng(2))
    monkeypatch.setattr(
        Store,
        "images",
        lambda self, side: np.stack([cv2.resize(i, (side, side), interpolation=cv2.INTER_AREA) for i in images]),
    )
    report = audit.run(short_run, hospital, tmp_path / "a", settings=sizes)
    line = next(line for line in report.policy if line.rule == "shared films")
    assert line.outcome == "not met" and line.found == "4"


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
    with pytest.raises(PathInUse, match="holds another audit"):
        audit.run(short_run, hospital, tmp_path / "whole", settings=sizes.model_copy(update={"seed": 1}))


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
    assert all(source.startswith(("data:image/", "#")) for source in page.sources)
    assert report.statement in page.text
    for line in report.policy:
        assert line.rule in page.text and line.found in page.text
    assert "anonym" not in page.text.lower()


def test_too_few_patients_and_too_few_permutations_are_refused_before_anything_is_written(
    phantom_store: Store, hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path
) -> None:
    few = sizes.model_copy(update={"permutations": 500})
    with pytest.raises(SettingRefused, match="permutations is 500, too few for a significance of 0.001; pass --set"):
        audit.run(short_run, hospital, tmp_path / "a", settings=few)
    with pytest.raises(TooFewImages, match=r"has \d+ patients held out \('test'\); an audit needs 20 or more"):
        audit.run(short_run, phantom_store, tmp_path / "a", settings=sizes)
    assert not (tmp_path / "a").exists()


def test_the_command_ends_with_3_where_the_policy_is_not_met(
    hospital: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    films = np.asarray(hospital.images(32)[hospital.rows("train")[:60]])
    copies = write_set(tmp_path / "copies", films)
    sizes = [f"--set={key}" for key in ("images=60", "balanced_images=60", "pairs=20", "permutations=1200")]
    arguments = ["audit", str(copies), str(hospital.path), "--out", str(tmp_path / "a"), "--preset", "quick", *sizes]
    assert command([*arguments, "--json"]) == 3
    out, err = capfd.readouterr()
    assert json.loads(out)["verdict"] == "failed"
    assert "the audit's policy is not met: copies, identity" in err.splitlines()[-1]


def test_without_a_validation_part_the_tests_that_need_it_are_left_out_and_say_so(
    hospital: Store, short_run: Path, sizes: AuditSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Store.rows
    nobody = np.empty(0, np.int64)
    monkeypatch.setattr(Store, "rows", lambda self, part=None: nobody if part == "val" else rows(self, part))
    report = audit.run(short_run, hospital, tmp_path / "a", settings=sizes, controls=True)
    bias = next(test for test in report.privacy if test.name == "split bias")
    assert bias.skipped == "there is no validation part"
    assert [c.name for c in report.controls if c.behaved] == ["replay", "overfitted", "planted duplicates"]
    assert report.counts["patients for reference"] == 0
