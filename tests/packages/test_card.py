import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from radcommons.errors import SettingRefused
from radcommons.packages.card import CardWords, card, one_line, plain, read_head
from radcommons.policy.judge import judge
from radcommons.policy.settings import Policy
from radcommons.records import (
    AuditReport,
    AuditResults,
    ClientPrivacy,
    FederationRecord,
    FindingsRecord,
    GeneratorRecord,
)

HOSTILE = (
    "site\n---\nlicense: mit\n# <script>alert(1)</script> [x](javascript:alert(1)) ![y](//e.vil/z) | `a` \x1b[2J\u202e"
)


@pytest.fixture(scope="session")
def written(audited_run, words):
    """The card of the audited run, with changes."""
    folder = audited_run.run / "generator"
    config = GeneratorRecord.model_validate_json((folder / "config.json").read_bytes())
    findings = FindingsRecord.model_validate_json((folder / "findings.json").read_bytes())

    def make(report: AuditReport = audited_run.report, *, words: CardWords = words, name: str = "site-a", **options):
        return card(words, config.model_copy(update={"name": name}), findings, report, **{"patients": False, **options})

    return make


def judged(report: AuditReport, rules: Policy | None = None, **changes: object) -> AuditReport:
    """A report with other results, judged again."""
    values = {**report.model_dump(exclude={"judgement"}), **changes}
    results = AuditResults.model_validate(values)
    return AuditReport(**results.model_dump(), judgement=judge(results, rules or Policy()))


def leaking(report: AuditReport) -> AuditReport:
    tests = [test.model_dump() for test in report.privacy]
    for test in tests:
        if test["kind"] == "near-duplicates":
            test.update(result={"value": 12.0}, p_value=0.0001)
    return judged(report, privacy=tests)


def test_the_head_is_that_of_a_model_card(written, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(written(), encoding="utf-8")
    data = ModelCard.load(tmp_path / "README.md").data
    assert (data.license, data.library_name) == ("cc-by-nc-4.0", "radcommons")
    assert data.pipeline_tag == "unconditional-image-generation"
    assert {"medical", "synthetic", "progan", "Effusion", "Pleural_Thickening"} <= set(data.tags)
    measured = {result.metric_type: result.metric_value for result in data.eval_results}
    assert measured == {"fid": 62.0, "precision": 0.7, "recall": 0.6, "density": 0.8, "coverage": 0.5}
    assert {result.dataset_name for result in data.eval_results} == {"Held-out films of site-a"}
    assert read_head(tmp_path / "README.md")["license"] == "cc-by-nc-4.0"


def test_numbers_are_those_of_the_records(written) -> None:
    text = written()
    assert "| Training films | 103, of 80 patients |" in text
    assert "40 films of 30 patients who were not in the training" in text
    assert "| Effusion | 25.0% |" in text and "| Pleural_Thickening | 5.0% |" in text
    assert "leave out 3 training films" in text and "fewer than 5 patients" in text
    assert "| Frechet distance (FID), 0 = alike | 62.0 | 27.0 |" in text
    assert "features of toy" in text and "e" * 64 in text
    assert "radiology@example.org" in text and "not claimed to be anonymous" in text


def test_a_card_says_who_trained_together_and_whether_with_differential_privacy(written, audited_run) -> None:
    record = FederationRecord(clients=5, films=1234, rounds=40, share="both", aggregation="mean", local_iterations=10)
    text = written(judged(audited_run.report, federation=record))
    assert "on the radiographs of 5 clients, which did not leave them." in text and "one site" not in text
    assert f"| Audited by | {audited_run.report.store} |" in text and "| Site |" not in text
    assert f"name: Held-out films of {audited_run.report.store}" in text
    assert f"| How | {record.statement} |\n| Differential privacy | no differential privacy |\n" in text
    assert (
        "| Training films of all clients | 1,234 |\n| Of the client that audited it | 103, of 80 patients |\n" in text
    )
    assert record.tested(103) in text and "No differential privacy was used" in text
    privacy = ClientPrivacy(epsilon=7.501, delta=1e-5, noise_multiplier=1.0, clipping_norm=2.0, releases=40)
    private = written(judged(audited_run.report, federation=record.model_copy(update={"privacy": privacy})))
    assert "| Differential privacy | differential privacy of clients: epsilon 7.51, delta 1e-05 |" in private
    assert "No differential privacy" not in private
    assert "Differential privacy" not in written() and "one site (site-a)." in written() and "client" not in written()


def test_one_row_for_each_kind_of_attack_from_outside(written) -> None:
    rows = re.findall(r"^\| (.*) \| (?:synthetic images|the generator) \| (.*) \| (.*) \| (.*) \|$", written(), re.M)
    assert rows == [
        ("near-duplicates", "no leak found", "0.4", "2.0% copies"),
        ("data copying", "no leak found", "0.4", "2.0% copies"),
        ("distance to closest record", "no leak found", "0.4", "2.0% copies"),
        ("membership inference: black-box", "no leak found", "0.4", "AUC 0.55"),
        ("membership inference: white-box", "no leak found", "0.4", "AUC 0.55"),
    ]


def test_the_worst_of_several_spaces_decides_and_the_most_sensitive_one_gives_the_limit(written, audited_run) -> None:
    test = next(t for t in audited_run.report.privacy if t.kind == "distance to closest record").model_dump()
    others = [t.model_dump() for t in audited_run.report.privacy if t.kind != "distance to closest record"]

    def row(*spaces: dict[str, object]) -> str:
        report = judged(audited_run.report, privacy=[*others, *({**test, **space} for space in spaces)])
        return next(line for line in written(report).splitlines() if line.startswith("| distance to closest"))

    able = {"space": "SSIM", "p_value": 0.2, "detection_limit": 0.1}
    blind = {"space": "extractor features", "p_value": 0.3, "detection_limit": 0.9}
    leak = {"space": "re-identification features", "p_value": 0.0001, "detection_limit": 0.3}
    assert row(able, blind).endswith("| no leak found | 0.2 | 10.0% copies |")
    assert row(blind).endswith("| inconclusive | 0.3 | 90.0% copies |")
    assert row(able, blind, leak).endswith("| **leak found** | 0.0001 | 10.0% copies |")
    skipped = {"space": "SSIM", "result": None, "p_value": None, "detection_limit": None, "skipped": "too few"}
    assert row(skipped).endswith("| not tested | - | - |")


def test_a_failed_audit_is_stated_and_a_passed_one_is_not(written, audited_run) -> None:
    assert "publishes this generator all the same" not in written()
    text = written(leaking(audited_run.report))
    assert "does not meet its policy (near-duplicates)" in text and "publishes this generator all the same" in text
    assert "### Privacy: failed" in text and "A leak was found by: near-duplicates." in text


def test_rules_of_the_sites_own_are_stated(written) -> None:
    assert "rules of the site's own" not in written()
    assert "rules of the site's own" in written(own_rules=True)


def test_what_no_explanation_shows_is_not_claimed(written) -> None:
    assert "What the labels change" not in written()


def test_the_list_of_patients_is_explained_or_its_absence(written) -> None:
    assert "is not in this package" in written() and "`patients.json`" not in written()
    assert "`patients.json` holds salted hashes" in written(patients=True)


def test_hostile_words_stay_words(written, tmp_path: Path, words: CardWords) -> None:
    text = written(
        name=HOSTILE,
        words=CardWords(name=HOSTILE, license="other", contact=HOSTILE, intended_use=HOSTILE),
    )
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    head = read_head(tmp_path / "README.md")
    assert head["license"] == "other" and head["license_link"] == "LICENSE"
    assert ModelCard.load(tmp_path / "README.md").data.license == "other"
    assert text.count("\n---\n") == 1, "nobody ends the head early"
    body = text.partition("\n---\n")[2]
    for markup in ("<script", "[x](", "![y](", "| `a`", "\x1b", "\u202e", "\n# &lt;", "\nlicense:"):
        assert markup not in body
    assert body.startswith("\n# site --- license: mit")


def test_plain_text_has_no_markup() -> None:
    assert plain("a|b") == "a\\|b"
    assert plain("**x** `y` [z](w) #") == "\\*\\*x\\*\\* \\`y\\` \\[z\\](w) \\#"
    assert plain("<b> & &lt;") == "&lt;b&gt; &amp; &amp;lt;"
    assert plain("Pleural_Thickening, 0.5% at a@b.org") == "Pleural_Thickening, 0.5% at a@b.org"
    assert one_line(" a\n\tb\x00c\u2028d ") == "a b c d"


@pytest.mark.parametrize("license", ["", "CC BY", "mit\nlicense: x", "../../LICENSE", "a" * 65, "-x"])
def test_a_license_is_named_as_hugging_face_does(license: str) -> None:
    with pytest.raises(SettingRefused, match=r"write it as Hugging Face does, e\.g\. cc-by-nc-4\.0"):
        CardWords(name="a", license=license, contact="b")


@pytest.mark.parametrize("field", ["name", "contact", "intended_use"])
def test_empty_words_are_refused(field: str) -> None:
    with pytest.raises(SettingRefused, match=f"{field.replace('_', ' ')} is empty; the card needs it"):
        CardWords(**{"name": "a", "license": "mit", "contact": "b", field: " \n"})


def test_an_audit_without_the_numbers_of_a_card_is_refused(written, audited_run) -> None:
    report = audited_run.report
    with pytest.raises(SettingRefused, match="no scores of synthetic images; audit the generator again"):
        written(judged(report, quality=()))
    with pytest.raises(SettingRefused, match="does not say how many films in training there were"):
        written(report.model_copy(update={"counts": {}}))


@pytest.mark.parametrize(
    "text",
    ["", "no head", "---\n---\n", "---\na: [\n---\n", "---\n- a\n---\n", "---\n" + "[" * 50_000 + "\n---\n",
     "---\na: !!python/object/apply:os.system ['id']\n---\n"],
)  # fmt: skip
def test_a_head_that_is_none_is_a_value_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(ValueError):
        read_head(tmp_path / "README.md")
