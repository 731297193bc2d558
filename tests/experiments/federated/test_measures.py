from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from radcommons.data.store import Store
from radcommons.errors import TooFewImages
from radcommons.experiments.federated.measures import Judge
from radcommons.experiments.federated.settings import FederatedExperimentSettings
from radcommons.extractors.extractor import Extractor
from radcommons.extractors.features import ExtractorRecord
from radcommons.resume import Kept

Make = Callable[..., FederatedExperimentSettings]


@pytest.fixture
def coarse() -> Extractor:
    """Mean grey levels of four quarters: an extractor of microseconds."""
    record = ExtractorRecord(name="quarters", digest="0", dimension=4, side=2, resize="averaged")
    prepare = torch.nn.AdaptiveAvgPool2d(2)
    return Extractor(record, prepare, lambda x: x.flatten(1), torch.device("cpu"))


@pytest.fixture
def judge(federated_settings: Make, hospital: Store, coarse: Extractor, tmp_path: Path) -> Judge:
    return Judge.open(federated_settings(), hospital, coarse, Kept(tmp_path / "kept"))


def test_held_out_films_are_none_of_the_training_part(judge: Judge, hospital: Store) -> None:
    training = {film.tobytes() for film in hospital.images(16)[hospital.rows("train")]}
    assert judge.count == 12 and not any(film.tobytes() in training for film in judge.held_out)
    assert all(film.tobytes() in training for film in judge.train)


def test_latent_vectors_depend_on_the_repeat_only(judge: Judge, generator: Path) -> None:
    first, second = judge.draw([generator], 0), judge.draw([generator], 0)
    assert np.array_equal(first, second) and not np.array_equal(first, judge.draw([generator], 1))
    assert np.array_equal(judge.draw([generator], 0, 8), first[:8])


def test_generators_of_a_pool_take_turns(judge: Judge, generator: Path, other_generator: Path) -> None:
    both = judge.draw([generator, other_generator], 0)
    assert np.array_equal(both[0::2], judge.draw([generator], 0)[0::2])
    assert np.array_equal(both[1::2], judge.draw([other_generator], 0)[1::2])


def test_a_generator_that_has_not_grown_is_measured_at_the_full_side(
    federated_settings: Make, hospital: Store, coarse: Extractor, generator: Path, tmp_path: Path
) -> None:
    train = {"resolution": 32, "channels": {4: 6, 8: 5, 16: 4, 32: 4}}
    judge = Judge.open(federated_settings(train=train), hospital, coarse, Kept(tmp_path / "kept"))
    images = judge.draw([generator], 0)
    assert images.shape == (24, 32, 32) and np.array_equal(images[:, ::2, ::2], images[:, 1::2, 1::2])


def test_a_point_is_measured_once_and_a_stop_keeps_what_is_done(judge: Judge, generator: Path, tmp_path: Path) -> None:
    def measure(stop: bool) -> object:
        return judge.measure(0, [48, 96], [[generator]] * 2, [None, 1.5], tmp_path / "measures", lambda: stop)

    assert measure(True) is None and len(list((tmp_path / "measures").iterdir())) == 1
    first = measure(False)
    written = [file.stat().st_mtime_ns for file in sorted((tmp_path / "measures").iterdir())]
    assert measure(False) == first and isinstance(first, list)
    assert [file.stat().st_mtime_ns for file in sorted((tmp_path / "measures").iterdir())] == written
    assert first[0].fid == first[1].fid and [one.own_critic for one in first] == [None, 1.5]


def test_training_films_are_nearer_than_a_generator_of_a_second(judge: Judge, generator: Path, tmp_path: Path) -> None:
    measured = judge.measure(0, [96], [[generator]], [None], tmp_path / "measures", lambda: False)
    assert measured is not None and judge.real().fid < measured[0].fid


def test_too_few_held_out_films_are_refused(
    federated_settings: Make, hospital: Store, coarse: Extractor, tmp_path: Path
) -> None:
    few = Store(hospital.path, hospital.record)
    few.__dict__["manifest"] = hospital.manifest.with_columns(
        split=hospital.manifest["split"].replace({"val": "train", "test": "train"})
    )
    with pytest.raises(TooFewImages, match="has 0 films outside its training part"):
        Judge.open(federated_settings(), few, coarse, Kept(tmp_path / "kept"))
