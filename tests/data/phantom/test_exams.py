"""The phantom: repeatable, anatomically right, and honest about what its masks and labels say."""

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from radcommons.data.phantom import FINDINGS, Exam, draw_exams, render, site
from radcommons.data.phantom.film import placement
from radcommons.data.phantom.findings import deformation
from radcommons.data.phantom.sites import Site
from radcommons.data.phantom.thorax import Thorax, thorax
from radcommons.errors import SettingRefused

HEART, FLUID, FREE_AIR, COLLAPSE, EDEMA, CONSOLIDATION, PNEUMONIA, NODULE = range(len(FINDINGS))


@pytest.fixture(scope="module")
def patients() -> list[Exam]:
    """The first image of each of twelve patients, six a site."""
    return [exam for name in "AB" for exam in draw_exams(6, site=name, seed=4) if exam.index == 0]


@pytest.fixture(scope="module")
def population() -> dict[str, list[Exam]]:
    return {name: draw_exams(2000, site=name, seed=1) for name in "AB"}


def only(exam: Exam, *findings: int) -> Exam:
    return replace(exam, labels=tuple(int(f in findings) for f in range(len(FINDINGS))))


def labels_of(exams: list[Exam]) -> np.ndarray:
    return np.array([exam.labels for exam in exams])


def change_by(exams: list[Exam], finding: int, resolution: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """How much brighter the finding makes each pixel, (n, R, R), and its mask."""
    ill, masks = render([only(exam, finding) for exam in exams], resolution)
    well, _ = render([only(exam) for exam in exams], resolution)
    return ill.astype(float) - well, masks[:, finding]


def inside(change: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return np.array([one[mask].mean() for one, mask in zip(change, masks, strict=True)])


# repeatable


def test_the_same_seed_gives_the_same_exams_and_the_same_bytes() -> None:
    first, second = (draw_exams(3, site="A", seed=7) for _ in range(2))
    assert first == second
    for one, other in zip(render(first, 64), render(second, 64), strict=True):
        assert np.array_equal(one, other)


def test_another_seed_or_site_gives_other_patients() -> None:
    anatomies = {draw_exams(1, site=name, seed=seed)[0].anatomy for name in "AB" for seed in (0, 1)}
    assert len(anatomies) == 4


def test_a_patient_does_not_depend_on_how_many_there_are() -> None:
    few, many = draw_exams(3, site="B", seed=7), draw_exams(9, site="B", seed=7)
    assert many[: len(few)] == few


def test_an_image_does_not_depend_on_the_others_of_its_batch() -> None:
    exams = draw_exams(3, site="A", seed=7)
    together, masks = render(exams, 32)
    for exam, image, mask in zip(exams, together, masks, strict=True):
        alone, alone_mask = render([exam], 32)
        assert np.array_equal(alone[0], image)
        assert np.array_equal(alone_mask[0], mask)


def test_a_patients_images_share_the_anatomy_but_not_the_picture() -> None:
    exams = draw_exams(40, site="A", seed=2)
    several = next(exam.patient for exam in exams if exam.index == 1)
    mine = [exam for exam in exams if exam.patient == several]
    assert len({exam.anatomy for exam in mine}) == 1
    images, _ = render(mine[:2], 64)
    assert not np.array_equal(images[0], images[1])
    assert {len([e for e in exams if e.patient == p]) for p in range(40)} == {1, 2, 3, 4}


# the same at every resolution


@pytest.mark.parametrize("resolution", [16, 32, 64, 128, 512])
def test_every_resolution_shows_the_same_anatomy(patients: list[Exam], resolution: int) -> None:
    exams = [patients[0], patients[-1]]
    reference, reference_masks = render(exams, 256)
    images, masks = render(exams, resolution)
    assert images.shape == (2, resolution, resolution)
    small = min(resolution, 256)
    for one, other in zip(images, reference, strict=True):
        shrunk = [cv2.resize(i, (small, small), interpolation=cv2.INTER_AREA).astype(float) for i in (one, other)]
        assert np.abs(shrunk[0] - shrunk[1]).mean() < 4  # of 255
        assert np.corrcoef(shrunk[0].ravel(), shrunk[1].ravel())[0, 1] > 0.99
    # masks cover the same share of the film
    if resolution >= 64:
        assert np.allclose(masks.mean(axis=(2, 3)), reference_masks.mean(axis=(2, 3)), atol=0.01)


def test_the_largest_resolution_renders(patients: list[Exam]) -> None:
    images, masks = render(patients[:1], 1024)
    assert images.shape == (1, 1024, 1024)
    assert masks.shape == (1, len(FINDINGS), 1024, 1024)


def test_the_maps_stay_in_single_precision(patients: list[Exam]) -> None:
    exam = only(patients[0], *range(len(FINDINGS)))
    chest = thorax(exam.anatomy, exam.pose, 64, deformation(exam.labels, exam.lesions))
    assert {getattr(chest, name).dtype for name in Thorax.__slots__} == {np.dtype(np.float32)}


# findings and their masks


@pytest.mark.parametrize("finding", range(len(FINDINGS)), ids=FINDINGS)
def test_a_finding_shows_inside_its_mask_and_hardly_outside(patients: list[Exam], finding: int) -> None:
    change, masks = change_by(patients, finding)
    assert masks.any(axis=(1, 2)).all()
    outside = inside(np.abs(change), ~masks)
    # a shifted mediastinum, thicker vessels and a shrunken lung change a little more than their masks say
    limit = {COLLAPSE: 6, EDEMA: 6, FREE_AIR: 4, HEART: 4}.get(finding, 2.5)
    assert outside.max() < limit
    assert (np.abs(inside(change, masks)) > 15).all()
    assert (np.abs(inside(change, masks)) > 5 * outside).all()


def test_the_finding_absent_leaves_an_empty_mask(patients: list[Exam]) -> None:
    _, masks = render([only(exam, NODULE) for exam in patients[:3]], 32)
    assert masks[:, NODULE].any(axis=(1, 2)).all()
    assert not masks[:, :NODULE].any()
    assert not render([only(patients[0])], 32)[1].any()


@pytest.mark.parametrize(
    "finding", [HEART, FLUID, COLLAPSE, EDEMA, CONSOLIDATION, PNEUMONIA, NODULE], ids=lambda f: FINDINGS[f]
)
def test_a_dense_finding_is_brighter_than_healthy_lung(patients: list[Exam], finding: int) -> None:
    assert (inside(*change_by(patients, finding)) > 15).all()


def test_a_pneumothorax_is_darker_than_healthy_lung(patients: list[Exam]) -> None:
    assert (inside(*change_by(patients, FREE_AIR)) < -15).all()


def test_a_pneumothorax_is_bounded_by_a_bright_line(patients: list[Exam]) -> None:
    change, masks = change_by(patients, FREE_AIR, 256)
    for one, mask in zip(change, masks, strict=True):
        # the rim ends at the pleura: just beyond the mask the picture is brighter than it was
        ring = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool) & ~mask
        assert one[ring].max() > 8


def test_a_pneumothorax_is_wider_at_the_apex(patients: list[Exam]) -> None:
    _, masks = change_by(patients, FREE_AIR)
    for mask in masks:
        rows = mask.sum(axis=1)[mask.any(axis=1)]
        assert rows[: len(rows) // 3].mean() > 1.5 * rows[-len(rows) // 3 :].mean()


def test_cardiomegaly_widens_the_heart_in_the_picture(patients: list[Exam]) -> None:
    ill, masks = render([only(exam, HEART) for exam in patients], 128)
    well, _ = render([only(exam) for exam in patients], 128)
    for after, before, mask in zip(ill, well, masks[:, HEART], strict=True):
        rows = np.flatnonzero(mask.any(axis=1))
        row = slice(rows[len(rows) // 3], rows[2 * len(rows) // 3])
        left, right = np.flatnonzero(mask.any(axis=0))[[0, -1]]
        dense = np.percentile(before[row, left:right], 90) * 0.75
        width_before, width_after = ((i[row, left : right + 1] > dense).sum(axis=1).mean() for i in (before, after))
        assert width_after > 1.12 * width_before


def test_severe_cardiomegaly_is_wider_than_mild(patients: list[Exam]) -> None:
    def widest(severity: float) -> float:
        exams = [replace(e, lesions=tuple(replace(x, severity=severity) for x in e.lesions)) for e in patients]
        return float(render([only(e, HEART) for e in exams], 64)[1][:, HEART].sum())

    assert widest(0.0) < widest(0.5) < widest(1.0)


def test_an_effusion_fills_the_angle_between_rib_cage_and_diaphragm_first(patients: list[Exam]) -> None:
    mild = [replace(e, lesions=tuple(replace(x, severity=0.1, bilateral=False) for x in e.lesions)) for e in patients]
    _, masks = render([only(e, FLUID) for e in mild], 128)
    for exam, mask in zip(mild, masks[:, FLUID], strict=True):
        rows, columns = np.nonzero(mask)
        side = exam.lesions[FLUID].side
        middle = 63.5 + 64 * exam.film.shift[0]
        assert (side * (columns - middle) > 0).mean() > 0.99  # on one side of the body
        assert np.median(np.abs(columns - middle)) > 25  # near the wall
        assert np.median(rows) > 64  # at the base


def test_a_meniscus_climbs_towards_the_wall(patients: list[Exam]) -> None:
    severe = [replace(e, lesions=tuple(replace(x, severity=0.7, bilateral=False) for x in e.lesions)) for e in patients]
    severe = [replace(e, film=replace(e.film, tilt_degrees=0.0)) for e in severe]
    _, masks = render([only(e, FLUID) for e in severe], 128)
    for exam, mask in zip(severe, masks[:, FLUID], strict=True):
        columns = np.flatnonzero(mask.any(axis=0))
        top = mask.argmax(axis=0)[columns]
        outer, inner = (
            (top[-5:], top[: len(top) // 2]) if exam.lesions[FLUID].side > 0 else (top[:5], top[len(top) // 2 :])
        )
        assert outer.min() < np.median(inner) - 3


def test_edema_is_on_both_sides_and_a_nodule_on_one(patients: list[Exam]) -> None:
    for exam in patients:
        _, masks = render([only(exam, EDEMA), only(exam, NODULE)], 64)
        middle = round(31.5 + 32 * exam.film.shift[0])
        edema, nodule = masks[0, EDEMA], masks[1, NODULE]
        assert min(edema[:, :middle].sum(), edema[:, middle:].sum()) > 0.2 * edema.sum()
        assert (nodule[:, :middle].any(), nodule[:, middle:].any()).count(True) == 1


def test_a_nodule_is_round_and_one_to_three_centimetres(patients: list[Exam]) -> None:
    _, masks = render([only(exam, NODULE) for exam in patients], 256)
    for exam, mask in zip(patients, masks[:, NODULE], strict=True):
        rows, columns = np.nonzero(mask)
        sizes_cm = np.array([np.ptp(rows) + 1, np.ptp(columns) + 1]) / 256 * 40 / exam.film.zoom
        assert 0.9 < sizes_cm.min() <= sizes_cm.max() < 3.3
        assert sizes_cm.max() / sizes_cm.min() < 1.5


def test_collapse_raises_the_diaphragm_on_its_side(patients: list[Exam]) -> None:
    for exam in patients:
        ill = only(exam, COLLAPSE)
        chest = thorax(exam.anatomy, exam.pose, 64, deformation(ill.labels, ill.lesions))
        well = thorax(exam.anatomy, exam.pose, 64, deformation(only(exam).labels, exam.lesions))
        raised = (chest.from_dome - well.from_dome)[0]
        side = exam.lesions[COLLAPSE].side
        assert raised[side * chest.x[0] > 0.3].min() > 0.04
        assert np.abs(raised[side * chest.x[0] < -0.3]).max() < 1e-6


def test_masks_lie_inside_the_body_and_off_the_black_border(patients: list[Exam]) -> None:
    exams = [only(exam, *range(len(FINDINGS))) for exam in patients]
    images, masks = render(exams, 64)
    for exam, image, mask in zip(exams, images, masks, strict=True):
        body = thorax(exam.anatomy, exam.pose, 256, deformation(exam.labels, exam.lesions)).body
        on_film = cv2.warpAffine(body, placement(exam.film, 256, 64), (64, 64), flags=cv2.WARP_INVERSE_MAP)
        found = mask.any(axis=0)
        assert (on_film[found] > 0.2).all()
        assert (image[found] > 0).all()


# anatomy as a reader expects it


def test_lungs_are_dark_the_middle_bright_and_air_outside_black() -> None:
    exams = [only(e) for e in draw_exams(15, site="A", seed=3)]
    mean = render(exams, 64)[0].mean(axis=0)
    lung, heart, abdomen, corner = mean[24, 18], mean[38, 33], mean[60, 24], mean[2, 2]
    assert corner < 10 < lung < 0.6 * heart
    assert abdomen > 200


def test_the_hearts_apex_points_to_the_viewers_right() -> None:
    mean = render([only(e) for e in draw_exams(15, site="A", seed=3)], 64)[0].mean(axis=0)
    row = mean[38]
    assert row[34:46].mean() > row[18:30].mean() + 20


def test_women_have_breast_shadows_and_men_have_none(population: dict[str, list[Exam]]) -> None:
    for exam in population["A"]:
        assert (exam.anatomy.breast > 0) == (exam.sex == "F")


# who comes


@pytest.mark.parametrize("name", ["A", "B"])
def test_prevalence_and_views_are_the_sites(population: dict[str, list[Exam]], name: str) -> None:
    exams, hospital = population[name], site(name)
    seen = labels_of(exams).mean(axis=0)
    for finding, share in zip(FINDINGS, seen, strict=True):
        # a patient's images are alike, so about half of them count: four standard errors of that
        tolerance = 4 * np.sqrt(hospital.prevalence[finding] / (len(exams) / 2))
        assert share == pytest.approx(hospital.prevalence[finding], abs=tolerance)
    assert np.mean([e.view == "AP" for e in exams]) == pytest.approx(hospital.ap_share, abs=0.04)


def test_about_half_of_the_images_have_no_finding(population: dict[str, list[Exam]]) -> None:
    for exams in population.values():
        assert 0.4 < (labels_of(exams).sum(axis=1) == 0).mean() < 0.6


@pytest.mark.parametrize(
    ("one", "other"),
    [(FLUID, HEART), (FLUID, EDEMA), (FLUID, COLLAPSE), (CONSOLIDATION, PNEUMONIA), (HEART, EDEMA)],
    ids=lambda f: FINDINGS[f],
)
def test_findings_that_belong_together_come_together(population: dict[str, list[Exam]], one: int, other: int) -> None:
    labels = labels_of(population["A"] + population["B"]).astype(bool)
    assert labels[labels[:, other], one].mean() > 1.5 * labels[:, one].mean()


def test_a_finding_often_persists_to_the_patients_next_image(population: dict[str, list[Exam]]) -> None:
    exams = population["A"]
    pairs = [(a, b) for a, b in pairwise(exams) if a.patient == b.patient]
    before, after = (labels_of(list(side)) for side in zip(*pairs, strict=True))
    again = after[before[:, FLUID] == 1, FLUID].mean()
    assert 0.4 < again < 0.95
    assert again > 2 * site("A").prevalence["Effusion"]


# sites


def test_the_sites_look_different() -> None:
    images = {name: render([only(e) for e in draw_exams(15, site=name, seed=5)], 64)[0] for name in "AB"}
    contrast = {name: i.std(axis=(1, 2)) for name, i in images.items()}
    gap = contrast["A"].mean() - contrast["B"].mean()
    assert gap > max(c.std() for c in contrast.values())
    corners = {
        name: (i[:, 3:14, 2:12].max(axis=(1, 2)).mean(), i[:, 3:14, 52:].max(axis=(1, 2)).mean())
        for name, i in images.items()
    }
    # the marker: L at the right border of A, R at the left border of B
    assert corners["A"][1] > corners["A"][0] + 20
    assert corners["B"][0] > corners["B"][1] + 20


def test_the_sites_see_different_patients() -> None:
    a, b = site("A"), site("B")
    assert b.prevalence["Edema"] > 2 * a.prevalence["Edema"]
    assert a.prevalence["Nodule"] > 2 * b.prevalence["Nodule"]
    assert b.ap_share > a.ap_share + 0.3


def test_any_other_name_is_a_site_of_its_own() -> None:
    assert site("Riverside") == site("Riverside")
    assert site("Riverside").prevalence != site("Lakeside").prevalence
    images, _ = render(draw_exams(1, site="Riverside", seed=0), 32)
    assert images.std() > 20


# refusals


@pytest.mark.parametrize("resolution", [0, 8, 100, 2048])
def test_an_impossible_resolution_names_the_possible_ones(resolution: int) -> None:
    with pytest.raises(SettingRefused, match=f"resolution is {resolution}; .*16, 32, 64, 128, 256, 512, 1024"):
        render([], resolution)


@pytest.mark.parametrize("count", [0, -3])
def test_no_patients_is_refused(count: int) -> None:
    with pytest.raises(SettingRefused, match=f"patients is {count}; .*1 or more"):
        draw_exams(count, site="A", seed=0)


def test_a_site_without_a_name_is_refused() -> None:
    with pytest.raises(SettingRefused, match=r"site is ' '; give it a name"):
        draw_exams(1, site=" ", seed=0)


def test_a_misspelt_finding_in_a_site_is_named_with_the_nearest() -> None:
    values = site("A").model_dump()
    values["prevalence"]["Efusion"] = values["prevalence"].pop("Effusion")
    with pytest.raises(SettingRefused, match="'Efusion': not a finding; the nearest is 'Effusion'"):
        Site.parse(values, source="site.toml")
