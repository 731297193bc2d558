import pytest
import torch

from radcommons.errors import SettingRefused
from radcommons.models.families.family import parameter_count, resolutions_up_to
from radcommons.models.families.progan import Critic, GeneratorNetwork, ProganConfig
from radcommons.models.layers import downsample, upsample

# paper.md section 1: parameters with 14 labels, one image channel, the 1x1 convolutions of every resolution included
PAPER_CHANNELS = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}
AUTHORS_CHANNELS = {**PAPER_CHANNELS, 512: 64, 1024: 32}
SMALL = ProganConfig(resolution=16, channels={4: 12, 8: 10, 16: 6}, latent_size=8, findings=3)


@pytest.mark.parametrize(
    ("resolution", "channels", "generator", "critic"),
    [
        (128, PAPER_CHANNELS, 23_043_206, 22_943_631),
        (256, PAPER_CHANNELS, 23_153_991, 23_054_543),
        (1024, PAPER_CHANNELS, 23_188_697, 23_089_343),
        (512, AUTHORS_CHANNELS, 23_227_912, 23_128_527),
        (1024, AUTHORS_CHANNELS, 23_255_657, 23_156_335),
    ],
)
def test_parameter_counts_equal_the_papers_table(
    resolution: int, channels: dict[int, int], generator: int, critic: int
) -> None:
    config = ProganConfig(resolution=resolution, channels=channels, findings=14)
    with torch.device("meta"):
        assert parameter_count(GeneratorNetwork(config)) == generator
        assert parameter_count(Critic(config)) == critic


@pytest.fixture
def generator() -> GeneratorNetwork:
    torch.manual_seed(1)
    return GeneratorNetwork(SMALL)


@pytest.fixture
def critic() -> Critic:
    torch.manual_seed(2)
    return Critic(SMALL)


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    return torch.randn(4, 8), torch.rand(4, 3)


@pytest.mark.parametrize("resolution", [8, 16])
def test_at_fade_zero_the_generator_draws_the_doubled_image_below(generator, inputs, resolution: int) -> None:
    below = generator(*inputs, resolution // 2)
    torch.testing.assert_close(generator(*inputs, resolution, 0.0), upsample(below))


@pytest.mark.parametrize("resolution", [8, 16])
def test_the_generators_fade_is_linear_between_its_ends(generator, inputs, resolution: int) -> None:
    ends = [generator(*inputs, resolution, fade) for fade in (0.0, 1.0)]
    torch.testing.assert_close(generator(*inputs, resolution, 0.25), 0.75 * ends[0] + 0.25 * ends[1])
    assert not torch.allclose(ends[0], ends[1])


@pytest.mark.parametrize("resolution", [8, 16])
def test_at_fade_zero_the_critic_judges_the_halved_image(critic, resolution: int) -> None:
    images = torch.randn(4, 1, resolution, resolution)
    for faded, below in zip(critic(images, fade=0.0), critic(downsample(images)), strict=True):
        torch.testing.assert_close(faded, below)


def test_at_fade_one_the_critic_ignores_the_head_below(critic) -> None:
    images = torch.randn(4, 1, 16, 16)
    before = critic(images, fade=1.0)[0]
    with torch.no_grad():
        critic.from_rgb["8"].weight.add_(1.0)
    assert torch.equal(critic(images, fade=1.0)[0], before)


def test_a_growing_generator_keeps_every_lower_image(generator, inputs) -> None:
    for resolution in (4, 8, 16):
        assert generator(*inputs, resolution).shape == (4, 1, resolution, resolution)
    before = generator(*inputs, 8)
    with torch.no_grad():
        generator.blocks["16"].conv.weight.add_(1.0)
    assert torch.equal(generator(*inputs, 8), before)


def test_the_label_changes_the_image_and_the_latents_length_does_not(generator, inputs) -> None:
    latents, labels = inputs
    assert not torch.allclose(generator(latents, labels, 16), generator(latents, 1 - labels, 16))
    # pixel norm acts on latent and label together: without labels, a longer latent is the same latent
    nothing = torch.zeros_like(labels)
    ours, longer = generator(latents, nothing, 16), generator(3 * latents, nothing, 16)
    torch.testing.assert_close(longer, ours, rtol=0, atol=1e-4)  # a hundredth of a grey level


def test_the_critic_gives_a_score_and_a_logit_a_finding(critic) -> None:
    scores, logits = critic(torch.randn(4, 1, 16, 16))
    assert scores.shape == (4,) and logits.shape == (4, 3)


def test_the_first_dense_layer_has_one_bias_a_channel(generator) -> None:
    assert generator.dense.bias.shape == (12,)


def test_the_ladder_goes_from_four_up() -> None:
    assert resolutions_up_to(64) == [4, 8, 16, 32, 64]


def test_a_missing_channel_count_is_named() -> None:
    with pytest.raises(SettingRefused, match="no entry for 16"):
        ProganConfig.parse({"resolution": 16, "channels": {4: 8, 8: 8}, "findings": 2}, source="net.json")


def test_a_side_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(SettingRefused, match="96: must be a power of two"):
        ProganConfig.parse({"resolution": 96, "channels": PAPER_CHANNELS, "findings": 2}, source="net.json")
