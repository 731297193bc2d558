"""The command for a GPU, tried without one."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    return gpu  # type: ignore[no-any-return]


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", code


@pytest.mark.slow
def test_the_toy_form_runs_every_part_and_each_writes_its_result(tmp_path: Path, start: Callable[..., Any]) -> None:
    out = tmp_path / "results"
    status, output, err = start([sys.executable, BENCHMARKS / "gpu.py", "--toy", "--out", out]).end()
    summary = (out / "summary.md").read_text()
    assert status == 0, f"{output}{err}{summary}"
    parts = json.loads((out / "summary.json").read_text())["parts"]
    assert [(part["part"], part["status"]) for part in parts] == [
        ("tests", "done"),
        ("sampling", "done"),
        ("stages", "done"),
        ("films", "done"),
    ]
    found = {part["part"]: json.loads((out / f"{part['part']}.json").read_text()) for part in parts}
    assert found["tests"]["passed"] >= 2 and found["tests"]["failed"] == 0

    sampled = {(row["family"], row["way"]): row for row in found["sampling"]["rows"]}
    for family in ("progan", "rgan"):
        for way in ("fp32", "bf16, channels last", "bf16, channels last, compiled"):
            assert sampled[family, way]["an hour"] > 0 and sampled[family, way]["grey_levels_off"] < 5
        assert sampled[family, "as shipped, with latents and labels"]["an hour"] > 0
        assert "no CUDA graphs" in sampled[family, "the same as a CUDA graph"]["error"]

    assert not [row for row in found["stages"]["rows"] if "error" in row]
    stages = [(row["preset"], row["resolution"]) for row in found["stages"]["rows"] if row["way"] == "as shipped"]
    assert stages == [("demo-32", 4), ("demo-32", 8), ("small-64", 16)]
    assert found["stages"]["whole demo-32, as shipped"]["hours"] > 0

    assert found["films"]["quality"][1]["FID"] > 0 and found["films"]["images_seen"] > 0
    assert (out / "films.png").exists() and (out / "generator.zip").stat().st_size < 16e6
    assert "| films | done |" in summary


def test_a_part_that_fails_or_takes_too_long_does_not_stop_the_next(gpu: ModuleType, tmp_path: Path) -> None:
    leave = f"""echo '{{"rows": [{{"found": 7}}]}}' > '{tmp_path / "slow.json"}'; sleep 6000"""
    chosen = [
        gpu.Part("broken", python("raise SystemExit('it broke')"), 60),
        gpu.Part("slow", ("sh", "-c", leave), 2),
        gpu.Part("sound", python("print('well')"), 60),
    ]
    ended = gpu.run_parts(chosen, tmp_path, {"toy": True})
    statuses = {one.part: one.status for one in ended}
    assert statuses == {"broken": "failed", "slow": "out of time", "sound": "done"}
    assert "it broke" in ended[0].output
    summary = (tmp_path / "summary.md").read_text()
    assert "| broken | failed |" in summary and "| sound | done |" in summary
    assert "| found |\n| --- |\n| 7 |" in summary, "what it found before its time was over"


def test_the_parts_fit_twelve_minutes(gpu: ModuleType) -> None:
    assert sum(gpu.LIMITS.values()) <= 12 * 60 - 15


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_so_in_one_line_and_runs_nothing(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path / "results")])
    gpu.main()
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "no CUDA GPU" in said and "--toy" in said
    assert list(tmp_path.iterdir()) == []
