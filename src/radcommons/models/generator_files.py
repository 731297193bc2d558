"""A generator's weights on disk: ``generator.safetensors`` and JSON records. Data, never code."""

from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from radcommons.errors import GeneratorRefused, PathMissing
from radcommons.files import whole_folder
from radcommons.models.families import FAMILIES
from radcommons.models.families.family import FamilyConfig
from radcommons.models.weights import load_network, save_network
from radcommons.packages.references import local_folder
from radcommons.records import FederationRecord, FindingsRecord, GeneratorRecord, PatientsRecord, Record

PATIENTS_FILE = "patients.json"
FEDERATION_FILE = "federation.json"
RUN_SUBFOLDER = "generator"  # where a training run keeps its generator
R = TypeVar("R", bound=Record)


def save_generator(
    folder: Path,
    network: nn.Module,
    findings: FindingsRecord,
    *,
    family: str,
    config: FamilyConfig,
    name: str,
    images_seen: int,
    patients: PatientsRecord | None = None,
    federation: FederationRecord | None = None,
) -> None:
    """Write a generator's folder; the old one stays until the new one is whole.

    Args:
        config: of the network, as far as it has been trained.
        patients: who was in training, under salted hashes. Without it nobody can check that test patients were not.
        federation: how several sites trained it together.
    """
    with whole_folder(folder) as new:
        record = GeneratorRecord(
            architecture=family,
            name=name,
            network=config.model_dump(mode="json"),
            resolution=config.side,
            images_seen=images_seen,
            weights_sha256=save_network(network, new / "generator.safetensors"),
        )
        (new / "config.json").write_text(record.to_json(), encoding="utf-8")
        (new / "findings.json").write_text(findings.to_json(), encoding="utf-8")
        if patients is not None:
            (new / PATIENTS_FILE).write_text(patients.to_json(), encoding="utf-8")
        if federation is not None:
            (new / FEDERATION_FILE).write_text(federation.to_json(), encoding="utf-8")


def is_saved(folder: Path, *, images_seen: int, patients: PatientsRecord) -> bool:
    """Whether a folder holds the generator after `images_seen` images, with this list of patients."""
    saved = generator_record(folder)
    try:
        return saved is not None and saved.images_seen == images_seen and _read_patients(folder) == patients
    except GeneratorRefused:
        return False


def generator_record(folder: Path) -> GeneratorRecord | None:
    """The record of the generator in a folder; None if there is none, or none that can be read."""
    try:
        return _read_record(folder / "config.json", GeneratorRecord)
    except GeneratorRefused:
        return None


def load_generator(
    reference: Path, device: torch.device | str = "cpu"
) -> tuple[nn.Module, GeneratorRecord, FindingsRecord]:
    """Read the generator of a run, a package or a reference (`packages.references`).

    Raises:
        PathMissing, GeneratorRefused, HubRefused, PackageRefused: the message says what is wrong and what to do.
    """
    folder = _folder(reference)
    record = _read_record(folder / "config.json", GeneratorRecord)
    findings = _read_record(folder / "findings.json", FindingsRecord)
    family = FAMILIES.get(record.architecture)
    if family is None:
        raise GeneratorRefused(
            f"{folder}: architecture '{record.architecture}' is not known; known are {', '.join(FAMILIES)}"
        )

    def make() -> nn.Module:
        config = family.config.parse(record.network, source=str(folder / "config.json"))
        if config.findings != len(findings.findings) or config.side != record.resolution:
            raise GeneratorRefused(f"{folder}: config.json and findings.json do not belong together")
        return family.generator(config)

    weights, remedy = folder / "generator.safetensors", "fetch or train it again"
    network = load_network(make, weights, record.weights_sha256, refused=GeneratorRefused, remedy=remedy)
    network.requires_grad_(False)
    return network.to(device).eval(), record, findings


def load_patients(reference: Path) -> PatientsRecord | None:
    """Who was in the training of a run's or a package's generator, under salted hashes; None if it does not say.

    Raises:
        PathMissing, GeneratorRefused: the message says what is wrong and what to do.
    """
    return _read_patients(_folder(reference))


def load_federation(reference: Path) -> FederationRecord | None:
    """How several sites trained the generator of a run or a package together; None if one site did.

    Raises:
        PathMissing, GeneratorRefused: the message says what is wrong and what to do.
    """
    path = _folder(reference) / FEDERATION_FILE
    return _read_record(path, FederationRecord) if path.exists() else None


def _read_patients(folder: Path) -> PatientsRecord | None:
    path = folder / PATIENTS_FILE
    return _read_record(path, PatientsRecord) if path.exists() else None


def _folder(reference: Path) -> Path:
    reference = local_folder(reference)
    if not reference.exists():
        raise PathMissing(f"{reference} does not exist; name a run, a generator package or hub://HOST/ORG/NAME")
    for folder in (reference / RUN_SUBFOLDER, reference):
        if (folder / "config.json").is_file():
            return folder
    if (reference / "config.toml").is_file():
        raise GeneratorRefused(f"{reference} is a run without a generator yet; run the same 'radcommons train' again")
    raise GeneratorRefused(f"{reference} is neither a run nor a generator package (no config.json)")


def _read_record(path: Path, kind: type[R]) -> R:
    remedy = "fetch or train the generator again"
    return kind.read(path, refused=GeneratorRefused, remedy=remedy, other_version="update radcommons")
