import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from radcommons.errors import SettingRefused, WeightsUnavailable
from radcommons.extractors import extract, load_extractor
from radcommons.extractors.xrayvision import scale, state_digest


def stand_in(monkeypatch: pytest.MonkeyPatch, *, fails: Exception | None = None) -> nn.Module:
    """A package named torchxrayvision whose network keeps the mean of the film in 1024 channels."""
    model = nn.Module()
    model.features = nn.Sequential(nn.Conv2d(1, 1024, 1), nn.AvgPool2d(32))
    nn.init.ones_(model.features[0].weight)
    nn.init.zeros_(model.features[0].bias)

    def densenet(weights: str) -> nn.Module:
        sys.stdout.write(f"Downloading {weights}\n")
        if fails:
            raise fails
        return model

    package = ModuleType("torchxrayvision")
    package.models = SimpleNamespace(DenseNet=densenet)
    monkeypatch.setitem(sys.modules, "torchxrayvision", package)
    return model


def test_torchxrayvision_sees_films_from_minus_to_plus_1024(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = stand_in(monkeypatch)
    extractor = load_extractor("torchxrayvision")
    films = np.stack([np.full((64, 64), grey, np.uint8) for grey in (0, 204, 255)])
    values = extract(extractor, films).values
    assert values.shape == (3, 1024)
    assert values[:, 0].tolist() == pytest.approx([0, 0.6 * 1024, 1024]), "a ReLU ends the features"
    assert extractor.record.digest == state_digest(model)
    assert capsys.readouterr().out == "", "stdout is for results"
    assert scale(torch.tensor([0.0, 255.0])).tolist() == [-1024, 1024]


def test_the_digest_of_a_module_changes_with_one_weight() -> None:
    layer = nn.Linear(2, 2)
    before = state_digest(layer)
    assert state_digest(layer) == before
    with torch.no_grad():
        layer.bias[1] += 1
    assert state_digest(layer) != before


def test_torchxrayvision_not_installed_or_without_weights_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchxrayvision", None)
    with pytest.raises(WeightsUnavailable, match="needs the package torchxrayvision, which cannot be imported"):
        load_extractor("torchxrayvision")
    stand_in(monkeypatch, fails=OSError("no\nnetwork"))
    with pytest.raises(WeightsUnavailable, match=r"cannot fetch its weights densenet121-res224-all \(no network\)"):
        load_extractor("torchxrayvision")
    with pytest.raises(SettingRefused, match="brings its own weights"):
        load_extractor("torchxrayvision", weights=Path("some.pth"))
