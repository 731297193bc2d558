"""DenseNet on grey levels, and ImageNet's weights in it."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from radcommons.errors import ClassifierRefused, PathMissing, WeightsUnavailable
from radcommons.models.classifier import (
    IMAGENET_WEIGHTS,
    MEAN,
    SD,
    ClassifierConfig,
    ClassifierNetwork,
    imagenet_state,
    resized,
    scaled,
    start_outputs,
)
from radcommons.models.weights import find_weights


def network_of(name: str = "densenet-small", *, side: int = 32, findings: int = 3, seed: int = 0) -> ClassifierNetwork:
    torch.manual_seed(seed)
    config = ClassifierConfig.parse({"network": name, "side": side, "findings": findings}, source="test")
    return ClassifierNetwork(config).eval()


@pytest.fixture(scope="module")
def colour() -> torch.nn.Module:
    """MONAI's DenseNet-121 for three colours, with batch norms that have seen something."""
    from monai.networks.nets.densenet import DenseNet121

    torch.manual_seed(1)
    network = DenseNet121(spatial_dims=2, in_channels=3, out_channels=1000)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return network.eval()


def published(colour: torch.nn.Module, *, dotted: bool) -> dict[str, Tensor]:
    """Its state under torchvision's names: `dotted` as in the file of 2017, else as in the networks of today."""
    state = {}
    for name, value in colour.state_dict().items():
        if name.startswith("class_layers.out."):
            state[name.replace("class_layers.out", "classifier")] = value
        elif not (dotted and name.endswith("num_batches_tracked")):
            form = r"\1.\2" if dotted else r"\1\2"
            state[re.sub(r"layers\.(norm|conv)([12])", form, name)] = value
    return state


@pytest.mark.parametrize("dotted", [True, False])
def test_a_grey_film_has_the_features_of_three_equal_colours(colour: torch.nn.Module, dotted: bool) -> None:
    state = published(colour, dotted=dotted)
    assert ("features.denseblock1.denselayer1.norm.1.weight" in state) is dotted
    grey = network_of("densenet-121", side=64)
    grey.load_state_dict(imagenet_state(state, grey))
    film = torch.rand(2, 1, 64, 64) * 255
    with torch.inference_mode():
        expected = colour.features(((film / 255 - MEAN) / SD).repeat(1, 3, 1, 1)).relu().mean((2, 3))
        found = grey.features(film)
    assert expected.std() > 0.01, "the features say something"
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_last_layer_keeps_its_own_weights(colour: torch.nn.Module) -> None:
    grey = network_of("densenet-121", side=64)
    state = imagenet_state(published(colour, dotted=True), grey)
    assert state["densenet.class_layers.out.weight"].shape == (3, 1024)
    assert torch.equal(state["densenet.class_layers.out.weight"], grey.state_dict()["densenet.class_layers.out.weight"])
    assert state["densenet.features.conv0.weight"].shape == (64, 1, 7, 7)


def test_weights_of_another_network_are_refused(colour: torch.nn.Module) -> None:
    with pytest.raises(ClassifierRefused, match="ImageNet weights are of densenet-121, not of densenet-small"):
        imagenet_state(published(colour, dotted=True), network_of())
    grey = network_of("densenet-121", side=64)
    lacking = published(colour, dotted=True)
    del lacking["features.norm5.bias"]
    other = {**published(colour, dotted=True), "features.conv0.weight": torch.zeros(96, 3, 7, 7)}
    for state in (lacking, other, {}):
        with pytest.raises(ClassifierRefused, match="does not hold the weights of torchvision's DenseNet-121"):
            imagenet_state(state, grey)


def test_weights_that_cannot_be_had_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setenv("RADCOMMONS_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(WeightsUnavailable, match=r"densenet121-a639ec97\.pth.*could not be fetched \(Network is unr"):
        find_weights(IMAGENET_WEIGHTS)
    (tmp_path / "other.pth").write_bytes(b"other")
    with pytest.raises(WeightsUnavailable, match="not the ImageNet weights of DenseNet-121: its sha256 begins with"):
        find_weights(IMAGENET_WEIGHTS, tmp_path / "other.pth")
    with pytest.raises(PathMissing, match=r"nowhere\.pth is not a file; give densenet121-a639ec97\.pth"):
        find_weights(IMAGENET_WEIGHTS, tmp_path / "nowhere.pth")


@pytest.mark.parametrize(("name", "side"), [("densenet-small", 32), ("densenet-small", 50), ("densenet-121", 32)])
def test_a_film_of_any_allowed_side_gives_a_logit_a_finding(name: str, side: int) -> None:
    network = network_of(name, side=side, findings=5)
    with torch.inference_mode():
        assert network(torch.rand(2, 1, side, side) * 255).shape == (2, 5)


def test_the_small_network_has_a_twentieth_of_the_parameters() -> None:
    large, small = (sum(p.numel() for p in network_of(n).parameters()) for n in ("densenet-121", "densenet-small"))
    assert 6.9e6 < large < 7.1e6, "8 million less the layer of 1,000 classes"
    assert large / small == pytest.approx(20, rel=0.3)


def test_logits_are_the_last_layer_on_the_features() -> None:
    network, film = network_of(), torch.rand(3, 1, 32, 32) * 255
    last = network.get_submodule("densenet.class_layers.out")
    with torch.inference_mode():
        torch.testing.assert_close(last(network.features(film)), network(film))


def test_outputs_start_from_the_prevalence() -> None:
    network = network_of(findings=2)
    last = network.get_submodule("densenet.class_layers.out")
    assert isinstance(last, torch.nn.Linear)
    start_outputs(network, torch.tensor([0.05, 1.0]))
    torch.testing.assert_close(last.bias.sigmoid().detach(), torch.tensor([0.05, 0.999]))


def test_grey_levels_are_scaled_as_pretraining_saw_them() -> None:
    assert scaled(torch.tensor(255 * MEAN)).item() == pytest.approx(0, abs=1e-6)
    assert (scaled(torch.tensor(255.0)) - scaled(torch.tensor(0.0))).item() == pytest.approx(1 / SD)


def test_resizing_averages_down_and_leaves_what_fits() -> None:
    film = torch.rand(2, 1, 64, 64) * 255
    assert resized(film, 64) is film
    assert resized(film, 32).mean() == pytest.approx(film.mean().item(), abs=0.5)
    checks = (torch.arange(64).view(-1, 1) + torch.arange(64)) % 2 * 255.0
    assert resized(checks.view(1, 1, 64, 64), 16).std() < 1, "no moire"
