"""Fast sampling against the network as it is trained."""

import numpy as np
import pytest
import torch

from radcommons.models.families import progan_sampler
from radcommons.models.families.progan import GeneratorNetwork, ProganConfig
from radcommons.models.families.progan_sampler import ProganSampler
from radcommons.models.grey_levels import to_bytes

CONFIG = ProganConfig(resolution=64, channels={4: 64, 8: 64, 16: 64, 32: 32, 64: 16}, latent_size=8, findings=3)


@pytest.fixture
def network() -> GeneratorNetwork:
    torch.manual_seed(1)
    network = GeneratorNetwork(CONFIG)
    for parameter in network.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return network.requires_grad_(False)


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(3, 8), torch.rand(3, 3)


def grown(network: GeneratorNetwork, resolution: int, fade: float) -> GeneratorNetwork:
    """The same network at a stage of its growth."""
    network.config = CONFIG.model_copy(update={"grown_to": resolution, "fade": fade})
    return network


def close(drawn: np.ndarray, reference: torch.Tensor) -> None:
    """Equal grey levels but where rounding falls the other way."""
    difference = np.abs(drawn.astype(int) - to_bytes(reference)[:, 0].numpy())
    assert difference.max() <= 1 and (difference == 1).mean() < 1e-3


@pytest.mark.parametrize("resolution", [4, 8, 16, 32, 64])
@pytest.mark.parametrize("fade", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("strip", [4, 6, 64])
def test_what_is_sampled_equals_the_training_form_at_every_resolution_and_fade(
    network: GeneratorNetwork,
    inputs: tuple[torch.Tensor, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
    resolution: int,
    fade: float,
    strip: int,
) -> None:
    monkeypatch.setattr(progan_sampler, "STRIPS_FROM", 16)
    monkeypatch.setattr(progan_sampler, "STRIP", strip)  # 6 does not divide a side: the last strip is shorter
    sampler = ProganSampler(grown(network, resolution, fade))
    assert bool(sampler.strips) == (resolution >= 16)
    drawn = sampler(*inputs)
    assert drawn.shape == (3, resolution, resolution) and drawn.dtype == np.uint8
    exact = GeneratorNetwork(CONFIG).double()
    exact.load_state_dict(network.state_dict())
    close(drawn, exact(inputs[0].double(), inputs[1].double(), resolution, fade))
    assert np.array_equal(sampler(*inputs), drawn), "sampling again gives the same"


def test_sampling_keeps_every_prepared_weight(
    network: GeneratorNetwork, inputs: tuple[torch.Tensor, torch.Tensor]
) -> None:
    ProganSampler(grown(network, 16, 1.0))(*inputs)
    assert network.block(16).conv._kernel is not None


@pytest.mark.slow
def test_at_a_strips_true_size_a_large_image_has_no_seam(inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.manual_seed(2)
    channels = {4: 8, 8: 8, 16: 8, 32: 8, 64: 8, 128: 64, 256: 64, 512: 16}
    large = GeneratorNetwork(ProganConfig(resolution=512, channels=channels, latent_size=8, findings=3))
    drawn = ProganSampler(large.requires_grad_(False))(inputs[0][:1], inputs[1][:1])
    close(drawn, large(inputs[0][:1], inputs[1][:1]))
