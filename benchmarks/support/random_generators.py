"""Generators of either family with random weights, at the sides that the paper reports the speed of."""

import torch

from radcommons.gan.recipes import load_settings
from radcommons.models.families import FAMILIES
from radcommons.models.families.family import PyramidConfig
from radcommons.models.families.progan import ProganConfig
from radcommons.models.generator import Generator
from radcommons.records import FindingsRecord, GeneratorRecord
from radcommons.settings import preset_path

CHANNELS = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}
PAPER_AN_HOUR = {256: 67_925, 512: 41_379, 1024: 4_511}  # on one P100
FINDINGS = tuple(f"Finding {i}" for i in range(14))


def random_generator(
    resolution: int, family: str = "progan", device: str = "cpu", most_channels: int = 512
) -> Generator:
    torch.manual_seed(0)
    config = network_config(resolution, family)
    thinner = {r: min(c, most_channels) for r, c in config.channels.items()}
    config = config.model_copy(update={"channels": thinner})
    network = FAMILIES[family].generator(config).to(device)
    record = GeneratorRecord(
        architecture=family,
        name="random",
        network=config.model_dump(mode="json"),
        resolution=resolution,
        images_seen=0,
        weights_sha256="0" * 64,
    )
    combinations = (((0,) * 14, 5),)
    findings = FindingsRecord(findings=FINDINGS, combinations=combinations, smallest_cell=5)
    return Generator(network.requires_grad_(False), record, findings, torch.device(device))


def network_config(resolution: int, family: str) -> PyramidConfig:
    """The paper's networks; for an `rgan` those of its presets, at 1024 with half the channels of 512 and no noise."""
    if family == "progan":
        channels = {r: c for r, c in CHANNELS.items() if r <= resolution}
        return ProganConfig(resolution=resolution, channels=channels, findings=len(FINDINGS))
    preset = load_settings(preset_path("train", "rgan-512"))
    channels = {**preset.channels, 1024: preset.channels[512] // 2}  # type: ignore[attr-defined]
    changed = preset.model_copy(update={"resolution": resolution, "channels": channels})
    return changed.network(len(FINDINGS))
