"""Claim: intervals over readers and images hold the true accuracy in 92 to 98 of 100 simulated studies.

The mean ± 1.96 SE among readers holds it in 68 to 90. Readers and images have true spreads, and every reader sees the
same images. Each design is simulated 4,000 times.
"""

from dataclasses import replace

import numpy as np

from radcommons.metrics.readers import accuracies, accuracy_error, readers_and_cases
from radcommons.metrics.simulated_readers import simulated_answers

STUDIES = 4_000
# Readers, images, accuracy, standard deviation of readers' accuracies, of images' shares of right answers.
DESIGNS = (
    (2, 100, 0.6, 0.05, 0.1),
    (3, 100, 0.6, 0.05, 0.1),
    (6, 100, 0.5, 0.0, 0.0),
    (6, 100, 0.6, 0.05, 0.1),
    (6, 100, 0.8, 0.1, 0.1),
    (12, 50, 0.6, 0.05, 0.2),
)


def main() -> None:
    print("readers images accuracy spreads     held: readers and images   SE among readers   half width")
    for readers, images, accuracy, reader_spread, image_spread in DESIGNS:
        spreads = {"reader_spread": reader_spread, "image_spread": image_spread}
        rng = np.random.default_rng(0)
        right = simulated_answers(STUDIES, readers, images, accuracy=accuracy, **spreads, rng=rng).astype(float)
        synthetic = np.arange(images) % 2 == 0
        mean = readers_and_cases(accuracies(right, synthetic))
        low, high = replace(mean, least_error=accuracy_error(right, synthetic)).interval()
        held = ((low <= accuracy) & (accuracy <= high)).mean()
        error = right.mean(axis=2).std(axis=1, ddof=1) / np.sqrt(readers)
        naive = (np.abs(mean.value - accuracy) <= 1.96 * error).mean()
        print(
            f"{readers:>7} {images:>6} {accuracy:>8.2f} {reader_spread:>5.2f} {image_spread:>4.2f} {held:>20.3f} "
            f"{naive:>22.3f} {np.median(high - low) / 2:>12.3f}"
        )


if __name__ == "__main__":
    main()
