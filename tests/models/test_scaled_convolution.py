import pytest
import torch
import torch.nn.functional as F

from radcommons.models.layers import upsample
from radcommons.models.scaled_convolution import fold, fold_adjoint

SCALINGS = [(1, 1), (2, 1), (1, 2)]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_folded_upsampling_equals_doubling_then_convolving() -> None:
    weight, x = torch.randn(5, 3, 3, 3, dtype=torch.float64), torch.randn(2, 3, 6, 6, dtype=torch.float64)
    plain = F.conv2d(upsample(x), weight, padding=1)
    folded = F.conv_transpose2d(x, fold(weight, up=2, down=1), stride=2, padding=1)
    torch.testing.assert_close(folded, plain, rtol=0, atol=1e-12)


def test_folded_downsampling_equals_convolving_then_averaging() -> None:
    weight, x = torch.randn(5, 3, 3, 3, dtype=torch.float64), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    plain = F.avg_pool2d(F.conv2d(x, weight, padding=1), 2)
    folded = F.conv2d(x, fold(weight, up=1, down=2), stride=2, padding=1)
    torch.testing.assert_close(folded, plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("up", "down"), SCALINGS)
def test_the_folds_adjoint_is_its_adjoint(up: int, down: int) -> None:
    weight = torch.randn(5, 4, 3, 3, dtype=torch.float64)
    folded = fold(weight, up=up, down=down)
    other = torch.randn_like(folded)
    assert (folded * other).sum().item() == pytest.approx((weight * fold_adjoint(other, up=up, down=down)).sum().item())
