import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from radcommons import packing
from radcommons.audit.settings import AuditSettings
from radcommons.errors import (
    GateRefused,
    GeneratorRefused,
    KeyRefused,
    PackageRefused,
    PathInUse,
    PathMissing,
    SettingRefused,
)
from radcommons.models.generator import Generator
from radcommons.models.generator_files import load_federation
from radcommons.packages import signatures
from radcommons.packages.contents import names_in, open_package
from radcommons.packing import PATHS_IN_SETTINGS, audited, shipped_rules, without_paths
from radcommons.policy.settings import Policy
from radcommons.records import AuditReport, FederationRecord

NEEDED = [
    "LICENSE", "README.md", "audit.json", "config.json", "findings.json", "generator.safetensors", "model.sig",
    "samples/Effusion.png", "samples/No_finding.png", "samples/Pleural_Thickening.png", "samples/overview.png",
]  # fmt: skip
READERS = ("Dr Ampel", "Dr Birne", "Dr Chur", "Ingo Dachs", "Ingo Esel", "Ingo Fuchs")  # of the study in conftest.py
TOO_STRICT = Policy(detection_limit=0.001)
VERSION_1 = Path(__file__).parent / "records" / "audit-version-1.json"


def edited_audit(audited_run, folder: Path, **changes: object) -> Path:
    """The folder of another audit."""
    folder.mkdir()
    values = {**audited_run.report.model_dump(mode="json"), **changes}
    (folder / "audit.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def nothing_is_left(tmp_path: Path, *but: str) -> bool:
    return sorted(path.name for path in tmp_path.iterdir()) == sorted(but)


def test_a_package_holds_what_may_leave_and_nothing_else(packaged: Path, audited_run) -> None:
    assert names_in(packaged) == NEEDED
    assert b"the critic" not in b"".join((packaged / name).read_bytes() for name in NEEDED)
    weights = audited_run.run / "generator" / "generator.safetensors"
    assert (packaged / "generator.safetensors").read_bytes() == weights.read_bytes()


def test_what_is_signed_is_verified_and_what_is_packaged_draws_the_same(packaged: Path, keys, audited_run) -> None:
    signatures.verify(packaged, keys.public)
    there, here = (Generator.load(folder, device="cpu") for folder in (packaged, audited_run.run))
    assert np.array_equal(there.generate(3, balanced=True).images, here.generate(3, balanced=True).images)


def test_others_may_read_a_package_and_not_write_it(pack, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = pack(tmp_path / "package").folder
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}
    assert modes == {0o755, 0o644}


def test_the_list_of_patients_goes_along_only_where_it_is_asked_for(pack, tmp_path: Path, audited_run) -> None:
    made = pack(tmp_path / "with", patients=True)
    assert made.patients is not None and names_in(made.folder) == sorted([*NEEDED, "patients.json"])
    run = tmp_path / "run"
    shutil.copytree(audited_run.run, run)
    (run / "generator" / "patients.json").unlink()
    with pytest.raises(PathMissing, match="has no list of patients .*; leave out --patients"):
        pack(tmp_path / "package", run=run, patients=True)


def test_how_sites_trained_together_goes_along(pack, tmp_path: Path, audited_run) -> None:
    record = FederationRecord(clients=5, films=900, rounds=40, share="both", aggregation="mean", local_iterations=10)
    run = tmp_path / "run"
    shutil.copytree(audited_run.run, run)
    (run / "generator" / "federation.json").write_text(record.to_json())
    with pytest.raises(SettingRefused, match=r"audit\.json and federation\.json tell of different trainings; audit"):
        pack(tmp_path / "with", run=run)
    audit = edited_audit(audited_run, tmp_path / "audit", federation=record.model_dump(mode="json"))
    made = pack(tmp_path / "with", run=run, audit=audit)
    assert made.federation == record and names_in(made.folder) == sorted([*NEEDED, "federation.json"])
    assert record.statement in (made.folder / "README.md").read_text()
    assert load_federation(made.folder) == record and load_federation(audited_run.run) is None
    (made.folder / "federation.json").write_text(record.model_copy(update={"rounds": 41}).to_json())
    with pytest.raises(PackageRefused, match=r"audit\.json and federation\.json tell of different trainings"):
        open_package(made.folder)
    (run / "generator" / "federation.json").write_text("{}")
    with pytest.raises(GeneratorRefused, match=r"federation\.json is damaged; fetch or train the generator again"):
        pack(tmp_path / "damaged", run=run)


def test_the_folder_of_the_generator_is_as_good_as_its_run(pack, tmp_path: Path, audited_run, packaged: Path) -> None:
    made = pack(tmp_path / "package", run=audited_run.run / "generator")
    assert made.config == open_package(packaged).config


def test_a_failed_audit_is_refused_unless_it_is_allowed_and_the_card_says_so(pack, tmp_path: Path) -> None:
    with pytest.raises(GateRefused, match="the policy is not met: detection limit; train again, or pass") as refused:
        pack(tmp_path / "package", rules=TOO_STRICT)
    assert refused.value.exit_code == 3 and nothing_is_left(tmp_path)
    made = pack(tmp_path / "package", rules=TOO_STRICT, allow_failed=True)
    assert made.audit.judgement.privacy == "failed"
    assert "publishes this generator all the same" in (made.folder / "README.md").read_text()


def test_the_audit_is_judged_again_by_the_rules_of_the_package(pack, tmp_path: Path, audited_run) -> None:
    lenient = Policy(detection_limit=0.5)
    made = pack(tmp_path / "package", rules=lenient)
    assert made.audit.settings["policy"] == lenient.model_dump(mode="json")
    assert "rules of the site's own" in (made.folder / "README.md").read_text()
    claims = audited_run.report.judgement.model_copy(update={"privacy": "failed"}).model_dump(mode="json")
    again = pack(tmp_path / "again", audit=edited_audit(audited_run, tmp_path / "audit", judgement=claims))
    assert again.audit.judgement.privacy == "passed"
    assert "rules of the site's own" not in (again.folder / "README.md").read_text()


def test_the_rules_of_the_program_are_the_shipped_ones() -> None:
    assert shipped_rules() == Policy()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"digest": "0" * 64}, r"audits other weights \(site-a\), not those of site-a; audit site-a"),
        ({"kind": "set"}, "audits other weights"),
        ({"quality": []}, "has no scores of synthetic images; audit the generator again"),
        ({"counts": "many"}, "is damaged; audit the generator again"),
        ({"format_version": 3}, "is of format version 3"),
    ],
)
def test_an_audit_that_is_not_of_these_weights_or_is_damaged_is_refused(
    pack, tmp_path: Path, audited_run, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingRefused, match=said):
        pack(tmp_path / "package", audit=edited_audit(audited_run, tmp_path / "audit", **changes))
    assert nothing_is_left(tmp_path, "audit")


def test_an_audit_of_format_version_1_is_written_in_todays(pack, tmp_path: Path, audited_run) -> None:
    old = json.loads(VERSION_1.read_text())
    report = audited_run.report
    old |= {"digest": report.digest, "findings": list(report.findings), "resolution": 16, "kind": "generator"}
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "audit.json").write_text(json.dumps(old))
    generator = Generator.load(audited_run.run, device="cpu")
    found = audited(tmp_path / "audit", generator, Policy())
    assert AuditReport.model_validate_json(found.to_json()) == found and found.format_version == 2
    made = pack(tmp_path / "package", audit=tmp_path / "audit", allow_failed=True)
    assert made.audit == found


def test_without_an_audit_nothing_leaves(pack, tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match=r"audit\.json does not exist; name the folder of a finished"):
        pack(tmp_path / "package", audit=tmp_path)
    assert nothing_is_left(tmp_path)


def test_no_path_of_the_machine_leaves_with_the_audit(packaged: Path) -> None:
    text = (packaged / "audit.json").read_text()
    assert "mueller" not in text and json.loads(text)["settings"]["extractor_weights"] == "weights.pt"
    assert without_paths({"extractor_weights": r"C:\Users\mueller\weights.pt", "seed": 0}) == {
        "extractor_weights": "weights.pt",
        "seed": 0,
    }
    paths = {
        n for n, field in AuditSettings.model_fields.items() if Path in (field.annotation, *get_args(field.annotation))
    }
    assert paths == set(PATHS_IN_SETTINGS), "every setting that is a path is shortened"


def test_a_folder_that_holds_something_is_left_alone(pack, tmp_path: Path) -> None:
    for name in ("package", "package.old", "package.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("mine")
    with pytest.raises(PathInUse, match="already holds something; choose another --out"):
        pack(tmp_path / "package")
    (tmp_path / "package" / "mine.txt").unlink()
    pack(tmp_path / "package")  # an empty folder will do
    assert names_in(tmp_path / "package") == NEEDED
    for name in ("package.old", "package.partial"):
        assert (tmp_path / name / "mine.txt").read_text() == "mine"


def test_the_working_directory_may_be_the_folder(pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    pack(Path())
    assert names_in(tmp_path / "here") == NEEDED


@pytest.mark.parametrize("inside", ["run", "run/generator", "audit"])
def test_a_package_does_not_lie_where_films_or_the_critic_are(pack, audited_run, inside: str) -> None:
    out = audited_run.run.parent / inside / "package"
    with pytest.raises(PathInUse, match="which stays in the hospital; choose another --out"):
        pack(out)
    assert not out.exists()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_nothing_is_left_of_one_that_is_stopped(
    pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    def stopped(*_: object) -> None:
        raise stop

    monkeypatch.setattr(signatures, "sign", stopped)
    with pytest.raises(stop):
        pack(tmp_path / "package")
    assert nothing_is_left(tmp_path)


def test_what_a_kill_left_is_in_nobodys_way_and_goes(pack, tmp_path: Path) -> None:
    left = tmp_path / "package.partial"
    for name in ("package", "package.partial"):
        (left / name).mkdir(parents=True)
        (left / name / "old").touch()
    (left / ".lock").touch()
    pack(tmp_path / "package")
    assert names_in(tmp_path / "package") == NEEDED and nothing_is_left(tmp_path, "package")


def test_a_wrong_key_or_license_is_found_before_anything_is_drawn(
    pack, tmp_path: Path, keys, audited_run, words, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_draw_samples", None)
    with pytest.raises(PathMissing, match="is not a file; give the text of the license"):
        pack(tmp_path / "package", license_file=tmp_path / "none")
    with pytest.raises(KeyRefused, match="is not a private key"):
        packing.write_package(
            audited_run.run,
            audited_run.audit,
            tmp_path / "package",
            packing.Contents(words, tmp_path / "none"),
            private_key=keys.public,
            rules=Policy(),
        )
    assert nothing_is_left(tmp_path)


def test_a_license_is_a_text(pack, tmp_path: Path) -> None:
    (tmp_path / "license.pdf").write_bytes(b"%PDF-1.7\xff\xfe")
    with pytest.raises(SettingRefused, match=r"license\.pdf is no text in UTF-8; give the text of the license"):
        pack(tmp_path / "package", license_file=tmp_path / "license.pdf")
    assert nothing_is_left(tmp_path, "license.pdf")


def test_what_would_be_refused_is_not_written(pack, tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("You may. " * 200_000)
    with pytest.raises(PackageRefused, match=r"/package is not a generator package: LICENSE has 1,800,000 bytes"):
        pack(tmp_path / "package", license_file=tmp_path / "LICENSE")
    assert nothing_is_left(tmp_path, "LICENSE")


def test_samples_have_a_row_for_each_finding_and_one_bar(audited_run, tmp_path: Path) -> None:
    opened: list[int] = []

    def track(description: str, *, total: int, done: int = 0, unit: str = "images") -> Any:
        opened.append(total)
        return packing.silent(description, total=total)

    generator = Generator.load(audited_run.run, device="cpu")
    packing._draw_samples(generator, tmp_path / "samples", track)
    assert opened == [48]
    with Image.open(tmp_path / "samples" / "overview.png") as overview:
        assert overview.height == 32 + 3 * 130 + 2, "the title and three rows"
    with Image.open(tmp_path / "samples" / "Effusion.png") as picture:
        assert picture.size == (8 * 130 + 2, 32 + 2 * 130 + 2)


def test_a_finding_cannot_name_a_file_elsewhere(audited_run, tmp_path: Path) -> None:
    generator = Generator.load(audited_run.run, device="cpu")
    renamed = generator.findings_record.model_copy(update={"findings": ("../../x", "a/b c")})
    (tmp_path / "deep").mkdir()
    packing._draw_samples(replace(generator, findings_record=renamed), tmp_path / "deep" / "samples", packing.silent)
    assert names_in(tmp_path) == [f"deep/samples/{n}.png" for n in ("No_finding", "______x", "a_b_c", "overview")]


@pytest.fixture
def explained(audited_run, tmp_path: Path) -> Callable[..., Path]:
    """A folder of an explanation: one interpolation, one map, what no record names, and a page."""

    def make(**changes: object) -> Path:
        folder = tmp_path / "explained"
        for name in ("morph/Effusion.png", "map/Effusion.png", "map/film-of-a-patient.png", "morph/Effusion.gif"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), 90).save(folder / name)
        for name in ("morph/Effusion.npz", "morph/Effusion.mp4", "map/Effusion.npz", "explain.html"):
            (folder / name).write_bytes(b"x")
        zero = {"value": 0.0}
        record = {
            "format_version": 1,
            "generator": "site-a",
            "generator_sha256": audited_run.report.digest,
            "resolution": 16,
            "images_seen": 1200,
            "findings": audited_run.report.findings,
            "morphs": [
                {"findings": ["Effusion"], "strengths": [0, 1], "patients": 2, "seed": 0, "strip": "morph/Effusion.png",
                 "animation": "morph/Effusion.gif", "video": "morph/Effusion.mp4", "frames": "morph/Effusion.npz"}
            ],
            "maps": [
                {"findings": ["Effusion"], "images": 9, "seed": 0, "smoothing": 0, "strongest": 3, "strongest_error": 1,
                 "change": zero, "overall": 0, "clear_share": 0, "collapsed": False, "outside_body": None,
                 "outside_body_area": 0, "identity": None, "extractor": None, "score": None, "unscored": "none",
                 "statement": "It brightens *there*.", "picture": "map/Effusion.png", "numbers": "map/Effusion.npz"}
            ],
        }  # fmt: skip
        (folder / "explain.json").write_text(json.dumps({**record, **changes}))
        return folder

    return make


def test_of_an_explanation_the_named_pictures_go_along_and_nothing_else(pack, tmp_path: Path, explained) -> None:
    made = pack(tmp_path / "package", explanation=explained())
    added = ["explain.json", "map/Effusion.png", "morph/Effusion.gif", "morph/Effusion.png"]
    assert names_in(made.folder) == sorted([*NEEDED, *added])
    assert made.explanation is not None
    (interpolation,), (one,) = made.explanation.morphs, made.explanation.maps
    assert (interpolation.video, interpolation.frames, one.numbers) == (None, None, None)
    assert "- [Effusion](map/Effusion.png): It brightens \\*there\\*." in (made.folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"generator_sha256": "0" * 64}, r"explains other weights \(site-a\); explain site-a"),
        ({"findings": "all"}, r"explain\.json is damaged; explain the generator again"),
    ],
)
def test_an_explanation_of_another_generator_is_refused(
    pack, tmp_path: Path, explained, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingRefused, match=said):
        pack(tmp_path / "package", explanation=explained(**changes))
    assert nothing_is_left(tmp_path, "explained")


@pytest.mark.parametrize("name", ["../audit/report.png", "/etc/passwd", "map/none.png", "map/Effusion.npz"])
def test_a_record_cannot_name_a_file_elsewhere(pack, tmp_path: Path, explained, name: str) -> None:
    folder = explained()
    record = json.loads((folder / "explain.json").read_text())
    record["maps"][0]["picture"] = name
    (folder / "explain.json").write_text(json.dumps(record))
    with pytest.raises(SettingRefused, match="which is missing; explain the generator again"):
        pack(tmp_path / "package", explanation=folder)
    assert nothing_is_left(tmp_path, "explained")


def test_of_a_reader_study_the_groups_go_along_and_no_reader(pack, tmp_path: Path, studied, keys) -> None:
    made = pack(tmp_path / "package", study=studied())
    assert names_in(made.folder) == sorted([*NEEDED, "study.json"])
    signatures.verify(made.folder, keys.public)
    assert made.study is not None and [(r.group, r.side) for r in made.study.results] == [
        ("radiologists", 16), ("engineers", 16), ("all readers", 16),
        ("radiologists", 32), ("engineers", 32), ("all readers", 32),
    ]  # fmt: skip
    content = b"".join((made.folder / name).read_bytes() for name in names_in(made.folder))
    names = [word for reader in READERS for word in reader.split()[1:]]
    assert len(names) == 6 and not [name for name in names if name.encode() in content]
    assert all(name in studied().read_text() for name in names), "the hospital's own record has them"
    text = (made.folder / "README.md").read_text()
    (line,) = re.findall(r"- With images of 16 x 16 pixels the 6 readers were right in .*", text)
    assert "more often than chance" in line
    assert "This generator drew 20 of the synthetic ones, other generators 20. Every number" in text
    assert "The last answer was given on 2026-03-01." in text and "12 of 480 answers timed out" in text
    assert re.search(r"^\| radiologists \(3\) \| 40 of 32 x 32 \| \d\d% \(\d\d% to \d+%\) \|", text, re.M)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"drawn_by": ("f" * 64,)}, "is about a study that showed no image of site-a; give one that did"),
        ({"drawn_by": ()}, "does not say which generators drew its images"),
        ({"readers": READERS[:2], "groups": ["all"] * 2}, "every number is of fewer than 3 readers"),
    ],
)
def test_a_study_that_says_nothing_of_this_generator_or_too_much_of_a_reader_is_refused(
    pack, tmp_path: Path, studied, options: dict[str, Any], said: str
) -> None:
    path = studied(**options)
    if options.get("drawn_by") == ():
        path.write_text(json.dumps({**json.loads(path.read_text()), "generators": []}))
    with pytest.raises(SettingRefused, match=said):
        pack(tmp_path / "package", study=path)
    assert nothing_is_left(tmp_path)


def test_a_folder_without_explanation_is_refused(pack, tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match=r"explain\.json does not exist; name a folder of 'radcommons explain'"):
        pack(tmp_path / "package", explanation=tmp_path)
