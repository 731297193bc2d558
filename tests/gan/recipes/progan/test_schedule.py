from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radcommons.gan.recipes.progan.schedule import phase_at, stage_at, stages
from radcommons.gan.recipes.progan.settings import ProganSettings
from radcommons.settings import preset_path


def paper(resolution: int = 256) -> ProganSettings:
    return ProganSettings.load(preset_path("train", f"paper-{resolution}"))


def small(total_images: int, growing_share: float = 0.5) -> ProganSettings:
    return ProganSettings(
        total_images=total_images,
        images_per_phase=None,
        growing_share=growing_share,
        resolution=16,
        channels={4: 4, 8: 4, 16: 4},
        batch_size={4: 4, 8: 4, 16: 4},
    )


def test_the_paper_shows_600_000_images_a_phase_and_the_rest_at_the_end() -> None:
    plan = stages(paper())
    assert [s.resolution for s in plan] == [4, 8, 16, 32, 64, 128, 256]
    assert [(s.first, s.stable, s.end) for s in plan[:3]] == [
        (0, 0, 600_000),
        (600_000, 1_200_000, 1_800_000),
        (1_800_000, 2_400_000, 3_000_000),
    ]
    assert (plan[-1].first, plan[-1].stable, plan[-1].end) == (6_600_000, 7_200_000, 12_000_000)


def test_the_paper_reaches_1024_within_its_twelve_million_images() -> None:
    last = stages(paper(1024))[-1]
    assert last.resolution == 1024 and last.stable == 9_600_000 and last.end == 12_000_000


def test_batches_and_rates_are_the_papers() -> None:
    plan = {s.resolution: s for s in stages(paper(1024))}
    batches = {4: 128, 8: 128, 16: 128, 32: 128, 64: 64, 128: 32, 256: 16, 512: 8, 1024: 4}
    assert {r: s.batch_size for r, s in plan.items()} == batches
    assert plan[512].learning_rate == 0.001 and plan[1024].learning_rate == 0.0015


def test_a_fade_in_starts_at_zero_is_half_in_its_middle_and_one_at_its_end() -> None:
    plan = stages(paper())
    assert phase_at(600_000, plan).fade == 0.0
    assert phase_at(900_000, plan).fade == 0.5
    assert phase_at(1_200_000, plan).fade == 1.0
    assert phase_at(1_199_999, plan).fade < 1.0


def test_the_smallest_resolution_has_no_fade_in() -> None:
    plan = stages(paper())
    assert phase_at(0, plan).resolution == 4 and phase_at(0, plan).fade == 1.0


def test_past_the_end_the_last_phase_stays() -> None:
    plan = stages(paper())
    assert phase_at(99_000_000, plan).resolution == 256


def test_without_phase_lengths_the_growing_share_is_divided_equally() -> None:
    plan = stages(small(1000, growing_share=0.8))
    assert [(s.first, s.stable, s.end) for s in plan] == [(0, 0, 200), (200, 400, 600), (600, 800, 1000)]


def test_a_shorter_total_shortens_every_phase_of_a_shared_schedule() -> None:
    assert [s.resolution for s in stages(small(60))] == [4, 8, 16]


def test_a_total_below_the_phases_ends_early() -> None:
    settings = paper().model_copy(update={"total_images": 1_000_000})
    plan = stages(settings)
    assert [s.resolution for s in plan] == [4, 8] and plan[-1].end == 1_000_000


@given(total=st.integers(5, 10**7), share=st.floats(0.05, 1.0), seen=st.integers(0, 10**7))
def test_every_image_falls_in_one_stage_and_resolutions_never_fall(total: int, share: float, seen: int) -> None:
    plan = stages(small(total, share))
    assert plan[0].first == 0 and plan[-1].end == total
    assert all(a.end == b.first for a, b in pairwise(plan))
    now, later = phase_at(seen, plan), phase_at(seen + 1, plan)
    assert later.resolution >= now.resolution and 0 <= now.fade <= 1
    assert stage_at(seen, plan).resolution == now.resolution


def test_a_batch_missing_for_a_resolution_is_named() -> None:
    with pytest.raises(ValueError, match="'batch_size' has no entry for 16"):
        ProganSettings(resolution=16, channels={4: 4, 8: 4, 16: 4}, batch_size={4: 4, 8: 4})
