from pathlib import Path

import numpy as np
import pytest

from radcommons.errors import PathInUse, PathMissing, SettingRefused
from radcommons.explain import flow
from radcommons.explain.flow import InterpolationRequest, MapRequest, explain
from radcommons.models.generator import Generator
from radcommons.records import AuditReport, Diversity, Estimate, Fidelity, Histogram, Judgement, QualityScore

SHORT = InterpolationRequest(frames=4, patients=2)
QUICK = MapRequest(n=24, singles=2, smoothing=0)


def test_a_folder_of_another_generator_or_of_something_else_is_left_alone(works, painter, loads, tmp_path) -> None:
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT)
    before = (tmp_path / "e" / "explain.json").read_bytes()
    loads(painter({"Effusion": np.ones((16, 16))}))
    with pytest.raises(
        PathInUse, match=r"was begun with weights = 0{8}\.\.\., not 0{8}\.\.\.; use those, or choose another --out"
    ):
        explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT)
    assert (tmp_path / "e" / "explain.json").read_bytes() == before
    for content, said in (("{", "is damaged"), ('{"format_version": 99}', "is of format version 99, this radcommons")):
        (tmp_path / "e" / "explain.json").write_text(content)
        with pytest.raises(PathInUse, match=rf"explain\.json {said}.*; choose another --out"):
            explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(PathInUse, match="holds something else"):
        explain(Path("run"), tmp_path, ["Effusion"], interpolation=SHORT)


def judgement(privacy: str) -> Judgement:
    statement = "No leak was found, and one image in 200 would have been."
    return Judgement(privacy=privacy, quality="failed", statement=statement, quality_statement="Too blurred.", lines=())


def audited(generator: Generator, folder: Path, **changes: object) -> Path:
    """The folder of a finished audit of a generator, made up of little."""
    folder.mkdir()
    values: dict[str, object] = {
        "subject": "run",
        "kind": "generator",
        "digest": generator.digest,
        "findings": generator.findings,
        "resolution": 16,
        "images_seen": 9,
        "trained_on_store": True,
        "store": "own",
        "store_manifest_sha256": "0" * 64,
        "counts": {"patients in training": 40, "patients held out": 20, "synthetic images": 100},
        "detection_limit": 0.005,
        "settings": {},
        "request_sha256": "0" * 64,
        "versions": {},
        "quality": [
            QualityScore(
                images="synthetic images",
                reference="held-out films",
                image_count=100,
                reference_count=50,
                extractor="toy",
                extractor_sha256="0" * 64,
                resize="none",
                fid=Estimate(value=12.3, low=11, high=14),
            )
        ],
        "diversity": [
            Diversity(
                finding="Nodule",
                pairs=9,
                scales=2,
                side=16,
                real=0.31,
                real_sd=0.1,
                synthetic=0.42,
                synthetic_sd=0.1,
                spread=Histogram(edges=(0, 1), shares={}),
            )
        ],
        "fidelity": [
            Fidelity(
                finding="Effusion",
                positives=9,
                auc_real=Estimate(value=0.81),
                auc_synthetic=Estimate(value=0.93),
                strengths=(),
                scores=(),
            )
        ],
        "privacy": (),
        "controls": (),
        "judgement": judgement("passed"),
        **changes,
    }
    (folder / "audit.json").write_text(AuditReport(**values).to_json())
    return folder


def test_a_linked_audit_is_added_to_the_page_and_stays_on_it(works, tmp_path: Path) -> None:
    generator = flow.Generator.load("run")
    report = audited(generator, tmp_path / "audit")
    explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK, audit=report)
    explain(Path("run"), tmp_path / "e", ["Nodule"], map_=QUICK)
    assert (tmp_path / "e" / "audit.json").read_bytes() == (report / "audit.json").read_bytes()
    page = (tmp_path / "e" / "explain.html").read_text()
    _, _, section = page.partition('id="audit"')
    assert (
        "found: privacy passed, quality failed" in section
        and "Too blurred." in section
        and "one image in 200" in section
        and "detects copies if they are 0.5% of the images or more" in section
    )
    assert all(number in section for number in ("0.81", "0.93", "0.31", "0.42", "12.3", "11.0 to 14.0"))
    report.joinpath("audit.json").unlink()
    audited(generator, tmp_path / "powerless", detection_limit=None, judgement=judgement("failed"))
    explain(Path("run"), tmp_path / "e", ["Nodule"], map_=QUICK, audit=tmp_path / "powerless")
    page = (tmp_path / "e" / "explain.html").read_text()
    assert "found: privacy failed" in page and "The audit could not detect copies" in page


def test_an_audit_of_other_weights_is_refused_before_anything_is_written(works, tmp_path: Path) -> None:
    generator = flow.Generator.load("run")
    other = audited(generator, tmp_path / "other", digest="0" * 64)
    with pytest.raises(SettingRefused, match=r"audits other weights \(run\), not those of .*; audit "):
        explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK, audit=other)
    (other / "audit.json").write_text("{}")
    with pytest.raises(SettingRefused, match=r"audit\.json is damaged; audit the generator again"):
        explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK, audit=other)
    (other / "audit.json").write_text('{"format_version": 99}')
    with pytest.raises(SettingRefused, match="version 99, this radcommons reads 1 and 2; audit the generator"):
        explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK, audit=other)
    with pytest.raises(PathMissing, match="name the folder of a finished 'radcommons audit'"):
        explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK, audit=tmp_path)
    assert not (tmp_path / "e").exists()
