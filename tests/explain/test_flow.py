import json
from pathlib import Path

import numpy as np
import pytest

from radcommons.errors import FindingUnknown, SettingRefused
from radcommons.explain import flow
from radcommons.explain.difference import RunningSums
from radcommons.explain.flow import InterpolationRequest, MapRequest, explain
from radcommons.explain.summary import as_text
from radcommons.records import Explanation

QUICK = MapRequest(n=24, singles=2, smoothing=0)
SHORT = InterpolationRequest(frames=4, patients=2)


def test_interpolations_and_maps_of_all_findings_are_written_and_recorded(works, phantom_store, tmp_path: Path) -> None:
    asked = MapRequest(n=24, singles=2, smoothing=0, store=phantom_store.path)
    found = explain(Path("run"), tmp_path / "e", every=True, interpolation=SHORT, map_=asked)
    assert [m.findings for m in found.morphs] == [m.findings for m in found.maps] == [(f,) for f in found.findings]
    assert found == Explanation.model_validate_json((tmp_path / "e" / "explain.json").read_bytes())
    files = [f for m in found.morphs for f in (m.strip, m.animation, m.frames)]
    files += [f for m in found.maps for f in (m.picture, m.numbers) if f]
    assert all((tmp_path / "e" / f).is_file() for f in files)
    maps = {m.findings[0]: m for m in found.maps}
    assert maps["Effusion"].score.auroc == 1.0 and maps["Effusion"].picture == "map/Effusion.png"
    assert maps["Effusion"].outside_body < 0.2 and maps["Effusion"].outside_body_area == 0.25
    assert "The change sits where Effusion sits" in maps["Effusion"].statement


def test_a_collapsed_label_is_said_and_not_drawn(works, tmp_path: Path) -> None:
    found = explain(Path("run"), tmp_path / "e", ["Nodule"], map_=QUICK)
    (one,) = found.maps
    assert one.collapsed and one.picture is None and one.unscored == "there is no change to score"
    assert "changes nothing" in one.statement
    assert not list((tmp_path / "e" / "map").glob("*.png"))
    assert "No map is drawn: the label does not change the image" in (tmp_path / "e" / "explain.html").read_text()


def test_the_numbers_beside_a_picture_are_the_map(works, tmp_path: Path) -> None:
    explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK)
    with np.load(tmp_path / "e" / "map" / "Effusion.npz") as file:
        assert set(file.files) == {"mean", "standard_error", "healthy", "body", "singles_without", "singles_raised"}
        assert file["singles_raised"].shape == (2, 16, 16) and (file["singles_raised"] != file["singles_without"]).any()
        assert file["mean"].shape == (16, 16) and file["mean"].max() > 10


def test_findings_together_are_one_set_with_a_file_of_their_own(works, phantom_store, tmp_path: Path) -> None:
    asked = MapRequest(n=24, singles=0, smoothing=0, store=phantom_store.path)
    found = explain(Path("run"), tmp_path / "e", ["Effusion", "Cardiomegaly"], interpolation=SHORT, map_=asked)
    assert found.maps[0].findings == ("Cardiomegaly", "Effusion") and found.maps[0].score.auroc > 0.9
    assert (tmp_path / "e" / "morph" / "Cardiomegaly+Effusion.png").is_file()


def test_findings_together_are_the_same_set_in_whatever_order_they_are_named(works, tmp_path: Path) -> None:
    for named in (["Effusion", "Cardiomegaly"], ["Cardiomegaly", "Effusion"]):
        found = explain(Path("run"), tmp_path / "e", named, interpolation=SHORT, map_=QUICK)
        assert [m.findings for m in found.morphs] == [m.findings for m in found.maps] == [("Cardiomegaly", "Effusion")]
        assert "label interpolations: Cardiomegaly + Effusion" in as_text(found, named, tmp_path)


def test_the_same_seed_gives_the_same_files(works, tmp_path: Path) -> None:
    for name in ("a", "b"):
        explain(Path("run"), tmp_path / name, ["Effusion"], interpolation=SHORT, map_=QUICK, seed=4)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*") if p.suffix != ".npz")
    assert len(files) == 5
    assert [p for p in files if (tmp_path / "a" / p).read_bytes() != (tmp_path / "b" / p).read_bytes()] == []


def test_the_identity_is_0_for_a_label_without_effect_and_grows_with_it(painter, heats, loads, tmp_path: Path) -> None:
    found = []
    for number, strength in enumerate((0, 20, 80)):
        loads(painter({"Effusion": strength * heats["Effusion"]}))
        found += explain(Path("run"), tmp_path / str(number), ["Effusion"], map_=QUICK).maps
    ratios = [one.identity.value for one in found]
    assert ratios[0] == 0 and 0 < ratios[1] < ratios[2]


def test_no_extractor_no_identity(works, tmp_path: Path) -> None:
    asked = MapRequest(n=10, extractor="off")
    (one,) = explain(Path("run"), tmp_path / "e", ["Effusion"], map_=asked).maps
    assert one.identity is None and one.extractor is None


@pytest.mark.parametrize(
    ("findings", "every", "asked", "error", "said"),
    [
        (["Efusion"], False, {}, FindingUnknown, "the nearest is 'Effusion'"),
        ([], False, {}, SettingRefused, "pass --finding NAME or --all; known are Cardiomegaly"),
        (["Effusion"], True, {}, SettingRefused, "--all and --finding exclude each other"),
        (["Effusion"], False, {"map_": MapRequest(n=0)}, SettingRefused, "n is 0; it must be 1 or more"),
        (["Effusion"], False, {"map_": MapRequest(smoothing=0.5)}, SettingRefused, "from 0 (raw) to 0.25"),
        (
            ["Effusion"],
            False,
            {"interpolation": InterpolationRequest(frames=1)},
            SettingRefused,
            "frames is 1; an interpolation needs 2",
        ),
        (["Effusion"], False, {"interpolation": InterpolationRequest(patients=0)}, SettingRefused, "patients is 0"),
        (
            ["Effusion"],
            False,
            {"interpolation": InterpolationRequest(patients=600)},
            SettingRefused,
            "patients is 600; an animation holds 252 side by side; pass --patients 252 or fewer",
        ),
        (
            ["Effusion"],
            False,
            {"interpolation": InterpolationRequest(frames=10**9), "map_": QUICK},
            SettingRefused,
            "frames is 1000000000; with 4 latent vectors that is 4,000,000,000 images, and 4 GiB of memory hold "
            "43,690; pass --frames 10922 or fewer, or fewer --patients",
        ),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(
    works, tmp_path: Path, findings: list[str], every: bool, asked: dict, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as raised:
        explain(Path("run"), tmp_path / "e", findings, every=every, **(asked or {"interpolation": SHORT}))
    assert said in str(raised.value) and not (tmp_path / "e").exists()


def test_findings_without_a_region_are_named_and_the_others_scored(works, tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("image,finding,x,y,w,h\na,Effusion,0,512,512,512\n")
    found = explain(Path("run"), tmp_path / "e", every=True, map_=MapRequest(n=16, singles=0, boxes=path))
    maps = {m.findings[0]: m for m in found.maps}
    assert maps["Effusion"].score.cases == 1
    assert maps["Cardiomegaly"].unscored == "Cardiomegaly is not in radiologists' boxes"


@pytest.mark.parametrize("stopped_in", ["body_mask", "score", "map_figure", "statement"])
def test_a_map_stopped_while_it_is_scored_or_drawn_continues_without_measuring_again(
    works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_in: str
) -> None:
    class Stopped(Exception): ...

    def stop(*_: object, **__: object) -> None:
        raise Stopped

    whole = explain(Path("run"), tmp_path / "whole", ["Effusion"], map_=QUICK)
    with monkeypatch.context() as patched:
        patched.setattr(flow, stopped_in, stop)
        with pytest.raises(Stopped):
            explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK)
    assert json.loads((tmp_path / "e" / "explain.json").read_text())["maps"] == []
    with monkeypatch.context() as patched:
        patched.setattr(RunningSums, "add", stop)
        assert explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK) == whole
    assert not list((tmp_path / "e").glob(".map*"))
