"""The order and the augmentation of training images: functions of the seed and the position alone."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from radcommons.classify.settings import Augmentation, ClassifierSettings
from radcommons.errors import TooFewImages
from radcommons.runs.distributed import Distributed
from radcommons.seeds import numpy_stream, torch_stream


def epoch_batches(
    epoch: int, labels: np.ndarray, settings: ClassifierSettings, distributed: Distributed
) -> list[np.ndarray]:
    """Indices of the batches of one epoch, nearly equal in size; with several processes each gets equal shares.

    An epoch shows every image once, or `epoch_images` of them, continuing where the last epoch ended. Images that do
    not divide into equal shares wait for the next epoch.

    Raises:
        TooFewImages: batch norms need two images per process.
    """
    count = len(labels)
    images, least = settings.epoch_images or count, 2 * distributed.size
    if images < least:
        raise TooFewImages(
            f"an epoch has {images} images and {distributed.size} processes need {least}; start fewer processes"
        )
    if settings.oversample:
        weights = oversampling_weights(labels)
        order = numpy_stream(settings.seed, "oversample", epoch).choice(count, size=images, p=weights)
    else:
        first = epoch * images
        rounds = range(first // count, (first + images - 1) // count + 1)
        shuffled = np.concatenate([numpy_stream(settings.seed, "order", r).permutation(count) for r in rounds])
        order = shuffled[first % count :][:images]
    steps = max(1, min(round(images / settings.batch_size), images // least))
    return [batch[: len(batch) // distributed.size * distributed.size] for batch in np.array_split(order, steps)]


def oversampling_weights(labels: np.ndarray) -> np.ndarray:
    """Probability of each image, so that a finding's positives and negatives come up equally often.

    Args:
        labels: (n, F); 1, 0 or NaN.
    Returns:
        (n,), sum 1: for each known label, one over twice the number of images of its class, averaged over the
        image's labels. With one finding both classes have a weight of exactly a half; with several, about.
    """
    positive, known = labels >= 0.5, ~np.isnan(labels)
    of_positives = 0.5 / np.maximum(1, positive.sum(axis=0))
    of_negatives = 0.5 / np.maximum(1, (known & ~positive).sum(axis=0))
    each = np.where(known, np.where(positive, of_positives, of_negatives), 0.0)
    weights = each.sum(axis=1) / np.maximum(1, known.sum(axis=1))
    return np.asarray(weights / weights.sum())


def positive_weights(labels: np.ndarray, setting: float | str) -> Tensor:
    """Weight of each finding's positive labels in the loss, float32 (F,)."""
    if isinstance(setting, str):
        positives, negatives = (labels >= 0.5).sum(axis=0), (labels < 0.5).sum(axis=0)
        return torch.from_numpy((negatives / np.maximum(1, positives)).astype(np.float32))
    return torch.full((labels.shape[1],), setting)


def augmented(grey: Tensor, augmentation: Augmentation, *, seed: int, step: int) -> Tensor:
    """Images of one step, each randomly rotated, shifted, zoomed and changed in contrast and brightness.

    Args:
        grey: grey levels 0 ... 255, (n, 1, S, S).
        step: position of the batch in the run; it determines the changes.
    Returns:
        Grey levels 0 ... 255; pixels from outside the film repeat its border.
    """
    if not (augmentation.moves or augmentation.recolours):
        return grey
    generator = torch_stream(seed, "augment", step)
    amounts = (2 * torch.rand(len(grey), 6, generator=generator) - 1).to(grey.device)
    if augmentation.moves:
        angle = amounts[:, 0] * augmentation.rotation * torch.pi / 180
        scale = 1 + amounts[:, 1] * augmentation.zoom
        cosine, sine = angle.cos() / scale, angle.sin() / scale
        shift = 2 * augmentation.shift * amounts[:, 2:4]  # the sampling grid spans 2
        rows = torch.stack([cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1]], dim=1)
        grid = F.affine_grid(rows.view(-1, 2, 3), list(grey.shape), align_corners=False)
        grey = F.grid_sample(grey, grid, padding_mode="border", align_corners=False)
    if augmentation.recolours:
        mean = grey.mean((1, 2, 3), keepdim=True)
        contrast = 1 + augmentation.contrast * amounts[:, 4].view(-1, 1, 1, 1)
        brightness = augmentation.brightness * amounts[:, 5].view(-1, 1, 1, 1)
        grey = ((grey - mean) * contrast + mean + brightness).clamp(0, 255)
    return grey
