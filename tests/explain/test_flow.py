import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radcommons.errors import FindingUnknown, PathInUse, PathMissing, SettingRefused
from radcommons.explain import flow
from radcommons.explain import page as page_of
from radcommons.explain.drawing import LONGEST
from radcommons.explain.flow import InterpolationRequest, MapRequest, explain
from radcommons.explain.running_sums import RunningSums
from radcommons.explain.summary import as_text
from radcommons.models.generator import Generator
from radcommons.records import (
    AuditReport,
    Diversity,
    Estimate,
    Explanation,
    Fidelity,
    Histogram,
    Judgement,
    QualityScore,
)

QUICK = MapRequest(n=24, singles=2, smoothing=0)
SHORT = InterpolationRequest(frames=4, patients=2)


@pytest.fixture
def works(painter, heats, loads):
    """A generator whose labels for Effusion and Cardiomegaly do what they say, and whose others do nothing."""
    loads(painter({name: 40 * heats[name] for name in ("Effusion", "Cardiomegaly")}))


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
        assert set(file.files) == {"mean", "standard_error", "healthy", "body"}
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


def test_commands_add_to_one_page_and_the_same_again_replaces(works, tmp_path: Path) -> None:
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT)
    explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK)
    found = explain(Path("run"), tmp_path / "e", ["Effusion"], map_=MapRequest(n=30, singles=0))
    assert len(found.morphs) == len(found.maps) == 1 and found.maps[0].images == 30
    page = (tmp_path / "e" / "explain.html").read_text()
    assert page.count('<section class="finding"') == 1
    assert 'type="range"' in page and "Difference map of Effusion" in page


def test_the_same_seed_gives_the_same_files(works, tmp_path: Path) -> None:
    for name in ("a", "b"):
        explain(Path("run"), tmp_path / name, ["Effusion"], interpolation=SHORT, map_=QUICK, seed=4)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*") if p.suffix != ".npz")
    assert len(files) == 5
    assert [p for p in files if (tmp_path / "a" / p).read_bytes() != (tmp_path / "b" / p).read_bytes()] == []


def test_the_page_stands_alone_and_says_that_it_is_synthetic(works, tmp_path: Path) -> None:
    explain(Path("run"), tmp_path / "e", every=True, interpolation=SHORT, map_=QUICK)
    page = (tmp_path / "e" / "explain.html").read_text()
    assert "Every picture here is synthetic." in page
    assert "http://" not in page and "https://" not in page and ' src="/' not in page
    assert "so the maps are not scored" in page


def test_the_slider_has_one_step_per_frame_and_a_sprite_as_high(works, tmp_path: Path) -> None:
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=InterpolationRequest(frames=6, patients=5))
    page = (tmp_path / "e" / "explain.html").read_text()
    assert 'min="0" max="5"' in page and "background-size: 100% 600%" in page and "aspect-ratio: 3 / 2" in page
    assert 'aria-label="Label of Effusion"' in page
    with Image.open(tmp_path / "e" / "morph" / "Effusion.gif") as file:
        assert file.n_frames == 10


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


def test_an_interpolation_of_thousands_of_frames_is_thinned_on_the_page_and_whole_in_its_files(
    works, tmp_path: Path
) -> None:
    found = explain(
        Path("run"), tmp_path / "e", ["Effusion"], interpolation=InterpolationRequest(frames=4200, patients=1)
    )
    assert len(found.morphs[0].strengths) == 4200
    page = (tmp_path / "e" / "explain.html").read_text()
    assert "The slider has 101 of 4,200 frames." in page and 'min="0" max="100"' in page
    assert 'data-strengths="0.00 0.01 0.02 ' in page and "background-size: 100% 10100%" in page
    with np.load(tmp_path / "e" / "morph" / "Effusion.npz") as file:
        assert file["images"].shape == (1, 4200, 16, 16)
    with Image.open(tmp_path / "e" / "morph" / "Effusion.png") as file:
        assert file.width <= LONGEST


def test_a_sprite_of_many_latent_vectors_has_as_many_frames_as_a_picture_holds(
    works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_of, "LONGEST", 300)
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=InterpolationRequest(frames=20, patients=5))
    page = (tmp_path / "e" / "explain.html").read_text()
    address = page.partition("data:image/jpeg;base64,")[2].partition(")")[0]
    with Image.open(io.BytesIO(base64.b64decode(address))) as sprite:
        assert sprite.size == (3 * 16, 9 * 2 * 16)
    assert "The slider has 9 of 20 frames." in page


@pytest.mark.parametrize("kept", [0, 1, 100, -40], ids=["empty", "a byte", "a head", "all but the end"])
def test_files_that_a_kill_cut_short_are_left_out_of_the_page_and_made_again(works, tmp_path: Path, kept: int) -> None:
    whole = explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT, map_=QUICK)
    before = (tmp_path / "e" / "explain.html").read_text()
    for name in (whole.morphs[0].frames, whole.maps[0].picture):
        path = tmp_path / "e" / name
        path.write_bytes(path.read_bytes()[:kept])
    explain(Path("run"), tmp_path / "e", ["Nodule"], map_=QUICK)
    page = (tmp_path / "e" / "explain.html").read_text()
    assert 'type="range"' not in page and "picture is missing or damaged" in page
    assert (
        "The strongest mean change is" in page
        and page.count("No map is drawn: the label does not change the image") == 1
    )
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT, map_=QUICK)
    assert before.partition("<section")[2].partition("</section>")[0] in (tmp_path / "e" / "explain.html").read_text()


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
    with pytest.raises(SettingRefused, match=r"audits run, whose weights are not .*'s; audit .* again"):
        explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK, audit=other)
    (other / "audit.json").write_text("{}")
    with pytest.raises(SettingRefused, match=r"audit\.json is damaged; audit the generator again"):
        explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK, audit=other)
    (other / "audit.json").write_text('{"format_version": 99}')
    with pytest.raises(SettingRefused, match="is of format version 99, this radcommons reads 2; audit the generator"):
        explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK, audit=other)
    with pytest.raises(PathMissing, match="name the folder of a finished 'radcommons audit'"):
        explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK, audit=tmp_path)
    assert not (tmp_path / "e").exists()
