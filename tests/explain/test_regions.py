from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from radcommons.errors import FindingUnknown, SettingRefused, StoreRefused
from radcommons.explain.difference import measure
from radcommons.explain.regions import NO_REGIONS, Regions, read_regions, score
from radcommons.metrics.localisation import body_mask

EFFUSION, HEART = ("Effusion",), ("Cardiomegaly",)


def scored(generator, regions: Regions, chosen=EFFUSION):
    known = {chosen: heat} if (heat := regions.of(chosen)) is not None else {}
    with TemporaryDirectory() as folder:
        (change,) = measure(generator, [chosen], n=40, seed=3, smoothing=0, heats=known, kept=Path(folder))
    return score(change, regions, body_mask(change.healthy), rng=np.random.default_rng(0))


def test_a_finding_painted_in_its_place_scores_1_and_its_controls_do_not(painter, heats) -> None:
    found = scored(painter({"Effusion": 40 * heats["Effusion"]}), Regions("truth", heats, {}))
    assert found.auroc == 1.0 and found.gain == 1.0 and found.points_inside
    assert found.auroc_moved < 0.7 and found.moves_as_high == 0 and found.auroc_others < 0.9
    assert found.change_inside.low > found.change_outside.high


def test_painted_elsewhere_it_scores_lower(painter, heats) -> None:
    elsewhere = np.roll(heats["Effusion"], (-6, 0), axis=(0, 1))
    found = scored(painter({"Effusion": 40 * elsewhere}), Regions("truth", heats, {}))
    assert found.auroc < 0.6 and not found.points_inside and found.moves_as_high > 0.1


def test_a_shuffled_mask_scores_lower_than_the_true_one(painter, heats) -> None:
    generator = painter({"Effusion": 40 * heats["Effusion"]})
    shuffled = np.random.default_rng(0).permuted(heats["Effusion"].ravel()).reshape(16, 16)
    true, false = (
        scored(generator, Regions("truth", {"Effusion": heat}, {})) for heat in (heats["Effusion"], shuffled)
    )
    assert true.auroc == 1.0 and false.auroc < 0.7


def test_the_exposure_of_the_whole_film_hides_the_place_but_not_the_gain(painter, heats) -> None:
    darker = {"Effusion": 20 * heats["Effusion"] - 12}
    found = scored(painter(darker), Regions("truth", heats, {}))
    assert found.auroc < 0.5 and found.gain > 0.9 and found.moves_as_far <= 0.05


def test_findings_together_sit_where_either_sits(heats) -> None:
    both = Regions("truth", heats, {}).of(("Effusion", "Cardiomegaly"))
    assert both.max() == 1.0
    for name in ("Effusion", "Cardiomegaly"):
        assert (both >= heats[name] / heats[name].max()).all()
    assert Regions("truth", {"Effusion": heats["Effusion"]}, {}).of(("Effusion", "Cardiomegaly")) is None


def test_nothing_to_score_without_a_change_or_a_region(painter, heats) -> None:
    assert scored(painter({}), Regions("truth", heats, {})) is None
    assert scored(painter({"Effusion": 40 * heats["Effusion"]}), NO_REGIONS) is None
    whole = {"Effusion": np.ones((16, 16))}
    assert scored(painter({"Effusion": 40 * heats["Effusion"]}), Regions("truth", whole, {})) is None


def test_regions_come_from_a_phantom_or_from_boxes(painter, phantom_store, tmp_path) -> None:
    generator = painter({})
    truth = read_regions(generator, [EFFUSION], store=phantom_store.path, boxes=None)
    assert truth.heats["Effusion"].shape == (16, 16) and not truth.cases
    path = tmp_path / "boxes.csv"
    path.write_text("image,finding,x,y,w,h\na,Effusion,0,0,512,512\nb,Effusion,0,0,64,64\n")
    listed = read_regions(generator, [EFFUSION], store=None, boxes=path)
    assert listed.cases == {"Effusion": 2} and listed.heats["Effusion"][0, 0] == 1
    assert read_regions(generator, [EFFUSION], store=None, boxes=None) is NO_REGIONS


def test_bad_sources_are_refused_with_the_next_step(painter, phantom_store, tmp_path) -> None:
    generator = painter({})
    path = tmp_path / "boxes.csv"
    path.write_text("image,finding,x,y,w,h\na,Effusion,0,0,512,512\na,Hernia,0,0,512,512\n")
    with pytest.raises(FindingUnknown, match="does not say where Cardiomegaly sits; .* both know Effusion$"):
        read_regions(generator, [HEART], store=None, boxes=path)
    with pytest.raises(SettingRefused, match="exclude each other"):
        read_regions(generator, [HEART], store=phantom_store.path, boxes=path)
    (phantom_store.path / "truth.npz").rename(tmp_path / "truth.npz")
    try:
        with pytest.raises(StoreRefused, match="not a simulated hospital"):
            read_regions(generator, [HEART], store=phantom_store.path, boxes=None)
    finally:
        (tmp_path / "truth.npz").rename(phantom_store.path / "truth.npz")
