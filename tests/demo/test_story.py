"""The demo at a size that takes seconds, and its page."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from radcommons.audit import planted
from radcommons.demo import hub
from radcommons.demo import page as page_module
from radcommons.demo import story as demo
from radcommons.errors import PathInUse
from radcommons.study.design import Study
from radcommons.study.server import check
from radcommons.synthetic.reading import SyntheticSet

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """Collects what a page loads and shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    demo.run_demo(out, patients=130, small_site_patients=SMALL_SITE, preset=PRESET, program="bin/radcommons")
    return out


PRESET = "demo-32"
RULES = """
images = 100
images_per_finding = 8
pairs = 50
repeats = "off"
label_effect = "off"
ms_ssim_least = "off"
ms_ssim_most = "off"
ms_ssim_tolerance = "off"
duplicate = "off"
[policy]
membership_auc = 1.0
better_than_controls = false
precision = "off"
recall = "off"
coverage = "off"
ms_ssim_excess = "off"
"""  # nothing about quality: the generators are worthless
SMALL_SITE = 260  # patients


def test_a_folder_of_another_demo_or_of_somebody_else_is_left_alone(demo_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PathInUse, match="was begun with patients = 130, not 131; use those, or choose another --out"):
        demo.run_demo(demo_folder, patients=131, small_site_patients=SMALL_SITE, preset=PRESET)
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(PathInUse, match="already holds something else; choose another --out"):
        demo.run_demo(tmp_path, preset=PRESET)
    assert (tmp_path / "report.html").read_text() == "mine"


@pytest.fixture(scope="module", autouse=True)
def _short(tmp_path_factory: pytest.TempPathFactory) -> object:
    """The same preset, three hundred images long."""
    with pytest.MonkeyPatch.context() as patch:
        load = demo.load_settings
        short = {"total_images": 320, "checkpoint_every": 160, "samples_every": 160, "log_every": 32}
        patch.setattr(demo, "load_settings", lambda path: load(path).model_copy(update=short))
        patch.setattr(demo, "POOLED_IMAGES", 20)
        sizes = (
            "images=60",
            "balanced_images=60",
            "permutations=1_100",
            "bootstrap_samples=100",
            "pairs=20",
            "inverted_films=16",
            "sensitivity=false",
            "classifier_images=64",
            "fid_halves=10",
        )
        patch.setattr(demo, "AUDIT_SIZES", (*sizes, "inversion_steps=2", "sheet_images=2"))
        patch.setattr(planted, "OVERFITTED_STEPS", 10)
        rules = tmp_path_factory.mktemp("rules") / "gate.toml"
        rules.write_text(RULES)
        patch.setattr(hub, "GATE", rules)
        few = (
            "repeats=2",
            "bootstrap_samples=200",
            "classifier.epochs=1",
            "classifier.epoch_images=32",
            "diversity_pairs=10",
        )
        real = ("real_images=80", "real_positives=4", "kept_images=40", "kept_positives=4")
        patch.setattr(demo, "EXPLAINED", 24)
        patch.setattr(demo, "CLASSIFIER_SIZES", ("epochs=1", "epoch_images=64"))
        patch.setattr(demo, "EXPERIMENT_SIZES", (*few, *real, "synthetic_images=40", "synthetic_positives=8"))
        yield


def test_the_demo_ends_in_a_report_and_a_pooled_set(demo_folder: Path) -> None:
    pooled = SyntheticSet.open(demo_folder / "synthetic")
    assert len(pooled) == 20 and pooled.resolution == 32
    assert [g["name"] for g in pooled.provenance["generators"]] == ["phantom-A", "phantom-B"]
    result = json.loads((demo_folder / "demo.json").read_text())
    assert {s["site"] for s in result["sites"]} == {"A", "B"}
    assert all(s["images_seen"] == 320 for s in result["sites"])


def test_the_pool_comes_from_the_hub_through_its_gate(demo_folder: Path) -> None:
    published = json.loads((demo_folder / "hub.json").read_text())
    pooled = SyntheticSet.open(demo_folder / "synthetic")
    assert [g["reference"] for g in pooled.provenance["generators"]] == [one["reference"] for one in published]
    assert all(line["outcome"] != "not met" for one in published for line in one["lines"])
    page = Page((demo_folder / "report.html").read_text(encoding="utf-8"))
    for one in published:
        assert one["reference"] in page.text and "every file is signed" in page.text
    fetched = demo_folder / "user" / "generators"
    weights = {path.read_bytes() for path in fetched.rglob("generator.safetensors")}
    assert weights == {(demo_folder / f"run-{s}/generator/generator.safetensors").read_bytes() for s in "ab"}
    package = {path.name for path in (demo_folder / "package-a").iterdir()}
    assert package == {"LICENSE", "README.md", "audit.json", "config.json", "findings.json", "generator.safetensors",
                       "model.sig", "samples"}  # fmt: skip


def test_a_reader_study_is_ready_to_be_served(demo_folder: Path) -> None:
    study = Study.open(demo_folder / "study")
    check(study)
    assert [i.truth for i in study.images if not i.practice].count("real") == 15 and len(study.images) == 32
    page = Page((demo_folder / "report.html").read_text(encoding="utf-8"))
    assert f"bin/radcommons study serve {demo_folder / 'study'}" in page.text


def test_the_page_is_self_contained(demo_folder: Path) -> None:
    page = Page((demo_folder / "report.html").read_text(encoding="utf-8"))
    pictures = [source for source in page.sources if source.startswith("data:image/")]
    assert len(pictures) == 9, "two grids and two plots of each hospital; the experiment"
    links = {source.partition("#")[0] for source in page.sources if not source.startswith(("data:image/", "#"))}
    of_site = {f"{name}-{site}" for site in "ab" for name in ("explained", "audit", "run")}
    assert {link.partition("/")[0] for link in links} == {*of_site, "experiment", "evaluation", "synthetic"}
    assert all((demo_folder / link).is_file() for link in links)
    for link in links:
        assert "../report.html" in Page((demo_folder / link).read_text(encoding="utf-8")).sources, link


def test_the_page_begins_with_four_answers_and_who_may_leave(demo_folder: Path) -> None:
    page = Page((demo_folder / "report.html").read_text(encoding="utf-8"))
    order = ["Does anything leak?", "Did the labels work?", "Do synthetic films help?", "What next?",
             "bin/radcommons data import dicom", "May generator A leave hospital A?", "May generator B leave",
             "a leak like one of these", "The films", "Seconds of every step"]  # fmt: skip
    places = [page.text.index(words) for words in order]
    assert places == sorted(places)
    assert "Every film here is of a digital phantom" in page.text


def test_the_page_shows_the_numbers_of_the_result(demo_folder: Path) -> None:
    page = Page((demo_folder / "report.html").read_text(encoding="utf-8"))
    result = json.loads((demo_folder / "demo.json").read_text())
    assert f"{sum(s['images'] for s in result['sites'])}" in page.text
    for effect in result["effects"]:
        assert f"{effect['auroc']:.2f}" in page.text
    for audit in result["audits"]:
        assert "no formal guarantee" in audit["statement"]
        assert {c["name"] for c in audit["controls"]} == {
            "positive control: copies", "positive control: overfitted generator",
            "positive control: train-test duplicates", "negative control: unseen films"}  # fmt: skip
        assert audit["quality"] == "failed" and "Quality failed" in page.text, "320 images of training"
        assert audit["undetected"][0] in page.text
    experiment = result["experiment"]
    assert experiment["sentence"] in page.text and experiment["settings"]["finding"] == "Effusion"
    for arm in experiment["arms"]:
        assert arm["description"] in page.text and f"{arm['auc']['Effusion']['value']:.3f}" in page.text
    assert "No formal guarantee" in page.text and "anonym" not in page.text.lower()


def test_every_page_of_the_demo_is_accessible_fits_every_screen_and_is_light(
    demo_folder: Path, faults_of_file: Callable[[Path], list[str]]
) -> None:
    pages = sorted(demo_folder.rglob("*.html"))
    assert {path.parent.name for path in pages} >= {"out", "audit-a", "explained-b", "experiment", "study"}
    faults = [fault for path in pages for fault in faults_of_file(path)]
    assert faults == [], "\n".join(faults)


def test_running_it_again_changes_no_film_and_no_weight_and_a_heavy_page_says_so(
    demo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "This page has" not in (demo_folder / "report.html").read_text(encoding="utf-8")
    watched = [p for p in demo_folder.rglob("*") if p.suffix in (".npy", ".safetensors", ".pt") or "images" in p.parts]
    before = {p: p.stat().st_mtime_ns for p in watched}
    monkeypatch.setattr(page_module, "HEAVY", 10_000)
    demo.run_demo(demo_folder, patients=130, small_site_patients=SMALL_SITE, preset=PRESET, program="bin/radcommons")
    assert before == {p: p.stat().st_mtime_ns for p in watched}
    assert re.search(r"This page has \d\.\d MB", (demo_folder / "report.html").read_text(encoding="utf-8"))
