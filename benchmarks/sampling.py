"""Claim: on two cores, sampling is 3 times as fast as the plain formulation at 256, and 4 times at 512 and 1024.

Both draw the same images of the paper's networks (random weights), in turns; the grey levels are compared first.
Writing PNG is timed apart: `radcommons generate` overlaps it with drawing. So is mixed precision, of both families.
"""

import copy
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from support import plain_networks as plain
from support.measuring import copy_rate, matrix_product_rate, pair, print_table, save
from support.random_generators import PAPER_AN_HOUR, random_generator

from radcommons.models import cpu
from radcommons.models.families import FAMILIES
from radcommons.models.families.family import plain_sampler
from radcommons.models.families.progan import forward_flops
from radcommons.models.generator import Generator, LabelChoice
from radcommons.models.grey_levels import to_bytes
from radcommons.synthetic.sampling import write_set

IMAGES = {256: 16, 512: 8, 1024: 8}


def compare(resolution: int) -> dict[str, object]:
    generator = random_generator(resolution)
    images = IMAGES[resolution]
    labels = LabelChoice(given={})
    latents = np.concatenate([generator.inputs(range(i, i + 1), labels, 0)[0] for i in range(images)])

    def plainly() -> np.ndarray:
        size = max(1, 8 * 256**2 // resolution**2)
        with torch.no_grad():
            return np.concatenate(
                [
                    to_bytes(plain.generate(generator.network, z, torch.zeros(len(z), 14), resolution))[:, 0].numpy()
                    for z in torch.from_numpy(latents).split(size)
                ]
            )

    def ours() -> np.ndarray:
        return np.concatenate([batch.images for batch in generator.batches(images, choice=labels, seed=0)])

    difference = np.abs(plainly().astype(int) - ours())
    times = pair(plainly, ours)
    work = forward_flops(generator.network.config, resolution)[0] * images
    ceiling = matrix_product_rate()
    return {
        "resolution": resolution,
        "images": images,
        "plain images/s": images / times.baseline_seconds,
        "ours images/s": images / times.our_seconds,
        "ratio": times.ratio,
        "ours an hour": 3600 * images / times.our_seconds,
        "paper's P100 an hour": PAPER_AN_HOUR[resolution],
        "plain of ceiling": work / times.baseline_seconds / ceiling,
        "ours times ceiling": work / times.our_seconds / ceiling,
        "pixels that differ by 1": float((difference == 1).mean()),
        "by more": float((difference > 1).mean()),
    }


def with_files(resolution: int) -> dict[str, object]:
    """Drawing alone beside drawing and writing PNG, as `radcommons generate` does."""
    generator = random_generator(resolution)
    images = IMAGES[resolution]

    def draw() -> None:
        for _ in generator.batches(images, choice=LabelChoice(given={}), seed=0):
            pass

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_set([generator], Path(folder) / "set", images, choice=LabelChoice(given={}), seed=0)

    times = pair(write, draw, rounds=3)
    return {
        "resolution": resolution,
        "drawing images/s": images / times.our_seconds,
        "with PNG images/s": images / times.baseline_seconds,
        "PNG costs": times.ratio - 1,
    }


def in_bf16(generator: Generator, images: int) -> dict[str, object]:
    """Mixed precision beside the plain formulas in fp32, and beside our kernels in fp32, which `auto` has to beat."""
    name = generator.record.architecture
    plainest = {name: replace(FAMILIES[name], sampler=plain_sampler)}
    half = replace(generator, network=copy.deepcopy(generator.network), precision="bf16")  # lies in memory otherwise

    def draw(which: Generator) -> np.ndarray:
        return which.generate(images, findings={}).images

    def plainly() -> np.ndarray:
        with patch.object(cpu, "suits", return_value=False), patch.dict(FAMILIES, plainest):
            return draw(replace(generator))

    against_plain = pair(plainly, lambda: draw(half))
    against_ours = pair(lambda: draw(generator), lambda: draw(half))
    return {
        "family": name,
        "resolution": generator.resolution,
        "plain fp32 images/s": images / against_plain.baseline_seconds,
        "our fp32 images/s": images / against_ours.baseline_seconds,
        "bf16 images/s": images / against_ours.our_seconds,
        "bf16 of ours": against_ours.ratio,
        "grey levels apart": float(np.abs(draw(half).astype(int) - draw(generator)).mean()),
    }


def main() -> None:
    floor = {"matrix_product_gflops": matrix_product_rate() / 1e9, "copy_gbytes_per_second": copy_rate() / 1e9}
    rows = [compare(resolution) for resolution in IMAGES]
    files = [with_files(256)]
    halves = [in_bf16(random_generator(r, family), IMAGES[r]) for family in ("rgan", "progan") for r in (256, 512)]
    save("sampling", __doc__.splitlines()[0], rows, with_png=files, in_bf16=halves, **floor)
    print_table("Drawing beside drawing and writing", files)
    print_table("Mixed precision", halves)


if __name__ == "__main__":
    main()
