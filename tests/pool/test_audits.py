import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radcommons.errors import GateRefused
from radcommons.models.generator import Generator
from radcommons.pool.pool import Pool
from radcommons.pool.settings import PoolSettings

Spec = Callable[..., PoolSettings]
EXAMPLE = Path(__file__).parents[1] / "records" / "audit-without-distances.json"


def write_audit(generator: Path, folder: Path, **shares: float) -> Path:
    """A real audit's record, as if it were about this generator; precision etc. as given, baselines 0.5."""
    record = json.loads(EXAMPLE.read_text())
    record["digest"] = Generator.load(generator).digest
    for row in record["quality"]:
        for measure in ("precision", "recall", "coverage"):
            row[measure] = shares.get(measure, 0.4) if row["images"] == "synthetic images" else 0.5
    folder.mkdir(exist_ok=True)
    (folder / "audit.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def package(two_sites: tuple[Path, Path]) -> Path:
    """A generator with its audit beside it, as in a package."""
    return write_audit(two_sites[0], two_sites[0])


def refusal(settings: PoolSettings) -> str:
    with pytest.raises(GateRefused) as refused:
        Pool(settings)
    assert refused.value.exit_code == 3
    return str(refused.value)


def test_a_generator_above_the_floor_is_taken(spec: Spec, package: Path) -> None:
    Pool(spec(package, total_images=4, quality={"precision": 0.7, "recall": 0.8, "coverage": 0.1}))


def test_a_generator_below_the_floor_is_refused_with_what_was_found(spec: Spec, package: Path) -> None:
    said = refusal(spec(package, total_images=4, quality={"precision": 0.9, "recall": 0.1, "coverage": 0.85}))
    assert "a, precision: not met, found 0.40, baseline 0.50, asked for at least 90% of the baseline" in said
    assert "a, coverage: not met" in said and "recall" not in said
    assert "lower the floor, or leave it out" in said


def test_a_generator_below_the_floor_is_not_taken_as_unaudited(spec: Spec, package: Path) -> None:
    table = {"reference": str(package), "unaudited": True}
    assert "a, recall: not met" in refusal(spec(table, total_images=4, quality={"recall": 0.9}))


def test_a_generator_without_an_audit_is_refused_unless_told_otherwise(
    spec: Spec, package: Path, two_sites: tuple[Path, Path], tmp_path: Path
) -> None:
    without: dict[str, Any] = {"reference": str(two_sites[1])}
    floor = {"total_images": 4, "quality": {"recall": 0.1}}
    assert "b has no audit" in refusal(spec(package, without, **floor))
    said = refusal(spec(package, without, **floor))
    assert "name a package, or its audit's folder as 'audit', or set 'unaudited = true' in its table" in said
    Pool(spec(package, {**without, "unaudited": True}, **floor))
    audit = write_audit(two_sites[1], tmp_path / "audit")
    Pool(spec(package, {**without, "audit": str(audit)}, **floor))


def test_an_audit_of_other_weights_does_not_count(spec: Spec, package: Path, two_sites: tuple[Path, Path]) -> None:
    table = {"reference": str(two_sites[1]), "audit": str(package)}
    said = refusal(spec(table, total_images=4, require_privacy_passed=True))
    assert "is about other weights than" in said and "audit it again" in said


def test_what_an_audit_did_not_test_is_not_met(spec: Spec, package: Path) -> None:
    floor = {"total_images": 4, "quality": {"finding_fid_ratio": 3}}
    assert "distance by finding: not tested, found no finding has enough films" in refusal(spec(package, **floor))
    Pool(spec({"reference": str(package), "unaudited": True}, **floor))


def test_privacy_is_judged_again_by_the_shipped_rules_whatever_the_site_wrote(spec: Spec, package: Path) -> None:
    record = json.loads((package / "audit.json").read_text())
    for kind in (t for t in record["privacy"] if t["kind"] == "near-duplicates"):
        kind.update(result={"value": 40.0, "low": None, "high": None}, skipped=None)
    record["judgement"]["privacy"] = "passed"
    (package / "audit.json").write_text(json.dumps(record))
    assert "a, privacy failed: " in refusal(spec(package, total_images=4, require_privacy_passed=True))


def test_no_audit_is_read_if_the_pool_asks_for_nothing(spec: Spec, package: Path) -> None:
    (package / "audit.json").write_text("damaged")
    Pool(spec(package, total_images=4))
