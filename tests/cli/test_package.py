import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from radcommons.cli import run


@pytest.fixture
def command(audited_run, tmp_path: Path) -> list[str]:
    """Packages the audited run to `package`, with new keys in `keys`."""
    assert run(["keys", "new", "--out", str(tmp_path / "keys")]) == 0
    (tmp_path / "LICENSE").write_text("You may.")
    return [
        "package", str(audited_run.run), "--audit", str(audited_run.audit), "--out", str(tmp_path / "package"),
        "--key", str(tmp_path / "keys" / "private.pem"), "--license", "cc-by-nc-4.0",
        "--license-file", str(tmp_path / "LICENSE"), "--contact", "radiology@example.org",
    ]  # fmt: skip


@pytest.fixture
def strict(tmp_path: Path) -> str:
    (tmp_path / "strict.toml").write_text("detection_limit = 0.001\n")
    return str(tmp_path / "strict.toml")


def test_keys_package_verify(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, public = tmp_path / "package", str(tmp_path / "keys" / "public.pem")
    capsys.readouterr()
    assert run([*command, "--name", "Site A", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["name"] == "Site A" and made["privacy"] == "passed" and made["broken"] == []
    assert made["patients"] is False and "README.md" in made["files"] and "checkpoint.pt" not in made["files"]
    assert run(["verify", str(out), "--key", public, "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["weights_sha256"] == made["weights_sha256"] and checked["name"] == "site-a"
    assert run(["verify", str(out), "--key", public]) == 0
    said = capsys.readouterr().out
    assert f"signed by the owner of {public}" in said and "16 x 16 pixels, 2 findings" in said
    assert "the site's audit, judged here: privacy passed, quality passed" in said
    assert run(["generate", str(out), "--out", str(tmp_path / "set"), "-n", "3"]) == 0


def test_the_text_says_what_to_do_next(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "new", "--out", str(tmp_path / "more")]) == 0
    assert "keep it secret" in capsys.readouterr().out
    assert run(command) == 0
    said = capsys.readouterr().out
    assert f"read {tmp_path / 'package' / 'README.md'} before you share it" in said
    assert run(command) == 2
    assert "already holds something; choose another --out" in capsys.readouterr().err


def test_a_reader_study_goes_along_or_is_refused_in_one_line(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], studied
) -> None:
    capsys.readouterr()
    others = studied(drawn_by=("f" * 64,))
    assert run([*command, "--study", str(others)]) == 2
    said = f"radcommons: {others} is about a study that showed no image of site-a; give one that did\n"
    assert capsys.readouterr().err == said and not (tmp_path / "package").exists()
    assert run([*command, "--study", str(studied()), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["study"] is True and "study.json" in made["files"]


def test_a_failed_audit_ends_with_3_and_allow_failed_says_so(
    command: list[str], strict: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--policy", strict]) == 3
    assert "the policy is not met: detection limit" in capsys.readouterr().err
    assert not (tmp_path / "package").exists()
    assert run([*command, "--policy", strict, "--allow-failed", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["broken"] == ["detection limit"]
    assert "publishes this generator all the same" in (tmp_path / "package" / "README.md").read_text()


def test_whoever_verifies_judges_by_rules_of_their_own(
    command: list[str], strict: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command) == 0
    capsys.readouterr()
    verify = ["verify", str(tmp_path / "package"), "--key", str(tmp_path / "keys" / "public.pem")]
    assert run([*verify, "--policy", strict]) == 0
    assert "privacy failed, quality passed\nnot met: detection limit" in capsys.readouterr().out


@pytest.mark.parametrize("key", ["private.pem", "none.pem"])
def test_a_changed_package_and_a_wrong_key_end_with_2(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    assert run(command) == 0
    assert run(["verify", str(tmp_path / "package"), "--key", str(tmp_path / "keys" / key)]) == 2
    with (tmp_path / "package" / "README.md").open("a") as card:
        card.write("better than ever\n")
    assert run(["verify", str(tmp_path / "package"), "--key", str(tmp_path / "keys" / "public.pem")]) == 2
    assert "is not what was signed; changed: README.md" in capsys.readouterr().err


def test_keys_are_not_overwritten(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (tmp_path / "keys" / "private.pem").read_bytes()
    assert run(["keys", "new", "--out", str(tmp_path / "keys")]) == 2
    assert "keys need a folder of their own" in capsys.readouterr().err
    assert (tmp_path / "keys" / "private.pem").read_bytes() == before


def test_a_key_that_others_may_read_is_warned_about_and_still_signs(
    command: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "keys" / "private.pem").chmod(0o644)
    assert run(command) == 0
    assert "others may read this private key" in caplog.text


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['model_signing'] = None; from radcommons.cli import run; sys.exit(run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "keys", "new", "--out", str(tmp_path / "keys")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "radcommons: packages need the extra 'hub'; run: pip install 'radcommons[hub]'\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_half_way_there_is_no_package_and_the_same_command_begins_again(
    command: list[str], tmp_path: Path, start, number: int
) -> None:
    code = (
        "import sys, time; from radcommons import cli, packing; "
        "packing._draw_samples = lambda *_: time.sleep(600); sys.exit(cli.run(sys.argv[1:]))"
    )  # it stays half-way until the signal comes
    started = start([sys.executable, "-c", code, *command])
    started.wait_until((tmp_path / "package.partial" / "package.partial" / "generator.safetensors").exists)
    os.kill(started.process.pid, number)
    status = started.end()[0]
    assert status != 0 and not (tmp_path / "package").exists()
    assert run(command) == 0
    assert not (tmp_path / "package.partial").exists()
