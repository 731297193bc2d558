import pytest
import torch

from radcommons.errors import SettingRefused
from radcommons.models.families.rgan import (
    Critic,
    GeneratorNetwork,
    RganConfig,
    centred,
    detail,
    forward_flops,
    latent_size,
)

SMALL = RganConfig(resolution=16, channels={4: 6, 8: 5, 16: 4}, style=7, noise=(8, 16), latent_size=327, findings=3)


def small(**changes: object) -> RganConfig:
    return RganConfig.model_validate({**SMALL.model_dump(), **changes})


@pytest.fixture
def generator() -> GeneratorNetwork:
    torch.manual_seed(1)
    network = GeneratorNetwork(SMALL)
    network.label_means.copy_(torch.tensor([0.1, 0.2, 0.5]))
    for weight in network.noise.values():
        torch.nn.init.normal_(weight)
    return network


@pytest.fixture
def critic() -> Critic:
    torch.manual_seed(2)
    network = Critic(SMALL)
    network.label_means.copy_(torch.tensor([0.1, 0.2, 0.5]))
    return network


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    return torch.randn(4, SMALL.latent_size), torch.rand(4, 3)


def test_shapes(generator, critic, inputs) -> None:
    images = generator(*inputs)
    scores, by_finding = critic(images, inputs[1])
    assert images.shape == (4, 1, 16, 16) and scores.shape == (4,) and by_finding.shape == (4, 3)


def test_an_unknown_label_counts_as_the_mean(generator, critic, inputs) -> None:
    latents, labels = inputs
    unknown, mean = labels.clone(), labels.clone()
    unknown[:, 1], mean[:, 1] = torch.nan, 0.2
    torch.testing.assert_close(generator(latents, unknown), generator(latents, mean))
    images = torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(critic(images, unknown)[0], critic(images, mean)[0])


def test_at_label_strength_zero_no_label_acts(generator, critic, inputs) -> None:
    latents, labels = inputs
    generator.config = critic.config = small(label_strength=0.0)
    assert torch.equal(generator(latents, labels), generator(latents, 1 - labels))
    images = torch.randn(4, 1, 16, 16)
    assert torch.equal(critic(images, labels)[0], critic(images, 1 - labels)[0])


def test_the_critics_score_is_linear_in_the_labels_with_the_slopes_that_it_returns(critic) -> None:
    images, labels = torch.randn(2, 1, 16, 16), torch.rand(2, 3)
    scores, slopes = critic(images, labels)
    moved, _ = critic(images, labels + torch.tensor([0.0, 0.3, 0.0]))
    torch.testing.assert_close(moved - scores, 0.3 * slopes[:, 1])


def test_every_image_is_judged_for_itself(critic) -> None:
    images, labels = torch.randn(6, 1, 16, 16), torch.rand(6, 3)
    together = critic(images, labels)[0]
    torch.testing.assert_close(
        together, torch.cat([critic(i[None], y[None])[0] for i, y in zip(images, labels, strict=True)])
    )


def test_a_noise_map_acts_where_its_pixel_is_and_the_style_everywhere(generator, inputs) -> None:
    latents, labels = inputs
    before = generator(latents, labels)
    with_noise, with_style = latents.clone(), latents.clone()
    with_noise[0, 7 + 64] += 3.0  # the map of 16 x 16, its first pixel
    with_style[0, 0] += 3.0
    moved = (generator(with_noise, labels) - before)[0, 0].abs() > 1e-6
    assert moved[:2, :2].any() and not moved[3:].any() and not moved[:, 3:].any()
    assert ((generator(with_style, labels) - before)[0, 0].abs() > 1e-6).float().mean() > 0.9


def test_the_critic_sees_which_pixels_are_not_of_the_film(critic) -> None:
    images, labels = torch.zeros(1, 1, 16, 16), torch.rand(1, 3)
    inside = torch.ones_like(images)
    torch.testing.assert_close(critic(images, labels)[0], critic(images, labels, inside)[0])
    inside[..., :4] = 0
    assert not torch.allclose(critic(images, labels)[0], critic(images, labels, inside)[0])


def test_the_bands_of_detail_and_the_widest_blur_add_up_to_the_film() -> None:
    film = torch.randn(2, 1, 32, 32)
    ramp = torch.linspace(-1, 1, 32).expand(2, 1, 32, 32)
    everywhere = torch.ones_like(film)
    bands = detail(film, everywhere)
    assert bands.shape == (2, 3, 32, 32)
    assert detail(0 * film + 0.7, everywhere).abs().max() < 1e-6, "a flat film has no detail"
    assert detail(ramp, everywhere)[:, 0, :, 2:-2].abs().max() < 1e-6, "nor has a ramp, away from the edges"
    coarse = film - bands.sum(dim=1, keepdim=True)
    assert coarse.std() < 0.2 * film.std()


def test_what_lies_outside_the_film_does_not_change_its_detail() -> None:
    inside = torch.ones(1, 1, 16, 16)
    inside[..., 10:] = 0
    film = torch.randn(1, 1, 16, 16) * inside
    assert torch.equal(detail(film, inside), detail(film + 9 * (1 - inside), inside))
    assert bool((detail(film, inside)[..., 10:] == 0).all())


def test_fresh_networks_keep_the_scale_of_their_inputs() -> None:
    torch.manual_seed(5)
    channels = dict.fromkeys((4, 8, 16, 32, 64, 128, 256), 32)
    config = RganConfig(resolution=256, channels=channels, style=64, latent_size=64, findings=2)
    labels = torch.zeros(8, 2)
    with torch.no_grad():
        images = GeneratorNetwork(config)(torch.randn(8, 64), labels)
        scores, _ = Critic(config)(torch.randn(8, 1, 256, 256), labels)
    assert 0.1 < images.std() < 10 and scores.abs().max() < 10


def test_centred_labels_by_hand() -> None:
    labels = torch.tensor([[1.0, torch.nan], [0.0, 0.5]])
    torch.testing.assert_close(centred(labels, torch.tensor([0.25, 0.5])), torch.tensor([[0.75, 0.0], [-0.25, 0.0]]))


def test_the_latent_vector_is_the_style_and_the_noise_maps() -> None:
    assert latent_size(64, ()) == 64 and latent_size(7, (8, 16)) == 327
    with pytest.raises(SettingRefused, match="'latent_size' is 7: 'style' and 'noise' make it another"):
        RganConfig.parse({**SMALL.model_dump(), "latent_size": 7}, source="config.json")


def test_a_noise_map_of_no_block_is_refused() -> None:
    with pytest.raises(SettingRefused, match="'noise' has 32: not a step on the way to 16"):
        RganConfig.parse({**SMALL.model_dump(), "noise": [32], "latent_size": 7 + 1024}, source="config.json")


def test_flops_by_hand() -> None:
    assert forward_flops(SMALL) == 36 * (16 * 36 + 64 * 25 + 256 * 16)
