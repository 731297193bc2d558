"""Claim: `explain correlate` draws and scores at 256 faster than the plain formulation does; the run of 14 x 5,000.

The paper's generator at 256 (random weights) draws, DenseNet-121 at 224 (random weights) scores: the two thirds of that
run that cost anything, each beside its plain form, in turns, on the same images. The projection is images over rate.
"""

import numpy as np
import torch
from sampling import random_generator
from support import plain_networks as plain
from support.measuring import matrix_product_rate, pair, print_table, save

from radcommons.models.classifier import ClassifierConfig, ClassifierNetwork, resized
from radcommons.models.classifier_files import Classifier
from radcommons.models.generator import LabelChoice
from radcommons.models.grey_levels import to_bytes
from radcommons.records import ClassifierRecord

RESOLUTION, SIDE, IMAGES, BATCH = 256, 224, 32, 8
FINDINGS, IMAGES_A_LABEL = 14, 5_000


def random_classifier() -> Classifier:
    torch.manual_seed(0)
    config = ClassifierConfig(network="densenet-121", side=SIDE, findings=FINDINGS)
    record = ClassifierRecord(
        name="random",
        network=config.model_dump(mode="json"),
        findings=tuple(f"Finding {i}" for i in range(FINDINGS)),
        images_seen=0,
        validation_loss=None,
        thresholds={},
        weights_sha256="0" * 64,
    )
    return Classifier.of(ClassifierNetwork(config), record, torch.device("cpu"))


def main() -> None:
    generator, classifier = random_generator(RESOLUTION), random_classifier()
    latents, labels = generator.inputs(range(IMAGES), LabelChoice(given={}), 0)

    def draw_plainly() -> np.ndarray:
        with torch.no_grad():
            parts = zip(torch.from_numpy(latents).split(BATCH), torch.from_numpy(labels).split(BATCH), strict=True)
            return np.concatenate(
                [to_bytes(plain.generate(generator.network, z, y, RESOLUTION))[:, 0].numpy() for z, y in parts]
            )

    def draw() -> np.ndarray:
        return np.concatenate(
            [batch.images for batch in generator.batches(IMAGES, choice=LabelChoice(given={}), seed=0)]
        )

    images = draw()

    def score_plainly() -> np.ndarray:
        with torch.no_grad():
            grey = torch.from_numpy(images).unsqueeze(1).float()
            return np.concatenate([classifier.network(resized(g, SIDE)).sigmoid().numpy() for g in grey.split(BATCH)])

    def score() -> np.ndarray:
        return classifier.scores(images)

    print(f"largest difference of a score: {np.abs(score_plainly() - score()).max():.1e}")
    rows = []
    for step, plainly, ours in (("drawing", draw_plainly, draw), ("scoring", score_plainly, score)):
        times = pair(plainly, ours)
        rows.append(row(step, times.baseline_seconds, times.our_seconds, times.ratio))
    both = [sum(IMAGES / float(str(r[column])) for r in rows) for column in ("plain images/s", "ours images/s")]
    rows.append(row("both", both[0], both[1], both[0] / both[1]))
    save("explain", __doc__.splitlines()[0], rows, "monai", matrix_product_gflops=matrix_product_rate() / 1e9)
    hours = [
        {
            "run": f"{FINDINGS} x {IMAGES_A_LABEL:,} at {RESOLUTION}",
            "ours, hours": rows[-1]["ours, hours of 14 x 5,000"],
        }
    ]
    print_table("Projected on this machine", hours)


def row(step: str, plain_seconds: float, our_seconds: float, ratio: float) -> dict[str, object]:
    return {
        "step": step,
        "plain images/s": IMAGES / plain_seconds,
        "ours images/s": IMAGES / our_seconds,
        "ratio": ratio,
        "plain, hours of 14 x 5,000": FINDINGS * IMAGES_A_LABEL * plain_seconds / IMAGES / 3600,
        "ours, hours of 14 x 5,000": FINDINGS * IMAGES_A_LABEL * our_seconds / IMAGES / 3600,
    }


if __name__ == "__main__":
    main()
