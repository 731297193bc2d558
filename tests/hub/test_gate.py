"""The gate as a whole: what it lets through, what it refuses, at which step and with which reason."""

import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from PIL import Image

from radcommons.hub import gate
from radcommons.hub.gate import examine
from radcommons.hub.gate_settings import GateRules
from radcommons.models.families.rgan import GeneratorNetwork
from radcommons.packages.signatures import new_keys
from radcommons.records import FederationRecord, GateLine, GateVerdict, KnownDeposit

WEIGHTS = "generator.safetensors"


def verdict_on(deposit: Any, rules: GateRules, *references: Path, known: tuple[KnownDeposit, ...] = ()) -> GateVerdict:
    return examine(deposit.folder, public_keys=[deposit.public], references=references, rules=rules, known=known)


def broken(verdict: GateVerdict) -> dict[str, GateLine]:
    assert verdict.status == ("refused" if verdict.broken else "passed")
    assert all(line.remedy for line in verdict.broken), "every refusal says what to mend"
    assert "/tmp" not in verdict.to_json(), "the depositor is not shown where the hub keeps deposits"
    return {line.rule: line for line in verdict.broken}


def test_a_good_package_passes_with_its_figures(good: Any, rules: GateRules, reference: Path) -> None:
    verdict = verdict_on(good, rules, reference)
    assert broken(verdict) == {}
    assert verdict.passed and verdict.statement == "Passed: every rule that could be tested is met."
    assert verdict.figures is not None and verdict.judgement is not None
    (distance,) = verdict.figures.distances
    assert 0 < distance.fid < distance.fid_noise / 2
    assert verdict.weights_sha256 and verdict.key_fingerprint and verdict.fingerprint
    assert GateVerdict.model_validate_json(verdict.to_json()) == verdict


def test_without_a_reference_the_distance_is_said_not_to_be_tested(good: Any, rules: GateRules) -> None:
    verdict = verdict_on(good, rules)
    assert verdict.passed and verdict.statement.endswith("Not tested: distance to films.")
    strict = verdict_on(good, rules.model_copy(update={"require_reference": True}))
    assert "no reference statistics of this size" in broken(strict)["distance to films"].found


def test_the_same_package_has_the_same_verdict_again(good: Any, rules: GateRules) -> None:
    first, again = (verdict_on(good, rules).model_copy(update={"seconds": None}) for _ in range(2))
    assert first == again


def test_a_generator_of_several_clients_passes_and_a_wrong_record_of_them_does_not(
    deposit: Any, rules: GateRules
) -> None:
    record = FederationRecord(clients=5, films=900, rounds=40, share="both", aggregation="mean", local_iterations=10)
    (deposit.folder / "federation.json").write_text(record.to_json())
    deposit.sign()
    told = broken(verdict_on(deposit, rules))["one generator"].found
    assert "audit.json and federation.json tell of different trainings" in told
    deposit.change("audit.json", federation=record.model_dump(mode="json"))
    deposit.sign()
    verdict = verdict_on(deposit, rules)
    assert verdict.passed and "federation.json" in {line.rule for line in verdict.lines}
    privacy = {"epsilon": None, "delta": 1e-5, "noise_multiplier": 1.0, "clipping_norm": 2.0, "releases": 40}
    deposit.change("federation.json", privacy=privacy)
    deposit.sign()
    assert "federation.json is damaged" in broken(verdict_on(deposit, rules))["federation.json"].found


# ---- what the images are ----


def to_noise(network: GeneratorNetwork) -> None:
    network.noise["16"].fill_(200.0)
    for layer in (network.blocks["16"].second, network.to_grey):
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(0)))


def to_replay(network: GeneratorNetwork) -> None:
    """Draws one image for each combination of labels, whatever the latent vector."""
    network.modulate.weight[:, :8] = 0
    network.dense.weight[:, :8] = 0


def without_labels(network: GeneratorNetwork) -> None:
    network.embed.weight.zero_()


def to_grey(network: GeneratorNetwork) -> None:
    network.to_grey.weight.zero_()


def to_infinity(network: GeneratorNetwork) -> None:
    network.to_grey.weight.fill_(3e38)


def test_a_generator_of_noise_is_refused_for_its_distance_to_films(
    deposit_of: Callable[..., Any], rules: GateRules, reference: Path
) -> None:
    noise = deposit_of(to_noise, noise=(16,), latent_size=8 + 16**2)
    found = broken(verdict_on(noise, rules, reference))
    assert "FID at most" in found["distance to films"].limit
    assert "train again" in found["distance to films"].remedy


@pytest.mark.parametrize(
    ("change", "rule", "words"),
    [
        (to_replay, "repeats", "nearly repeat another one"),
        (without_labels, "labels act", "0.00"),
        (to_grey, "flat images", "100.0%"),
        (to_infinity, "finite", "pixels of its images"),
    ],
)
def test_a_worthless_generator_is_refused_for_what_is_wrong_with_it(
    deposit_of: Callable[..., Any], rules: GateRules, change: Callable[[GeneratorNetwork], None], rule: str, words: str
) -> None:
    assert words in broken(verdict_on(deposit_of(change), rules))[rule].found


def test_an_audit_of_other_images_does_not_agree_with_what_the_hub_measures(deposit: Any, rules: GateRules) -> None:
    audit = json.loads((deposit.folder / "audit.json").read_text())
    deposit.change("audit.json", diversity=[{**row, "synthetic": row["synthetic"] - 0.2} for row in audit["diversity"]])
    deposit.sign()
    line = broken(verdict_on(deposit, rules))["agreement with the audit"]
    assert "in the audit" in line.found and "audit these weights again" in line.remedy


# ---- copies ----


def test_the_same_weights_are_refused_under_another_name(good: Any, rules: GateRules) -> None:
    first = verdict_on(good, rules)
    known = KnownDeposit(name="a/first", weights_sha256=first.weights_sha256 or "", fingerprint=first.fingerprint)
    found = broken(verdict_on(good, rules, known=(known,)))
    assert set(found) == {"new weights", "no copy"}
    assert "a/first" in found["new weights"].found


def test_a_copy_with_a_little_noise_on_its_weights_is_recognised_and_another_generator_is_not(
    good: Any, deposit_of: Callable[..., Any], rules: GateRules
) -> None:
    def shaken(network: GeneratorNetwork) -> None:
        noise = torch.Generator().manual_seed(3)
        for weight in network.parameters():
            weight.add_(0.01 * torch.randn(weight.shape, generator=noise))

    known = (KnownDeposit(name="a/first", weights_sha256="0" * 64, fingerprint=verdict_on(good, rules).fingerprint),)
    assert "the nearest is a/first" in broken(verdict_on(deposit_of(shaken), rules, known=known))["no copy"].found
    assert "no copy" not in broken(verdict_on(deposit_of(seed=1), rules, known=known))


# ---- attacks ----


def with_header(folder: Path, change: Callable[[dict[str, Any]], None], *, pad: int = 0) -> None:
    """Write the weights' file with another header, its tensors as they are."""
    data = (folder / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :] + bytes(pad))


def first_of(header: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = header[sorted(name for name in header if name != "__metadata__")[0]]
    return entry


def terabytes(deposit: Any) -> None:
    with_header(deposit.folder, lambda h: first_of(h).update(shape=[2**40, 2**10], data_offsets=[0, 2**52]))
    deposit.about_its_weights()


def long_header(deposit: Any) -> None:
    path = deposit.folder / WEIGHTS
    path.write_bytes(struct.pack("<Q", 2**60) + path.read_bytes()[8:])
    deposit.about_its_weights()


def doubles(deposit: Any) -> None:
    with_header(deposit.folder, lambda h: first_of(h).update(dtype="F64"))
    deposit.about_its_weights()


def gap(deposit: Any) -> None:
    with_header(deposit.folder, lambda h: None, pad=8)
    deposit.about_its_weights()


def other_shape(deposit: Any) -> None:
    with_header(deposit.folder, lambda h: h["to_grey.weight"].update(shape=[8, 1, 1, 1]))
    deposit.about_its_weights()


def more_tensors(deposit: Any) -> None:
    tensors = safetensors.torch.load_file(deposit.folder / WEIGHTS)
    safetensors.torch.save_file({**tensors, "a film": torch.zeros(64)}, deposit.folder / WEIGHTS)
    deposit.about_its_weights()


def pickled(deposit: Any) -> None:
    torch.save({"a": torch.zeros(2)}, deposit.folder / WEIGHTS)
    deposit.about_its_weights()


def configured(**changes: Any) -> Callable[[Any], None]:
    def change(deposit: Any) -> None:
        network = json.loads((deposit.folder / "config.json").read_text())["network"]
        deposit.change("config.json", network={**network, **changes})
        deposit.sign()

    return change


def other_family(deposit: Any) -> None:
    deposit.change("config.json", architecture="os.system")
    deposit.sign()


def code(deposit: Any) -> None:
    (deposit.folder / "model.py").write_text("import os")
    deposit.sign()


def linked(deposit: Any) -> None:
    (deposit.folder / "LICENSE").unlink()
    (deposit.folder / "LICENSE").symlink_to("/etc/passwd")


def flipped(deposit: Any) -> None:
    data = bytearray((deposit.folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (deposit.folder / WEIGHTS).write_bytes(data)


def truncated(deposit: Any) -> None:
    (deposit.folder / WEIGHTS).write_bytes((deposit.folder / WEIGHTS).read_bytes()[:-100])
    deposit.about_its_weights()


def unsigned(deposit: Any) -> None:
    (deposit.folder / "model.sig").write_text("{}")


def nan_in_audit(deposit: Any) -> None:
    text = (deposit.folder / "audit.json").read_text()
    (deposit.folder / "audit.json").write_text(
        text.replace('"detection_limit": 0', '"detection_limit": NaN, "x": 0', 1)
    )
    deposit.sign()


def nested_json(deposit: Any) -> None:
    (deposit.folder / "findings.json").write_text("[" * 200_000)
    deposit.sign()


def cut_off(deposit: Any) -> None:
    (deposit.folder / "explain.json").write_text("{")
    deposit.sign()


def study_of_others(deposit: Any) -> None:
    share = {"value": 0.6, "low": 0.5, "high": 0.7}
    result = {
        "group": "readers", "side": 16, "readers": 6, "images": 9, "answers": 54, "timed_out": 0, "accuracy": share,
        "sensitivity": share, "specificity": share, "kappa": None, "detectable": None, "p_corrected": 0.5,
    }  # fmt: skip
    record = {
        "format_version": 1, "last_answer": None, "timed_out": "half", "readers": 6, "images": 9,
        "synthetic_images": 4, "generators": [{"digest": "0" * 64, "images": 4}], "results": [result],
    }  # fmt: skip
    (deposit.folder / "study.json").write_text(json.dumps(record))
    deposit.sign()


def study_of_one_reader(deposit: Any) -> None:
    study_of_others(deposit)
    deposit.change("study.json", by_reader=[{"reader": "Dr Ampel"}])
    deposit.sign()


def other_audit(deposit: Any) -> None:
    deposit.change("audit.json", digest="0" * 64)
    deposit.sign()


def without_controls(deposit: Any) -> None:
    deposit.change("audit.json", controls=[])
    deposit.sign()


def leak_found(deposit: Any) -> None:
    """The site's own verdict stays "passed"."""
    audit = json.loads((deposit.folder / "audit.json").read_text())
    for test in audit["privacy"]:
        if test["kind"] == "near-duplicates" and test["result"]:
            test.update(result={"value": 9.0, "low": 5.0, "high": 12.0}, p_value=1e-9)
    deposit.change("audit.json", privacy=audit["privacy"])
    deposit.sign()


def card_with(old: str, new: str) -> Callable[[Any], None]:
    def change(deposit: Any) -> None:
        text = (deposit.folder / "README.md").read_text()
        assert old in text
        (deposit.folder / "README.md").write_text(text.replace(old, new, 1))
        deposit.sign()

    return change


def broken_picture(deposit: Any) -> None:
    path = deposit.folder / "samples" / "overview.png"
    path.write_bytes(path.read_bytes()[:-200])
    deposit.sign()


def bomb(deposit: Any) -> None:
    Image.new("1", (20_000, 20_000)).save(deposit.folder / "samples" / "overview.png")
    deposit.sign()


ATTACKS = [
    (terabytes, "weights", "header", "not at 4,503,599,627,370,496"),
    (long_header, "weights", "header", "claims a header of"),
    (doubles, "weights", "header", "is of type F64"),
    (gap, "weights", "header", "claims"),
    (other_shape, "weights", "network", "size mismatch"),
    (more_tensors, "weights", "network", "Unexpected key"),
    (pickled, "weights", "header", "claims a header of"),
    (truncated, "weights", "header", "bytes of tensors, the file holds"),
    (configured(channels={4: 10**9, 8: 8, 16: 8}), "weights", "network", "1,000,000,000 feature maps"),
    (configured(resolution=2**20), "weights", "network", "1048576"),
    (configured(style=10**12, latent_size=10**12), "weights", "network", "latent vectors of"),
    (configured(findings=10**9), "weights", "network", "do not belong together"),
    (other_family, "weights", "network", "architecture 'os.system' is not known"),
    (code, "files", "names and sizes", "'model.py' does not belong"),
    (linked, "files", "names and sizes", "'LICENSE' is no ordinary file"),
    (bomb, "files", "names and sizes", "more than 64,000,000 pixels"),
    (flipped, "signature", "signature", "is not what was signed"),
    (unsigned, "signature", "signature", "damaged or not by the owner"),
    (nan_in_audit, "records", "audit.json", "NaN is no number"),
    (nested_json, "records", "findings.json", "recursion"),
    (other_audit, "records", "one generator", "audit.json is about other weights"),
    (study_of_others, "records", "one generator", "study.json is about a study that showed no image of"),
    (study_of_one_reader, "records", "study.json", "study.json is damaged"),
    (broken_picture, "pictures", "pictures", "overview.png"),
    (card_with("license: cc-by-4.0", "licence: mine"), "card", "license", "none"),
    (card_with("---\n", "---\n[" * 9), "card", "head", "README.md"),
    (card_with("value: 0.75", "value: 0.99"), "card", "figures", "precision is 0.99 on the card, 0.75 in the audit"),
    (without_controls, "audit", "controls were run", "no planted leak"),
    (leak_found, "audit", "privacy: near-duplicates, SSIM", "9"),
]


@pytest.mark.parametrize(("attack", "step", "rule", "words"), ATTACKS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_attack_is_refused_at_its_step_with_its_reason_and_nothing_is_loaded_before(
    deposit: Any,
    rules: GateRules,
    monkeypatch: pytest.MonkeyPatch,
    attack: Callable[[Any], None],
    step: str,
    rule: str,
    words: str,
) -> None:
    loaded = []
    monkeypatch.setattr(gate, "image_part", lambda *inputs: loaded.append(inputs) or (None, None, []))
    attack(deposit)
    started = time.process_time()
    found = broken(verdict_on(deposit, rules))
    assert time.process_time() - started < 20  # nothing of what a file claims is done
    assert found[rule].step == step
    assert words in found[rule].found
    assert bool(loaded) == (step not in gate.BEFORE_LOADING)


def test_a_package_signed_with_a_key_of_another_site_is_refused(good: Any, rules: GateRules, tmp_path: Path) -> None:
    new_keys(tmp_path / "other")
    other = tmp_path / "other" / "public.pem"
    verdict = examine(good.folder, public_keys=[other], references=[], rules=rules)
    assert "signed with another key than the registered key" in broken(verdict)["signature"].found
    both = examine(good.folder, public_keys=[other, good.public], references=[], rules=rules)
    assert both.passed


def test_the_depositor_sees_all_faults_at_once(deposit: Any, rules: GateRules) -> None:
    for attack in (without_controls, doubles, cut_off, code, flipped):
        attack(deposit)
    steps = {line.step for line in broken(verdict_on(deposit, rules)).values()}
    assert {"files", "records", "weights", "audit"} <= steps
    (deposit.folder / "model.py").unlink()
    steps = {line.step for line in broken(verdict_on(deposit, rules)).values()}
    assert {"signature", "records", "weights", "audit"} <= steps


def test_a_license_that_the_hub_does_not_take_is_refused(good: Any, rules: GateRules) -> None:
    found = broken(verdict_on(good, rules.model_copy(update={"licenses": ("cc0-1.0",)})))
    assert found["license"].limit == "one of cc0-1.0"
