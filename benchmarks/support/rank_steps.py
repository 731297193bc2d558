"""Times whole training steps in one process of a world; rank 0 prints images/s as JSON. Started by scaling.py."""

import argparse
import json
import time
from statistics import median

import torch

from radcommons.gan.networks import build_networks, build_optimisers
from radcommons.gan.schedule import Phase
from radcommons.gan.settings import TrainSettings
from radcommons.gan.threads import open_threads
from radcommons.runs.distributed import join
from radcommons.settings import preset_path
from support.steps import draw_of, our_step


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", required=True)
    parser.add_argument("--resolution", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = TrainSettings.load(preset_path("train", options.preset))
    settings = settings.model_copy(update={"resolution": options.resolution})
    with join() as world, open_threads(world.device) as threads:
        networks = build_networks(settings, 14, world.device)
        optimisers = build_optimisers(networks, settings)
        draw = draw_of(options.batch // world.size, options.resolution, settings.latent_size)
        phase = Phase(options.resolution, 1.0, options.batch, 0.001)
        seconds = []
        for _ in range(options.steps + 1):
            started = time.perf_counter()
            our_step(networks, optimisers, draw, phase, settings, threads, world.mean_gradients)
            seconds.append(time.perf_counter() - started)
        if world.is_main:
            print(json.dumps({"images_per_second": options.batch / median(seconds[1:])}))


if __name__ == "__main__":
    main()
