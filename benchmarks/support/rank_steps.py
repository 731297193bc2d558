"""Times whole training steps in one of several processes; rank 0 prints images/s as JSON. Started by scaling.py."""

import argparse
import json
import time
from statistics import median

import torch

from radcommons.gan.gradients import open_compute
from radcommons.gan.recipes.progan.settings import ProganSettings
from radcommons.gan.recipes.progan.training import ProganTraining
from radcommons.runs.distributed import Distributed
from radcommons.settings import preset_path
from support.steps import FILMS, random_batch, stable_position


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", required=True)
    parser.add_argument("--resolution", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = ProganSettings.load(preset_path("train", options.preset))
    settings = settings.model_copy(update={"resolution": options.resolution})
    with Distributed.init() as distributed, open_compute("fp32", distributed) as compute:
        training = ProganTraining(settings, FILMS, compute)
        batch = random_batch(options.batch // distributed.size, options.resolution, settings.latent_size)
        position = stable_position(training, options.resolution)
        seconds = []
        for _ in range(options.steps + 1):
            started = time.perf_counter()
            training.step(position, batch)
            seconds.append(time.perf_counter() - started)
        if distributed.is_main:
            print(json.dumps({"images_per_second": options.batch / median(seconds[1:])}))


if __name__ == "__main__":
    main()
