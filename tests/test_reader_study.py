"""What pages say of a reader study, and what of it may leave the hospital."""

import json
from pathlib import Path

import pytest

from radcommons.errors import SettingRefused
from radcommons.reader_study import HEADS, clause, read_study, section, section_html
from radcommons.records import Estimate, PublishedResult, PublishedStudy

DIGEST, OTHER = "a" * 64, "b" * 64


def result(**changes: object) -> PublishedResult:
    share = {"value": 0.62, "low": 0.58, "high": 0.66}
    values: dict[str, object] = {
        "group": "radiologists", "side": 256, "readers": 6, "images": 100, "answers": 600, "timed_out": 0,
        "accuracy": share, "sensitivity": share, "specificity": share, "kappa": {"value": 0.1}, "detectable": 0.57,
        "p_corrected": 0.001,
    }  # fmt: skip
    return PublishedResult.model_validate({**values, **changes})


def study(*results: PublishedResult, own: int = 50, others: int = 0, **changes: object) -> PublishedStudy:
    generators = [{"digest": d, "images": n} for d, n in ((DIGEST, own), (OTHER, others)) if n]
    values: dict[str, object] = {
        "last_answer": "2026-03-01", "timed_out": "half", "readers": 6, "images": 100, "synthetic_images": 50,
        "generators": generators, "results": results or (result(),),
    }  # fmt: skip
    return PublishedStudy.model_validate({**values, **changes})


def test_the_sentence_says_no_more_than_the_interval() -> None:
    assert clause(result(), 0.001) == (
        "the 6 readers were right in 62% (95% interval 58% to 66%): more often than chance."
    )
    worse = result(accuracy=Estimate(value=0.4, low=0.3, high=0.49))
    assert clause(worse, 0.01).endswith("(95% interval 30% to 49%): less often than chance.")
    apart = "which could not be told apart from chance; this study would have detected 57% or more (power 80%)."
    assert clause(result(), 0.2).endswith(apart) and clause(result(), None).endswith(apart)
    wide = result(accuracy=Estimate(value=0.62, low=0.49, high=0.75))
    assert clause(wide, 0.001).endswith(apart), "a p value that does not fit the interval does not count"
    assert clause(result(detectable=None), 0.2).endswith("; no accuracy was sure to be found by this study.")


def test_the_section_says_who_saw_what_and_whose_images() -> None:
    found = section(study(), DIGEST)
    assert found.lead == (
        "6 readers said of 100 images, 50 of them synthetic, whether they are real or synthetic. This generator drew "
        "all of the synthetic ones. The last answer was given on 2026-03-01."
    )
    assert found.sentences == ("With images of 256 x 256 pixels " + clause(result(), 0.001),)
    assert "timed out" not in found.note and "does not show that readers guess" in found.note
    together = ". Every number here is about all of them together."
    mixed = section(study(own=20, others=30, last_answer=None), DIGEST).lead
    assert mixed.endswith(f"This generator drew 20 of the synthetic ones, other generators 30{together}")
    known = section(study(own=20, last_answer=None), DIGEST).lead
    assert known.endswith(f"drew 20 of the synthetic ones; which generator drew the other 30 is not known{together}")
    neither = section(study(own=20, others=5, last_answer=None), DIGEST).lead
    assert (
        f"20 of the synthetic ones, other generators 5; which generator drew the other 25 is not known{together}"
        in neither
    )


def test_the_table_has_every_group_and_the_sentences_are_of_all_readers() -> None:
    late = result(group="all readers", timed_out=60, side=512, kappa=None, detectable=None)
    found = section(study(result(), result(side=512), result(group="all readers"), late), DIGEST)
    assert [row[:2] for row in found.rows] == [
        ("radiologists (6)", "100 of 256 x 256"), ("radiologists (6)", "100 of 512 x 512"),
        ("all readers (6)", "100 of 256 x 256"), ("all readers (6)", "100 of 512 x 512"),
    ]  # fmt: skip
    assert all(len(row) == len(HEADS) for row in found.rows)
    assert found.rows[0][2:] == (*["62% (58% to 66%)"] * 3, "57%", "0.10") and found.rows[3][5:] == ("-", "-")
    assert [one[:31] for one in found.sentences] == [
        "With images of 256 x 256 pixels",
        "With images of 512 x 512 pixels",
    ]
    assert found.note.startswith(
        "60 of 1,200 answers timed out; they count as half right, which is what a guess earns. "
    )


def test_html_is_escaped_and_can_be_scrolled_with_the_keyboard() -> None:
    page = section_html(study(result(group="<script>alert(1)</script>")), DIGEST)
    assert (
        "<script" not in page and "&lt;script&gt;" in page and '<div class="scroll" tabindex="0" role="region"' in page
    )
    assert page.count("<h2>") == 1 and page.startswith('<section id="study">')


def published(path: Path, digest: str) -> PublishedStudy:
    return read_study(path, digest=digest, name="site-a")


def test_what_leaves_the_hospital_has_the_numbers_of_the_analysis(studied, audited_run) -> None:
    path, digest = studied(), audited_run.report.digest
    found, analysed = published(path, digest), json.loads(path.read_text())
    assert found.images_of(digest) == found.images_of("f" * 64) == 20 and found.images_of(OTHER) == 0
    assert (found.readers, found.images, found.synthetic_images) == (6, 80, 40)
    whole = {r["block"]: r for r in analysed["results"] if r["group"] == "all readers"}
    tests = {
        t["block"]: t for t in analysed["tests"] if t["question"] == "against chance" and t["group"] == "all readers"
    }
    for ours in found.of_all_readers():
        theirs = whole[str(ours.side)]
        assert ours.accuracy.model_dump() == theirs["accuracy"] and ours.detectable == theirs["detectable"]
        assert ours.p_corrected == tests[str(ours.side)]["p_corrected"]


@pytest.mark.parametrize(
    ("groups", "left"),
    [
        (["a"] * 3 + ["b"] * 3, {"a", "b", "all readers"}),
        (["a"] * 4 + ["b"] * 2, {"all readers"}),
        (["a"] * 5 + ["Dr Esel alone"], {"all readers"}),
        (["a"] * 6, {"a"}),
    ],
)
def test_groups_of_one_or_two_are_published_only_together_with_all_others(
    studied, audited_run, groups: list[str], left: set[str]
) -> None:
    found = published(studied(groups=groups), audited_run.report.digest)
    assert {one.group for one in found.results} == left
    assert [one.side for one in found.of_all_readers()] == [16, 32]


def test_a_study_is_refused_with_the_next_step(studied, tmp_path: Path) -> None:
    with pytest.raises(SettingRefused, match=r"is about a study that showed no image of site-a; give one that did$"):
        published(studied(), DIGEST)
    with pytest.raises(SettingRefused, match=r"study\.json is missing or damaged; analyse the study again$"):
        published(tmp_path / "study.json", DIGEST)
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(SettingRefused, match=r"study\.json is damaged; analyse the study again$"):
        published(tmp_path / "study.json", DIGEST)
