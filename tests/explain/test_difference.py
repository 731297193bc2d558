from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from radcommons.explain.difference import RunningSums, measure, smooth
from radcommons.explain.latents import draw_first

ALONE, BOTH = ("Effusion",), ("Effusion", "Cardiomegaly")


def measured(generator, sets=(ALONE,), n=40, smoothing=0.0, heats=None, kept=None):
    with TemporaryDirectory() as folder:
        kept = kept or Path(folder)
        return measure(generator, sets, n=n, seed=3, smoothing=smoothing, heats=heats or {}, kept=kept)


def test_a_map_is_what_the_label_paints_and_red_where_it_brightens(painter, heats) -> None:
    (change,) = measured(painter({"Effusion": 30 * heats["Effusion"]}))
    assert np.abs(change.mean - 30 * heats["Effusion"]).max() < 1  # rounding, and nothing else
    assert change.mean.max() > 5 and not change.collapsed


def test_the_mean_over_blocks_is_the_mean_over_all_pairs(painter, heats) -> None:
    generator = painter({"Effusion": 30 * heats["Effusion"]})
    assert generator.block_size < 150
    (change,) = measured(generator, n=150)
    healthy, ill = (draw_first(generator, c, 150, 3).astype(float) for c in ((), ALONE))
    difference = ill - healthy
    np.testing.assert_allclose(change.mean, difference.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(change.standard_error, difference.std(axis=0, ddof=1) / np.sqrt(150), atol=1e-6)
    np.testing.assert_allclose(change.healthy, healthy.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(change.rms, np.sqrt((difference**2).mean(axis=(1, 2))))


def test_findings_together_change_what_each_changes_alone(painter, heats) -> None:
    paint = {"Effusion": 20 * heats["Effusion"], "Cardiomegaly": 20 * heats["Cardiomegaly"]}
    effusion, heart, both = measured(painter(paint), sets=(ALONE, ("Cardiomegaly",), BOTH))
    assert np.abs(both.mean - effusion.mean - heart.mean).max() < 1.5


def test_a_label_without_effect_is_collapsed_and_so_is_one_below_the_rounding(painter) -> None:
    (nothing,) = measured(painter({}))
    assert nothing.collapsed and not nothing.rms.any() and not nothing.clear.any()
    (little,) = measured(painter({"Effusion": np.full((16, 16), 0.4)}), n=200)
    assert little.collapsed and little.rms.any()
    (enough,) = measured(painter({"Effusion": np.full((16, 16), 1.6)}), n=200)
    assert not enough.collapsed


def test_chance_is_not_clear_and_an_effect_is(painter) -> None:
    picture = np.zeros((16, 16))
    picture[:4] = 0.5  # of half a level: of any one film rounding hides it
    (change,) = measured(painter({"Effusion": picture}), n=400)
    assert change.clear[:4].all() and not change.clear[4:].any()


def test_one_pair_has_no_error_and_nothing_is_clear(painter, heats) -> None:
    (change,) = measured(painter({"Effusion": 30 * heats["Effusion"]}), n=1)
    assert np.isinf(change.standard_error).all() and not change.clear.any()


def test_smoothing_keeps_the_amount_and_spreads_it(painter) -> None:
    dot = np.zeros((16, 16))
    dot[8, 8] = 100
    generator = painter({"Effusion": dot})
    (raw,), (smoothed,) = measured(generator), measured(generator, smoothing=0.1)
    assert smoothed.mean.sum() == pytest.approx(raw.mean.sum(), rel=1e-3)
    assert smoothed.mean.max() < raw.mean.max() / 4
    assert np.array_equal(smooth(dot[None], 0), dot[None])


def test_the_change_inside_a_region_is_measured_apart(painter, heats) -> None:
    (change,) = measured(painter({"Effusion": 30 * heats["Effusion"]}), heats={ALONE: heats["Effusion"]})
    assert change.rms_inside.mean() > 9 > 1 > change.rms_outside.mean()


def test_the_map_does_not_depend_on_the_other_sets_beside_it(painter, heats) -> None:
    generator = painter({"Effusion": 30 * heats["Effusion"]})
    assert np.array_equal(measured(generator)[0].mean, measured(generator, sets=(BOTH, ALONE))[1].mean)


def test_a_killed_measurement_continues_to_the_same_numbers(painter, heats, tmp_path: Path, monkeypatch) -> None:
    generator = painter({"Effusion": 30 * heats["Effusion"]})
    (whole,) = measured(generator, n=200)
    kept, drawn = tmp_path / "kept", []
    monkeypatch.setattr("radcommons.explain.difference.SAVE_EVERY", -1.0)
    add = RunningSums.add

    def add_and_die(self, moments, rms):
        add(self, moments, rms)
        drawn.append(moments.count)
        if len(drawn) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunningSums, "add", add_and_die)
    with pytest.raises(KeyboardInterrupt):
        measured(generator, n=200, kept=kept)
    assert kept.is_dir()
    (again,) = measured(generator, n=200, kept=kept)
    assert sum(drawn) == 200  # nothing was drawn twice
    assert np.array_equal(again.mean, whole.mean) and np.array_equal(again.rms, whole.rms)
    monkeypatch.undo()
    (once_more,) = measured(generator, n=200, kept=kept)  # all of it is kept until the caller removes it
    assert sum(drawn) == 200 and np.array_equal(once_more.mean, whole.mean)


@pytest.mark.parametrize("content", [b"", b"damaged", b"PK\x03\x04"])
def test_a_damaged_file_or_one_of_another_request_is_not_continued(
    painter, heats, tmp_path: Path, content: bytes
) -> None:
    kept = tmp_path / "kept"
    measured(painter({"Effusion": 20 * heats["Effusion"]}), kept=kept)
    (change,) = measured(painter({"Effusion": 30 * heats["Effusion"]}))
    for left in (None, content):
        if left is not None:
            (kept / "sums.npz").write_bytes(left)
        (again,) = measured(painter({"Effusion": 30 * heats["Effusion"]}), kept=kept)
        assert np.array_equal(change.mean, again.mean)
