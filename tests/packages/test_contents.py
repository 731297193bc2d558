import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from radcommons.errors import PackageRefused, PathMissing
from radcommons.packages import contents
from radcommons.packages.contents import LARGEST, MOST_PICTURES, faults_of, names_in, open_package, picture_fault


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_package_is_read_with_its_records(package) -> None:
    again = open_package(package.folder)
    assert again == package
    assert again.config.name == "site-a" and again.findings.findings == ("Effusion", "Pleural_Thickening")
    assert again.audit.digest == again.config.weights_sha256 and again.patients is None and again.explanation is None
    assert again.pictures == (
        "samples/Effusion.png",
        "samples/No_finding.png",
        "samples/Pleural_Thickening.png",
        "samples/overview.png",
    )


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint.pt",
        "checkpoint-previous.pt",
        "report.html",
        "private.pem",
        "pseudonym.key",
        "model.py",
        "generator.pkl",
        ".gitignore",
        ".git/config",
        ".lock",
        "samples/a.svg",
        "samples/a.png.exe",
        "samples/.hidden.png",
        "samples/deeper/a.png",
        "other/a.png",
        "samples/a\n.png",
        "readme.md",
        "map/numbers.npz",
    ],
)
def test_a_file_of_any_other_name_or_kind_does_not_belong(package, name: str) -> None:
    path = package.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    assert faults_of(package.folder) == [f"{name!r} does not belong in a package"]
    with pytest.raises(PackageRefused, match="is not a generator package: .* does not belong in a package"):
        open_package(package.folder)


@pytest.mark.parametrize("name", contents.NEEDED)
def test_every_needed_file_is_missed(package, name: str) -> None:
    (package.folder / name).unlink()
    assert faults_of(package.folder) == [f"{name} is missing"]


def test_links_and_folders_in_place_of_files_are_not_followed(package, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a film")
    (package.folder / "LICENSE").unlink()
    (package.folder / "LICENSE").symlink_to(secret)
    (package.folder / "map").symlink_to(tmp_path, target_is_directory=True)
    assert faults_of(package.folder) == ["'LICENSE' is no ordinary file", "'map' is no ordinary file"]
    assert "map/secret.txt" not in names_in(package.folder)


def test_a_name_cannot_write_to_the_terminal(package) -> None:
    (package.folder / "\x1b[2Jall is well").write_bytes(b"")
    with pytest.raises(PackageRefused) as refused:
        open_package(package.folder)
    assert "\x1b" not in str(refused.value)


def test_a_message_names_some_of_many_faults(package) -> None:
    for number in range(1000):
        (package.folder / f"stray-{number}").touch()
    with pytest.raises(PackageRefused, match="'stray-0' does not belong.*; and 995 more$") as refused:
        open_package(package.folder)
    assert len(str(refused.value)) < 1000


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match="is not a folder; name a generator package"):
        open_package(tmp_path / "none")


def test_sizes_have_a_limit(package, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (package.folder / "audit.json").stat().st_size
    monkeypatch.setitem(LARGEST, "audit.json", size)
    assert faults_of(package.folder) == []
    monkeypatch.setitem(LARGEST, "audit.json", size - 1)
    assert faults_of(package.folder) == [f"audit.json has {size:,} bytes, at most {size - 1:,} are allowed"]


def test_the_number_of_pictures_has_a_limit(package) -> None:
    content = (package.folder / "samples" / "Effusion.png").read_bytes()
    for number in range(MOST_PICTURES - 4):
        (package.folder / "samples" / f"{number}.png").write_bytes(content)
    assert faults_of(package.folder) == []
    (package.folder / "samples" / "one-more.png").write_bytes(content)
    assert faults_of(package.folder) == ["201 pictures, at most 200 are allowed"]


@pytest.mark.parametrize("name", ["README.md", "LICENSE"])
@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\xff", b"text\0text"])
def test_card_and_license_are_text(package, name: str, content: bytes) -> None:
    (package.folder / name).write_bytes(content)
    assert faults_of(package.folder) == [f"{name} is no text in UTF-8"]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims any size."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("width", [8001, 12_000, 100_000])  # for Pillow: nothing, a warning, an error
def test_a_picture_that_claims_too_many_pixels_is_refused_by_its_header(tmp_path: Path, width: int) -> None:
    (tmp_path / "a.png").write_bytes(png(width, 8000))
    assert picture_fault(tmp_path / "a.png") == "has more than 64,000,000 pixels"
    (tmp_path / "a.png").write_bytes(png(8000, 8000))
    assert picture_fault(tmp_path / "a.png") is None


def test_the_frames_of_an_animation_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.new("L", (10, 10), grey) for grey in (0, 90, 180)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert picture_fault(tmp_path / "a.gif") is None
    monkeypatch.setattr(contents, "MOST_PIXELS", 299)
    assert "pixels" in str(picture_fault(tmp_path / "a.gif"))


def test_a_picture_is_what_its_name_says(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.gif")
    (tmp_path / "a.gif").rename(tmp_path / "a.png")
    assert picture_fault(tmp_path / "a.png") == "is a picture of another kind than its name says"
    Image.new("L", (4, 4)).save(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").rename(tmp_path / "b.png")
    assert picture_fault(tmp_path / "b.png") == "is no picture"
    (tmp_path / "c.png").write_bytes(png(4, 4)[:20])
    assert picture_fault(tmp_path / "c.png") == "is no picture"


def test_records_belong_to_the_weights(package) -> None:
    weights = package.folder / "generator.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    with pytest.raises(PackageRefused, match=r"config\.json is about other weights than generator\.safetensors"):
        open_package(package.folder)


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("audit.json", {"digest": "0" * 64}, r"audit\.json is about other weights"),
        ("audit.json", {"kind": "set"}, r"audit\.json is about another generator"),
        ("audit.json", {"resolution": 32}, r"audit\.json is about another generator"),
        ("audit.json", {"findings": ["Effusion", "Mass"]}, r"audit\.json is about another generator"),
        ("audit.json", {"format_version": 99}, r"audit\.json is of format version 99.*; update radcommons"),
        ("config.json", {"code": "import os"}, r"config\.json is damaged; ask the site for it again"),
        ("findings.json", {"smallest_cell": "five"}, r"findings\.json is damaged"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(package, file: str, changes: dict[str, object], said: str) -> None:
    edit(package.folder / file, **changes)
    with pytest.raises(PackageRefused, match=said):
        open_package(package.folder)


def test_deeply_nested_json_is_refused_like_any_damage(package) -> None:
    (package.folder / "audit.json").write_text("[" * 1_000_000)
    with pytest.raises(PackageRefused, match=r"audit\.json is damaged"):
        open_package(package.folder)


def test_a_picture_that_no_explanation_names_is_refused(package) -> None:
    (package.folder / "map").mkdir()
    (package.folder / "map" / "film.png").write_bytes(png(4, 4))
    with pytest.raises(PackageRefused, match=r"explain\.json and the pictures do not belong together: 'map/film\.png'"):
        open_package(package.folder)


@pytest.fixture
def with_study(pack, studied, tmp_path: Path) -> Path:
    return pack(tmp_path / "studied", study=studied()).folder


def of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "study.json").read_text())
    return found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: {"generators": [{"digest": "0" * 64, "images": 9}]}, "is about a study that showed no image of gen"),
        (lambda s: {"generators": []}, "damaged"),
        (lambda s: {"generators": [*s["generators"], s["generators"][0]]}, "damaged"),
        (lambda s: {"generators": [{**s["generators"][0], "images": 41}]}, "damaged"),
        (lambda s: {"by_reader": [{"reader": "Dr Ampel"}]}, "damaged"),
        (lambda s: {"readers": 2}, "damaged"),
        (lambda s: {"results": []}, "damaged"),
        (lambda s: {"results": s["results"] * 20}, "damaged"),
        (lambda s: {"results": [{**s["results"][0], "readers": 1}]}, "damaged"),
        (lambda s: {"results": [{**s["results"][0], "group": "x" * 201}]}, "damaged"),
        (lambda s: {"results": [{**s["results"][0], "accuracy": {"value": 0.6}}]}, "damaged"),
        (lambda s: {"results": [{**s["results"][0], "accuracy": {"value": 0.9, "low": 0, "high": 0.5}}]}, "damaged"),
        (lambda s: {"results": [{**s["results"][0], "accuracy": {"value": 9, "low": 8, "high": 10}}]}, "damaged"),
        (lambda s: {"results": [{**s["results"][0], "kappa": {"value": 1e300}}]}, "damaged"),
        (lambda s: {"last_answer": "yesterday"}, "damaged"),
        (lambda s: {"format_version": 9}, "is of format version 9.*; update radcommons"),
    ],
)
def test_a_reader_study_of_others_or_of_single_readers_or_with_impossible_numbers_is_refused(
    with_study: Path, change: Callable[[dict[str, Any]], dict[str, Any]], said: str
) -> None:
    assert open_package(with_study).study is not None
    edit(with_study / "study.json", **change(of(with_study)))
    with pytest.raises(PackageRefused, match=rf"study\.json.*{said}"):
        open_package(with_study)


def test_a_reader_study_as_it_stays_in_the_hospital_is_refused(with_study: Path, studied) -> None:
    shutil.copyfile(studied(), with_study / "study.json")
    with pytest.raises(PackageRefused, match=r"study\.json is damaged"):
        open_package(with_study)


def test_a_reader_study_is_small(with_study: Path) -> None:
    with (with_study / "study.json").open("a") as file:
        file.write(" " * 2**20)
    with pytest.raises(PackageRefused, match=r"study\.json has [\d,]+ bytes, at most 1,048,576 are allowed"):
        open_package(with_study)
