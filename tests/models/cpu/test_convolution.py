"""Every form of the networks' convolutions against the plain one in float64."""

import numba
import pytest
import torch
import torch.nn.functional as F

from radcommons.models import cpu
from radcommons.models.cpu import compiled, convolution, input_gradients_only, winograd
from radcommons.models.families.progan import Critic, GeneratorNetwork, ProganConfig, forward_flops
from radcommons.models.layers import EqualisedConv, downsample, unchanging, upsample

SCALINGS = [(1, 1), (2, 1), (1, 2)]
FORMS = {"folded": 5, "winograd": 64}  # channels that choose the form
WIDE = ProganConfig(resolution=32, channels={4: 64, 8: 64, 16: 64, 32: 32}, latent_size=8, findings=3)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def plain(x: torch.Tensor, weight: torch.Tensor, up: int, down: int) -> torch.Tensor:
    y = F.conv2d(upsample(x) if up == 2 else x, weight, padding=1)
    return downsample(y) if down == 2 else y


def close(ours: torch.Tensor, reference: torch.Tensor, tolerance: float = 5e-6) -> None:
    """The greatest difference, as a part of the greatest value."""
    assert ours.shape == reference.shape
    assert (ours - reference).abs().max() <= tolerance * reference.abs().max()


@pytest.mark.parametrize(("up", "down"), SCALINGS)
@pytest.mark.parametrize(("n", "inputs", "outputs", "height", "width"), [(3, 8, 5, 8, 12), (1, 40, 33, 16, 16)])
def test_winograds_three_forms_equal_the_plain_convolution_and_its_derivatives(
    up: int, down: int, n: int, inputs: int, outputs: int, height: int, width: int
) -> None:
    x = torch.randn(n, inputs, height // up, width // up)
    weight = torch.randn(outputs, inputs, 3, 3)
    gradient = torch.randn(n, outputs, height // down, width // down)
    exact_x, exact_weight = x.double().requires_grad_(), weight.double().requires_grad_()
    y = plain(exact_x, 0.5 * exact_weight, up, down)
    towards_x, towards_weight = torch.autograd.grad(y, (exact_x, exact_weight), gradient.double())
    transformed = winograd.transform_weight(weight, 0.5)
    close(winograd.forward(x, transformed, None, up, down), y)
    close(winograd.towards_input(gradient, transformed, up, down), towards_x)
    close(winograd.towards_weight(x, gradient, up, down, 0.5), towards_weight)


def test_winograds_form_works_in_blocks_of_tile_rows_over_several_images() -> None:
    x, weight = torch.randn(3, 4, 68, 44), torch.randn(6, 4, 3, 3)  # 11 tiles a row: blocks of 11 rows of 51
    close(
        winograd.forward(x, winograd.transform_weight(weight, 1.0), None, 1, 1),
        plain(x.double(), weight.double(), 1, 1),
    )


@pytest.mark.parametrize(("up", "down"), SCALINGS)
@pytest.mark.parametrize("form", FORMS)
def test_a_layers_second_derivatives_equal_those_in_float64(form: str, up: int, down: int) -> None:
    """A gradient penalty: the derivative, by weight and image, of a norm of a derivative by the image."""
    layer = EqualisedConv(FORMS[form], FORMS[form] + 3, up=up, down=down, leak=0.2)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(3, FORMS[form], 8 // up, 16 // up)
    assert layer._kernel_for(x).winograd == (form == "winograd")

    def everything(dtype: torch.dtype) -> list[torch.Tensor]:
        copy = EqualisedConv(FORMS[form], FORMS[form] + 3, up=up, down=down, leak=0.2).to(dtype)
        copy.load_state_dict(layer.state_dict())
        image = x.to(dtype).requires_grad_()
        y = copy(image)
        score = (y * y.sigmoid()).sum()
        with input_gradients_only():
            (gradient,) = torch.autograd.grad(score, image, create_graph=True)
        penalty = (gradient.flatten(1).norm(dim=1) - 1).square().sum() + score
        return [y, gradient, *torch.autograd.grad(penalty, (image, copy.weight, copy.bias))]

    for ours, reference in zip(everything(torch.float32), everything(torch.float64), strict=True):
        close(ours, reference)


def test_where_only_the_image_counts_no_weight_gradient_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> torch.Tensor:
        raise AssertionError("computed")

    monkeypatch.setattr(convolution, "_towards_weight", never)
    layer, x = EqualisedConv(4, 4), torch.randn(1, 4, 8, 8, requires_grad=True)
    with input_gradients_only():
        torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    with pytest.raises(AssertionError, match="computed"):
        torch.autograd.grad(layer(x).sum(), x)


def test_a_third_derivative_that_no_loss_needs_is_refused_not_wrong() -> None:
    layer, x = EqualisedConv(4, 4), torch.randn(1, 4, 8, 8)
    (gradient,) = torch.autograd.grad(layer(x).square().sum(), layer.weight, create_graph=True)
    with pytest.raises(NotImplementedError):
        gradient.sum().backward()


def test_a_kept_kernel_is_made_once_and_forgotten_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    make = cpu.make_kernel
    monkeypatch.setattr(cpu, "make_kernel", lambda *a, **k: made.append(1) or make(*a, **k))
    layer, x = EqualisedConv(4, 4), torch.randn(1, 4, 8, 8)
    with unchanging(layer):
        before = layer(x)
        layer(x)
    assert len(made) == 1
    with torch.no_grad():
        layer.weight.mul_(2)
    close(layer(x), 2 * before)


@pytest.mark.parametrize("resolution", [4, 8, 16, 32])
@pytest.mark.parametrize("fade", [0.0, 0.3, 1.0])
def test_both_networks_equal_their_plain_form_at_every_resolution_and_fade(resolution: int, fade: float) -> None:
    """In float64 every layer takes the plain path."""
    generator, critic = GeneratorNetwork(WIDE), Critic(WIDE)
    for parameter in [*generator.parameters(), *critic.parameters()]:
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, std=0.2)
    latents, labels = torch.randn(4, 8), torch.rand(4, 3)
    images = generator(latents, labels, resolution, fade)
    scores, logits = critic(images, fade=fade)
    exact = generator.double()(latents.double(), labels.double(), resolution, fade)
    exact_scores, exact_logits = critic.double()(exact, fade=fade)
    close(images, exact, 2e-5)
    close(scores, exact_scores, 5e-5)
    close(logits, exact_logits, 5e-5)


def test_a_kernel_compiles_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    real = numba.njit

    def without_cache(*args: object, cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(*args, **options)

    monkeypatch.setattr(compiled.numba, "njit", without_cache)

    def double(x: float) -> float:
        return 2 * x

    assert compiled.kernel(double)(4.0) == 8.0


def test_the_plain_formulations_flops_are_the_known_ones() -> None:
    channels = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64}
    config = ProganConfig(resolution=256, channels=channels, findings=14)
    generator, critic = forward_flops(config, 64)
    assert 4 * generator + 14 * critic == pytest.approx(490e9, rel=0.01)
    assert forward_flops(config, 256)[0] == pytest.approx(56.3e9, rel=0.01)
