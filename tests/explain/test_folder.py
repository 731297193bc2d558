import html
from pathlib import Path

import numpy as np
import pytest

from radcommons.errors import PathInUse, PathMissing, SettingRefused
from radcommons.explain import flow
from radcommons.explain.flow import InterpolationRequest, MapRequest, explain
from radcommons.records import FederationRecord

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


def test_a_linked_audit_is_added_to_the_page_and_stays_on_it(works, audited, judgement, tmp_path: Path) -> None:
    generator = flow.Generator.load("run")
    report = audited(generator, tmp_path / "audit")
    explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK, audit=report)
    explain(Path("run"), tmp_path / "e", ["Nodule"], map_=QUICK)
    assert (tmp_path / "e" / "audit.json").read_bytes() == (report / "audit.json").read_bytes()
    page = (tmp_path / "e" / "explain.html").read_text()
    _, _, section = page.partition('id="audit"')
    assert (
        "</span> Privacy: passed</h2>" in section
        and "</span> Quality: failed</h2>" in section
        and "Too blurred." in section
        and "one image in 200" in section
        and "detects copies if they are 1 in 100 synthetic images (0.5%) or more" in section
    )
    assert all(number in section for number in ("0.81", "0.93", "0.31", "0.42", "12.3", "11.0 to 14.0"))
    report.joinpath("audit.json").unlink()
    audited(generator, tmp_path / "powerless", detection_limit=None, judgement=judgement("failed"))
    explain(Path("run"), tmp_path / "e", ["Nodule"], map_=QUICK, audit=tmp_path / "powerless")
    page = (tmp_path / "e" / "explain.html").read_text()
    assert "Privacy: failed</h2>" in page and "The audit could not detect copies" in page
    assert "other clients" not in page
    record = FederationRecord(clients=5, films=900, rounds=40, share="both", aggregation="mean", local_iterations=10)
    audited(generator, tmp_path / "together", federation=record)
    explain(Path("run"), tmp_path / "e", ["Nodule"], map_=QUICK, audit=tmp_path / "together")
    assert record.tested(60) in html.unescape((tmp_path / "e" / "explain.html").read_text())


def test_an_audit_of_other_weights_is_refused_before_anything_is_written(works, audited, tmp_path: Path) -> None:
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
