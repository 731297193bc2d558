import json
from pathlib import Path

import pytest
import torch

from radcommons.errors import GeneratorRefused, PathMissing
from radcommons.models.generator_files import load_generator, save_generator
from radcommons.models.progan import GeneratorNetwork, ProganConfig
from radcommons.records import FindingsRecord

CONFIG = ProganConfig(resolution=8, channels={4: 4, 8: 3}, latent_size=5, findings=2)
FINDINGS = FindingsRecord(findings=("Effusion", "Mass"), combinations=(((0, 0), 7), ((1, 0), 3)), smallest_cell=5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = GeneratorNetwork(CONFIG)
    save_generator(tmp_path / "package", network, FINDINGS, name="site", resolution=8, fade=1.0, images_seen=9)
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
    save_generator(folder, GeneratorNetwork(CONFIG), FINDINGS, name="later", resolution=4, fade=1.0, images_seen=10)
    assert load_generator(folder)[1].name == "later"
    assert not (folder / "stray.txt").exists()


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
    with pytest.raises(GeneratorRefused, match="format version 99, this radcommons reads 1"):
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
