import re
from pathlib import Path
from typing import Any

import pytest

from radcommons.compare.subjects import open_all
from radcommons.errors import BadInput
from radcommons.records import AuditReport


def another(folder: Path, report: AuditReport, **changes: object) -> Path:
    folder.mkdir()
    changes = {"digest": "f" * 64, **changes}
    (folder / "audit.json").write_text(report.model_copy(update=changes).to_json(), encoding="utf-8")
    return folder


def test_an_audit_and_a_package_are_compared_and_the_package_brings_its_generator(
    audited_run: Any, packaged: Path, tmp_path: Path
) -> None:
    first, second = open_all([another(tmp_path / "audit", audited_run.report, subject="site-b"), packaged])
    assert (first.name, second.name) == ("A: site-b", "B: site-a")
    assert first.generator is None
    assert second.generator is not None and second.generator.digest == second.report.digest


def test_audits_of_one_name_are_told_apart_by_their_folders(audited_run: Any, tmp_path: Path) -> None:
    folders = [another(tmp_path / name, audited_run.report, digest=name * 64) for name in ("a", "b")]
    assert [one.name for one in open_all(folders)] == ["A: site-a (a)", "B: site-a (b)"]


def test_a_generator_finds_its_audit_by_its_weights(audited_run: Any, tmp_path: Path) -> None:
    other = another(tmp_path / "other", audited_run.report)
    first, second = open_all([other, audited_run.audit], [audited_run.run])
    assert first.generator is None and second.generator is not None


@pytest.mark.parametrize(
    ("audits", "generators", "said"),
    [
        (["other"], [], "1 audits are named; name 2 to 8"),
        (["other", "other"], [], "other is given twice"),
        (["other", "nowhere"], [], "nowhere is not a folder"),
        (["other", "empty"], [], "has no audit.json; name the folder of its audit, and a run itself with --generator"),
        (["other", "third"], ["run"], "none of the audits is about the weights of"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_next_step(
    audited_run: Any, tmp_path: Path, audits: list[str], generators: list[str], said: str
) -> None:
    another(tmp_path / "other", audited_run.report)
    another(tmp_path / "third", audited_run.report, digest="e" * 64)
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").symlink_to(audited_run.run)
    with pytest.raises(BadInput, match=re.escape(said)):
        open_all([tmp_path / name for name in audits], [tmp_path / name for name in generators])
