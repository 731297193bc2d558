from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from radcommons.extractors.inception import (
    SIDE,
    Inception2015,
    Mixed,
    average_inside,
    build,
    scale,
)
from radcommons.models.folding import fold_batch_norms


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in Inception2015().state_dict().items()}


@pytest.fixture(scope="module")
def state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {name: seeded_tensor(name, shape) for name, shape in shapes.items()}


def seeded_tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    """Weights that keep activations in range, from a stream of the layer's name: no order of layers matters."""
    rng = np.random.default_rng(list(name.encode()))
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith(("running_var", "bn.weight")):
        values = rng.uniform(0.5, 1.5, shape)
    elif len(shape) == 4:
        values = rng.uniform(-1, 1, shape) * np.sqrt(6 / np.prod(shape[1:]))
    else:
        values = rng.uniform(-0.1, 0.1, shape)
    return torch.from_numpy(values).float()


def test_the_names_and_shapes_are_those_of_the_weights_file(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """94 convolutions with their batch norms and a classifier, as pytorch-fid's file holds them."""
    assert len(shapes) == 94 * 6 + 2
    facts = {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Conv2d_4a_3x3.bn.running_var": (192,),
        "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
        "Mixed_5d.branch3x3dbl_3.conv.weight": (96, 96, 3, 3),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6b.branch7x7_2.conv.weight": (128, 128, 1, 7),
        "Mixed_6b.branch7x7_3.conv.weight": (192, 128, 7, 1),
        "Mixed_6e.branch7x7dbl_2.conv.weight": (192, 192, 7, 1),
        "Mixed_6e.branch7x7dbl_5.conv.weight": (192, 192, 1, 7),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7b.branch3x3_2a.conv.weight": (384, 384, 1, 3),
        "Mixed_7b.branch3x3_2b.conv.weight": (384, 384, 3, 1),
        "Mixed_7c.branch3x3dbl_1.conv.weight": (448, 2048, 1, 1),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
        "fc.weight": (1008, 2048),
        "fc.bias": (1008,),
    }
    assert {name: shapes.get(name) for name in facts} == facts


def test_it_has_the_parameters_of_inception_v3_and_eight_more_classes() -> None:
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in Inception2015().parameters())
    of_torchvision = 23_834_568  # without the auxiliary classifier
    assert parameters == of_torchvision + 8 * (2048 + 1)


@pytest.fixture(scope="module")
def pattern() -> Tensor:
    """A picture and its negative, grey levels (2, 3, 299, 299)."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    grey = ((3 * y + 5 * x + y * x // 7) % 256).float()
    return torch.stack([grey, 255 - grey]).unsqueeze(1).expand(-1, 3, -1, -1)


def test_features_are_those_of_torch_fidelity_for_the_same_weights(
    state: Mapping[str, Tensor], pattern: Tensor
) -> None:
    """The golden values come from torch-fidelity 0.4.0 with these weights, which scales by (x - 128) / 128."""
    network = build(state)
    with torch.inference_mode():
        features = network((pattern - 128) / 128)
    assert features.shape == (2, 2048)
    assert features.mean(1).tolist() == pytest.approx([3.8169713, 3.5973997], rel=1e-4)
    assert features.norm(dim=1).tolist() == pytest.approx([297.4361267, 280.2008972], rel=1e-4)
    assert features[0, :4].tolist() == pytest.approx([3.3926747, 0.0, 0.9616271, 3.7650537], rel=1e-4)


def test_folding_the_batch_norms_changes_nothing(state: Mapping[str, Tensor], pattern: Tensor) -> None:
    plain, folded = build(state), build(state)
    fold_batch_norms(folded)
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.inference_mode():
        torch.testing.assert_close(folded(scale(pattern[:1])), plain(scale(pattern[:1])), rtol=1e-5, atol=1e-4)


def test_the_scale_is_minus_one_to_one() -> None:
    assert scale(torch.tensor([0.0, 127.5, 255.0])).tolist() == [-1.0, 0.0, 1.0]


def test_the_mean_at_the_border_leaves_the_padding_out() -> None:
    ones = torch.ones(1, 1, 4, 4)
    assert torch.equal(average_inside(ones), ones), "a mean over the padding too gives 4/9 in the corner"


def test_a_spot_spreads_by_its_ninth_through_an_average_and_whole_through_a_maximum() -> None:
    spot = torch.zeros(1, 1, 5, 5)
    spot[0, 0, 2, 2] = 9.0
    for kind, expected in (("average", 1.0), ("maximum", 9.0)):
        block = Mixed(1, pool=(kind, 1)).eval()
        nn.init.ones_(block.branch_pool.conv.weight)
        with torch.inference_mode():
            pooled = block(spot)
        assert pooled[0, 0, 1:4, 1:4].tolist() == pytest.approx(np.full((3, 3), expected), rel=1e-3)
        assert pooled.sum().item() == pytest.approx(9 * expected, rel=1e-3)


def test_only_the_last_block_pools_by_maximum() -> None:
    with torch.device("meta"):
        network = Inception2015()
    kinds = {name: block.pool and block.pool[0] for name, block in network.named_children() if "Mixed" in name}
    assert {name for name, kind in kinds.items() if kind == "maximum"} == {"Mixed_7c"}
    assert {name for name, kind in kinds.items() if kind is None} == {"Mixed_6a", "Mixed_7a"}, "they halve the image"
