"""A classifier survives its disk, refuses what is damaged, and scores the same however it is asked."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from radcommons.errors import BadInput, ClassifierRefused, PathMissing
from radcommons.models.classifier import ClassifierConfig, ClassifierNetwork, resized
from radcommons.models.classifier_files import Classifier, load_classifier_patients, save_classifier
from radcommons.records import ClassifierPatients, PatientsRecord

FINDINGS = ("Effusion", "Nodule")
THRESHOLDS: Mapping[str, Sequence[float]] = {"youden": (0.3, 0.6), "closest to corner": (0.4, 0.5)}


@pytest.fixture(scope="module")
def network() -> ClassifierNetwork:
    torch.manual_seed(0)
    network = ClassifierNetwork(ClassifierConfig(network="densenet-small", side=32, findings=2))
    with torch.no_grad():
        for _ in range(3):  # batch norms that have seen something
            network.train()(torch.rand(16, 1, 32, 32) * 255)
    return network.eval()


@pytest.fixture
def folder(network: ClassifierNetwork, tmp_path: Path) -> Path:
    return write(network, tmp_path / "run" / "classifier")


def write(network: ClassifierNetwork, folder: Path, *, images_seen: int = 640) -> Path:
    save_classifier(
        folder,
        network,
        name="site-a (train)",
        findings=FINDINGS,
        images_seen=images_seen,
        validation_loss=0.5,
        thresholds=THRESHOLDS,
    )
    return folder


def films(count: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, side, side), np.uint8)


def test_a_run_and_its_classifier_folder_open_as_what_was_saved(network: ClassifierNetwork, folder: Path) -> None:
    for reference in (folder, folder.parent):
        found = Classifier.load(reference, device="cpu")
        assert (found.findings, found.side) == (FINDINGS, 32)
        assert found.record.thresholds == THRESHOLDS and found.record.images_seen == 640
        state = found.network.state_dict()
        assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    assert sorted(path.name for path in folder.iterdir()) == ["classifier.safetensors", "config.json"]


def test_saving_again_replaces_the_classifier_and_leaves_nothing_behind(
    network: ClassifierNetwork, folder: Path
) -> None:
    (folder.parent / "classifier.partial").mkdir()  # of a killed process
    write(network, folder, images_seen=1280)
    assert Classifier.load(folder).record.images_seen == 1280
    assert [path.name for path in folder.parent.iterdir()] == ["classifier"]


def test_scores_are_the_networks_own_in_the_order_of_the_rows(network: ClassifierNetwork, folder: Path) -> None:
    images, rows = films(40), np.array([39, 0, 7, 7])
    classifier = Classifier.load(folder, device="cpu")
    with torch.inference_mode():
        expected = network(torch.from_numpy(images).unsqueeze(1).float()).sigmoid().numpy()
    scores = classifier.scores(images)
    assert scores.dtype == np.float32 and scores.std() > 0.001
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(classifier.scores(images, rows=rows), scores[rows], rtol=1e-5)
    np.testing.assert_allclose(1 / (1 + np.exp(-classifier.logits(images))), scores, rtol=1e-5)
    assert classifier.scores(images[:0]).shape == (0, 2)


def test_two_threads_score_what_one_does(folder: Path) -> None:
    classifier, images = Classifier.load(folder, device="cpu"), films(70)
    alone = classifier.scores(images)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert np.array_equal(classifier.scores(images), alone)
    finally:
        torch.set_num_threads(before)


def test_films_of_another_side_are_resized(folder: Path) -> None:
    classifier, images = Classifier.load(folder, device="cpu"), films(3, side=64)
    small = resized(torch.from_numpy(images).unsqueeze(1).float(), 32)
    with torch.inference_mode():
        np.testing.assert_allclose(classifier.logits(images), classifier.network(small).numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "images", [np.zeros((2, 32, 32)), np.zeros((2, 32, 30), np.uint8), np.zeros((32, 32), np.uint8)]
)
def test_anything_but_square_grey_bytes_is_refused(images: np.ndarray, folder: Path) -> None:
    with pytest.raises(BadInput, match=r"scores need uint8 \(n, R, R\)"):
        Classifier.load(folder, device="cpu").scores(images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "progan"}, "holds a progan, not a classifier; name a run of 'classify train'"),
        ({"format_version": 99}, "is of format version 99, this radcommons reads 1; update radcommons"),
        ({"network": {"network": "resnet", "side": 32, "findings": 2}}, r"config.json: 'network' is 'resnet'"),
        ({"network": {"network": "densenet-121", "side": 32, "findings": 2}}, "not the file that config.json names"),
        ({"findings": ["Effusion", "Nodule", "Mass"], "thresholds": {}}, "not the file that config.json names"),
        ({"thresholds": {"youden": [0.5]}}, "config.json is damaged; train the classifier again"),
        ({"weights_sha256": "0" * 64}, "classifier.safetensors is missing or not the file that config.json names"),
    ],
)
def test_a_record_that_does_not_fit_is_refused_in_one_line(
    change: dict[str, object], message: str, folder: Path
) -> None:
    record = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**record, **change}))
    with pytest.raises(ClassifierRefused, match=message) as caught:
        Classifier.load(folder)
    assert "\n" not in str(caught.value)


def test_a_list_of_patients_that_cannot_be_read_is_one_line_and_never_an_empty_list(folder: Path) -> None:
    assert load_classifier_patients(folder.parent) == ()
    patients = ClassifierPatients(
        stores=(PatientsRecord(salt="0a" * 16, source="nih", key_fingerprint=None, hashes=()),)
    )
    text = patients.to_json()
    (folder / "patients.json").write_text(text)
    assert load_classifier_patients(folder.parent) == patients.stores
    for content, said in (
        ("{", "damaged; train the classifier again"),
        (text.replace("0a" * 16, "0a"), "damaged; train the classifier again"),
        (
            text.replace('"format_version": 1', '"format_version": 99', 1),
            "of format version 99, this radcommons reads 1",
        ),
        (text.replace('    "format_version": 1', '    "format_version": 99'), "of format version 99"),
    ):
        (folder / "patients.json").write_text(content)
        with pytest.raises(ClassifierRefused, match=rf"patients\.json is {said}"):
            load_classifier_patients(folder.parent)


def test_missing_and_damaged_files_say_what_to_do(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        PathMissing, match="nowhere is not a folder; make a classifier with 'radcommons classify train'"
    ):
        Classifier.load(tmp_path / "nowhere")
    with pytest.raises(ClassifierRefused, match=r"holds no classifier \(no config.json\)"):
        Classifier.load(tmp_path)
    weights = folder / "classifier.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(ClassifierRefused, match="is missing or not the file that config.json names; train it again"):
        Classifier.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ClassifierRefused, match="config.json is damaged"):
        Classifier.load(folder)
