from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from radcommons.extractors.catalogue import EFFICIENTNET_WEIGHTS
from radcommons.extractors.efficientnet import (
    SIDE,
    EfficientNetLite0,
    SameConv,
    build,
    published_names,
    same_padding,
    scale,
)
from radcommons.models.classifier import resized
from radcommons.models.folding import fold_batch_norms
from radcommons.models.weights import find_weights, read_weights

Picture = Callable[[str], np.ndarray]


@pytest.fixture(scope="module")
def state() -> Mapping[str, Tensor]:
    return read_weights(find_weights(EFFICIENTNET_WEIGHTS))


@pytest.fixture(scope="module")
def network(state: Mapping[str, Tensor]) -> EfficientNetLite0:
    return build(state)


def square(colour: np.ndarray) -> Tensor:
    """(1, 3, 224, 224) grey levels of a picture."""
    planes = torch.from_numpy(colour).permute(2, 0, 1).unsqueeze(1).float()
    return resized(planes, SIDE, antialias=True).transpose(0, 1)


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "zeros"),
    [(224, 3, 2, (0, 1)), (56, 5, 2, (1, 2)), (14, 5, 1, (2, 2)), (7, 3, 2, (1, 1)), (7, 1, 1, (0, 0))],
)
def test_what_is_odd_of_the_padding_goes_to_the_end(
    side: int, kernel: int, stride: int, zeros: tuple[int, int]
) -> None:
    assert same_padding(side, kernel, stride) == zeros


def test_a_convolution_of_stride_two_begins_at_the_first_pixel() -> None:
    conv = SameConv(1, 1, 3, stride=2)
    nn.init.ones_(conv.weight)
    sums = conv(torch.ones(1, 1, 4, 4))
    assert sums.tolist() == [[[[9.0, 6.0], [6.0, 4.0]]]], "PyTorch's own padding gives 4 where 9 is"


def test_the_network_has_as_many_parameters_as_the_published_one() -> None:
    with torch.device("meta"):
        network = EfficientNetLite0()
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_652_008


def test_every_published_tensor_is_used_and_a_missing_one_is_noticed(state: Mapping[str, Tensor]) -> None:
    with torch.device("meta"):
        names = EfficientNetLite0().state_dict().keys()
    assert published_names(state).keys() == names
    with pytest.raises(RuntimeError, match=r"blocks\.3\.bn0\.weight"):
        build({name: value for name, value in state.items() if name != "_blocks.3._bn0.weight"})


CATS, COFFEE, TRIPOD, MISSILE = {281, 282, 285, 287}, {967, 968}, {872}, {657, 744, 812}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("chelsea", CATS), ("coffee", COFFEE), ("camera", TRIPOD), ("rocket", MISSILE)],
)
def test_a_photograph_is_recognised(
    network: EfficientNetLite0, picture: Picture, name: str, expected: set[int]
) -> None:
    with torch.inference_mode():
        logits = network.fc(network(scale(square(picture(name)))))
    assert int(logits.argmax()) in expected


@pytest.mark.parametrize(("name", "expected"), [("chelsea", CATS), ("coffee", COFFEE)])
def test_a_photograph_is_recognised_without_its_colours(
    network: EfficientNetLite0, picture: Picture, name: str, expected: set[int]
) -> None:
    grey = square(picture(name)).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    with torch.inference_mode():
        logits = network.fc(network(scale(grey)))
    assert int(logits.argmax()) in expected


def test_the_grey_scale_is_the_one_that_the_batch_norms_saw(network: EfficientNetLite0, picture: Picture) -> None:
    """The statistics that training left in the stem fit (x - 127) / 128, not torchvision's mean and deviation."""
    grey = torch.cat([square(picture(name)) for name in ("chelsea", "coffee", "rocket", "astronaut")])
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)

    def misfit(x: Tensor) -> float:
        with torch.inference_mode():
            variance = network.conv_stem(x).var((0, 2, 3))
        return float((variance / network.bn0.running_var).log().abs().median())

    assert misfit(scale(grey)) < 0.6 < 1.0 < misfit((grey / 255 - mean) / deviation)


def test_logits_are_those_of_another_implementation(network: EfficientNetLite0) -> None:
    """The golden values come from efficientnet_lite_pytorch 0.1.0 with the same weights, on this picture."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    grey = ((3 * y + 5 * x + y * x // 7) % 256).float().expand(1, 3, -1, -1)
    with torch.inference_mode():
        logits = network.fc(network(scale(grey)))[0]
    assert logits.topk(3).indices.tolist() == GOLDEN_CLASSES
    assert logits.topk(3).values.tolist() == pytest.approx(GOLDEN_LOGITS, rel=1e-4)


GOLDEN_CLASSES = [506, 753, 581]
GOLDEN_LOGITS = [9.0589075, 6.7840028, 5.6380596]


def test_folding_the_batch_norms_changes_nothing(state: Mapping[str, Tensor], picture: Picture) -> None:
    plain, folded = build(state), build(state)
    fold_batch_norms(folded)
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    x = scale(square(picture("chelsea")))
    with torch.inference_mode():
        torch.testing.assert_close(folded(x), plain(x), rtol=0, atol=1e-4)


def test_a_folded_convolution_by_hand() -> None:
    pair = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0.0))
    state = {"weight": 3.0, "bias": 0.5, "running_mean": 1.0, "running_var": 4.0}
    pair[1].load_state_dict({name: torch.tensor([value]) for name, value in state.items()}, strict=False)
    nn.init.constant_(pair[0].weight, 2.0)
    fold_batch_norms(pair.eval())
    assert pair[0].weight.item() == 3.0, "2 * 3 / sqrt(4)"
    assert pair[0].bias.item() == -1.0, "0.5 - 1 * 3 / sqrt(4)"
    assert isinstance(pair[1], nn.Identity)
