import math

import pytest
import torch
import torch.nn.functional as F

from radcommons.models.layers import (
    EqualisedConv,
    EqualisedLinear,
    downsample,
    minibatch_stddev,
    pixel_norm,
    upsample,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_equalised_linear_scales_its_weights_by_gain_over_root_inputs() -> None:
    layer = EqualisedLinear(4, 1, gain=3.0)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.fill_(0.5)
    assert layer(torch.ones(1, 4)).item() == pytest.approx(4 * 3.0 / math.sqrt(4) + 0.5)


def test_equalised_convolution_counts_kernel_pixels_as_inputs() -> None:
    layer = EqualisedConv(2, 1, kernel=3, gain=math.sqrt(2))
    with torch.no_grad():
        layer.weight.fill_(1.0)
    centre = layer(torch.ones(1, 2, 3, 3))[0, 0, 1, 1].item()
    assert centre == pytest.approx(18 * math.sqrt(2) / math.sqrt(18))


def test_equalised_weights_start_standard_normal_and_biases_zero() -> None:
    layer = EqualisedConv(64, 64)
    assert layer.weight.std().item() == pytest.approx(1, abs=0.02)
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.02)
    assert torch.count_nonzero(layer.bias) == 0


def test_equalised_convolution_keeps_the_variance_of_rectified_inputs() -> None:
    x = torch.randn(8, 64, 16, 16)
    out = EqualisedConv(64, 64)(F.relu(x))[:, :, 1:-1, 1:-1]
    assert out.square().mean().item() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(("scaling", "side"), [({"up": 2}, 16), ({"down": 2}, 4)])
def test_folded_layers_scale_and_bias_like_the_plain_one(scaling: dict[str, int], side: int) -> None:
    folded = EqualisedConv(3, 4, **scaling)
    with torch.no_grad():
        folded.bias.normal_()
    x = torch.randn(2, 3, 8, 8)
    weight = folded.weight * math.sqrt(2) / math.sqrt(27)
    if side == 16:
        plain = F.conv2d(upsample(x), weight, folded.bias, padding=1)
    else:
        plain = F.avg_pool2d(F.conv2d(x, weight, folded.bias, padding=1), 2)
    assert plain.shape[-1] == side
    torch.testing.assert_close(folded(x), plain, rtol=1e-4, atol=1e-5)


def test_pixel_norm_by_hand() -> None:
    x = torch.tensor([[[[3.0]], [[4.0]]]])  # one pixel, two features: root mean square sqrt(12.5)
    expected = torch.tensor([[[[3.0]], [[4.0]]]]) / math.sqrt(12.5)
    torch.testing.assert_close(pixel_norm(x), expected)


def test_pixel_norm_of_zero_is_zero_not_nan() -> None:
    assert torch.equal(pixel_norm(torch.zeros(1, 3, 2, 2)), torch.zeros(1, 3, 2, 2))


def test_minibatch_stddev_by_hand() -> None:
    x = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2)  # population deviation 1
    out = minibatch_stddev(x)
    assert out.shape == (2, 2, 2, 2)
    torch.testing.assert_close(out[:, 1], torch.ones(2, 2, 2))
    assert torch.equal(out[:, :1], x)


def test_minibatch_stddev_groups_every_second_image_of_eight() -> None:
    x = torch.zeros(8, 1, 1, 1)
    x[1::2] = torch.tensor([0.0, 2.0, 0.0, 2.0]).view(4, 1, 1, 1)
    deviations = minibatch_stddev(x)[:, 1].flatten()
    torch.testing.assert_close(deviations[1::2], torch.ones(4))
    torch.testing.assert_close(deviations[0::2], torch.full((4,), 1e-4))


def test_minibatch_stddev_sees_a_collapsed_batch() -> None:
    varied = torch.randn(4, 3, 4, 4)
    collapsed = varied[:1].expand(4, -1, -1, -1)
    assert minibatch_stddev(collapsed)[0, -1, 0, 0] < 1e-3 < minibatch_stddev(varied)[0, -1, 0, 0]


def test_minibatch_stddev_of_a_batch_that_four_does_not_divide_takes_the_next_divisor() -> None:
    x = torch.arange(6.0).view(6, 1, 1, 1)
    deviations = minibatch_stddev(x)[:, 1].flatten()  # groups of 3: {0, 2, 4} and {1, 3, 5}
    torch.testing.assert_close(deviations, torch.full((6,), math.sqrt(8 / 3)))


def test_downsampling_undoes_upsampling() -> None:
    x = torch.randn(2, 1, 4, 4)
    torch.testing.assert_close(downsample(upsample(x)), x)
