import pytest
import torch

from radcommons.models.layers import LEAK, leaky, leaky_pixel_norm, pixel_norm


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 40, 8, 8)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_fused_activation_and_norm_equal_the_two_operations(
    shape: tuple[int, ...], layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape).to(memory_format=layout).requires_grad_()
    exact = x.detach().double().requires_grad_()
    y, reference = leaky_pixel_norm(x), pixel_norm(leaky(exact))
    torch.testing.assert_close(y.double(), reference, rtol=1e-5, atol=1e-6)
    gradient = torch.randn(shape)
    (ours,) = torch.autograd.grad(y, x, gradient)
    (theirs,) = torch.autograd.grad(reference, exact, gradient.double())
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-6)


def test_the_fused_norm_by_hand() -> None:
    x = torch.tensor([3.0, -20.0]).view(1, 2, 1, 1)  # leaky: 3 and -4; root mean square sqrt(12.5)
    expected = torch.tensor([3.0, -20.0 * LEAK]).view(1, 2, 1, 1) / 12.5**0.5
    torch.testing.assert_close(leaky_pixel_norm(x), expected)


def test_the_fused_norm_of_zero_is_zero_not_nan() -> None:
    assert torch.equal(leaky_pixel_norm(torch.zeros(1, 3, 2, 2)), torch.zeros(1, 3, 2, 2))


def test_its_second_derivative_is_refused_not_wrong() -> None:
    x = torch.randn(1, 3, 2, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(leaky_pixel_norm(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.sum().backward()
