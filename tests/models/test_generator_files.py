import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from radcommons.errors import GeneratorRefused, PathMissing
from radcommons.models.families.progan import GeneratorNetwork, ProganConfig
from radcommons.models.generator_files import is_saved, load_generator, load_patients, save_generator
from radcommons.records import FindingsRecord, PatientsRecord, sha256_file

CONFIG = ProganConfig(resolution=8, channels={4: 4, 8: 3}, latent_size=5, findings=2)
FINDINGS = FindingsRecord(findings=("Effusion", "Mass"), combinations=(((0, 0), 7), ((1, 0), 3)), smallest_cell=5)

PATIENTS = PatientsRecord(salt="0a" * 16, source="nih", key_fingerprint="0b" * 8, hashes=("0c" * 8, "0d" * 8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = GeneratorNetwork(CONFIG)
    save_generator(tmp_path / "package", network, FINDINGS, name="site", family="progan", config=CONFIG, images_seen=9)
    return tmp_path / "package"


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_generator_comes_back_as_it_went(folder: Path) -> None:
    network, record, findings = load_generator(folder)
    torch.manual_seed(0)
    for name, value in GeneratorNetwork(CONFIG).state_dict().items():
        assert torch.equal(network.state_dict()[name], value)
    assert record.name == "site" and record.images_seen == 9 and findings == FINDINGS


def test_a_folder_holds_weights_and_json_and_nothing_that_runs(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "findings.json", "generator.safetensors"]


def test_saving_again_replaces_the_whole_folder(folder: Path) -> None:
    (folder / "stray.txt").write_text("old")
    save_generator(
        folder, GeneratorNetwork(CONFIG), FINDINGS, name="later", family="progan", config=CONFIG, images_seen=10
    )
    assert load_generator(folder)[1].name == "later"
    assert not (folder / "stray.txt").exists()


def save_with(folder: Path, patients: PatientsRecord | None) -> None:
    network = GeneratorNetwork(CONFIG)
    save_generator(
        folder, network, FINDINGS, name="s", family="progan", config=CONFIG, images_seen=9, patients=patients
    )


def test_the_list_of_patients_comes_back_from_a_package_and_from_a_run(tmp_path: Path) -> None:
    for place, reference in (("package", "package"), ("run/generator", "run")):
        save_with(tmp_path / place, PATIENTS)
        assert load_patients(tmp_path / reference) == PATIENTS
    assert load_generator(tmp_path / "run")[1].name == "s"


def test_a_generator_may_come_without_the_list_of_patients(folder: Path) -> None:
    assert load_patients(folder) is None
    save_with(folder, PATIENTS)
    save_with(folder, None)
    assert load_patients(folder) is None, "the list of another generator does not stay behind"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"format_version": 1}',
        PATIENTS.to_json().replace("0c" * 8, "0c" * 7),
        PATIENTS.to_json().replace("0c" * 8, "0d" * 8),
        PATIENTS.to_json().replace("0c" * 8, "0e" * 8),
        PATIENTS.to_json().replace("0a" * 16, "0a" * 15 + "0"),
        PATIENTS.to_json().replace('"source"', '"patients"'),
    ],
)
def test_a_damaged_list_of_patients_is_one_line_and_never_an_empty_list(folder: Path, content: str) -> None:
    (folder / "patients.json").write_text(content)
    with pytest.raises(GeneratorRefused, match=r"patients\.json is .*damaged; fetch or train the generator again$"):
        load_patients(folder)


def test_a_list_of_patients_of_another_version_is_refused(folder: Path) -> None:
    save_with(folder, PATIENTS)
    edit(folder / "patients.json", format_version=2)
    with pytest.raises(GeneratorRefused, match=r"patients\.json is of format version 2, this radcommons reads 1"):
        load_patients(folder)


def test_a_generator_counts_as_saved_with_its_images_and_its_patients_only(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    assert not is_saved(folder, images_seen=9, patients=PATIENTS)
    save_with(folder, None)
    assert not is_saved(folder, images_seen=9, patients=PATIENTS)
    save_with(folder, PATIENTS)
    assert is_saved(folder, images_seen=9, patients=PATIENTS)
    assert not is_saved(folder, images_seen=8, patients=PATIENTS)
    assert not is_saved(folder, images_seen=9, patients=PATIENTS.model_copy(update={"hashes": ()}))


def test_changed_weights_are_refused(folder: Path) -> None:
    path = folder / "generator.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(GeneratorRefused, match="not the file that config.json names"):
        load_generator(folder)


@pytest.mark.parametrize("name", ["generator.safetensors", "findings.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(GeneratorRefused, match=name):
        load_generator(folder)


def test_an_architecture_outside_the_closed_list_is_refused(folder: Path) -> None:
    edit(folder / "config.json", architecture="os.system")
    with pytest.raises(GeneratorRefused, match="'os.system' is not known; known are progan"):
        load_generator(folder)


def test_another_format_version_is_refused(folder: Path) -> None:
    edit(folder / "config.json", format_version=99)
    with pytest.raises(GeneratorRefused, match="format version 99, this radcommons reads 1 and 2"):
        load_generator(folder)


def as_version_1(folder: Path) -> None:
    """Write a generator as it was written before `fade` was the family's and `to_rgb` had its name."""
    weights = folder / "generator.safetensors"
    tensors = safetensors.torch.load_file(weights)
    safetensors.torch.save_file({k.replace("to_rgb.", "heads."): v for k, v in tensors.items()}, weights)
    config = json.loads((folder / "config.json").read_text())
    growth = {"resolution": config["network"].pop("grown_to"), "fade": config["network"].pop("fade")}
    edit(folder / "config.json", **config | growth | {"format_version": 1, "weights_sha256": sha256_file(weights)})


def test_a_generator_of_format_version_1_is_read_at_its_fade(tmp_path: Path) -> None:
    network, inputs = GeneratorNetwork(CONFIG), (torch.randn(2, 5), torch.rand(2, 2))
    growing = CONFIG.model_copy(update={"grown_to": 8, "fade": 0.5})
    options = {"family": "progan", "name": "site", "images_seen": 9}
    save_generator(tmp_path, network, FINDINGS, config=growing, **options)
    new = load_generator(tmp_path)
    as_version_1(tmp_path)
    old = load_generator(tmp_path)
    assert torch.equal(old[0](*inputs), network(*inputs, 8, 0.5)) and not torch.equal(
        old[0](*inputs), network(*inputs, 8)
    )
    assert old[1].model_copy(update={"weights_sha256": new[1].weights_sha256}) == new[1]


def test_a_side_that_its_configuration_does_not_have_is_refused(folder: Path) -> None:
    edit(folder / "config.json", resolution=4)
    with pytest.raises(GeneratorRefused, match="do not belong together"):
        load_generator(folder)


def test_findings_of_another_generator_are_refused(folder: Path) -> None:
    edit(folder / "findings.json", findings=["Effusion"], combinations=[])
    with pytest.raises(GeneratorRefused, match="do not belong together"):
        load_generator(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format_version": 1}', "not json"])
def test_a_damaged_config_is_one_line(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(GeneratorRefused, match=r"config\.json is .*damaged"):
        load_generator(folder)


def test_a_folder_without_generator_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GeneratorRefused, match="neither a run nor a generator package"):
        load_generator(tmp_path)
    (tmp_path / "config.toml").write_text("")
    with pytest.raises(GeneratorRefused, match="run the same 'radcommons train' again"):
        load_generator(tmp_path)
    with pytest.raises(PathMissing, match="does not exist"):
        load_generator(tmp_path / "nowhere")
