from pathlib import Path

import pytest
from pydantic import ValidationError

from radcommons.errors import GeneratorRefused
from radcommons.records import ClientPrivacy, FederationRecord

RECORD = FederationRecord(clients=5, films=900, rounds=40, share="both", aggregation="mean", local_iterations=10)
PRIVACY = ClientPrivacy(epsilon=7.5, delta=1e-5, noise_multiplier=1.0, clipping_norm=2.0, releases=40)


def test_a_record_comes_back_from_its_file(tmp_path: Path) -> None:
    for record in (RECORD, RECORD.model_copy(update={"privacy": PRIVACY})):
        (tmp_path / "federation.json").write_text(record.to_json())
        read = FederationRecord.read(tmp_path / "federation.json", refused=GeneratorRefused, remedy="fetch it again")
        assert read == record


@pytest.mark.parametrize(
    "changes",
    [
        {"clients": 0}, {"films": -1}, {"rounds": -1}, {"local_iterations": 0}, {"share": "all"},
        {"aggregation": "sum"}, {"more": 1}, {"privacy": {"epsilon": 1.0}},
        {"privacy": {**PRIVACY.model_dump(), "epsilon": float("inf")}},
        {"privacy": {**PRIVACY.model_dump(), "epsilon": -1.0}},
        {"privacy": {**PRIVACY.model_dump(), "delta": 1.0}},
        {"privacy": {**PRIVACY.model_dump(), "delta": 0.0}},
        {"privacy": {**PRIVACY.model_dump(), "noise_multiplier": 0.0}},
        {"privacy": {**PRIVACY.model_dump(), "releases": 39}},
        {"aggregation": "median", "privacy": PRIVACY.model_dump()},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FederationRecord.model_validate({**RECORD.model_dump(), **changes})


def test_privacy_is_never_named_without_epsilon_and_delta() -> None:
    assert RECORD.privacy_statement == "no differential privacy"
    private = RECORD.model_copy(update={"privacy": PRIVACY}).privacy_statement
    assert private == "differential privacy of clients: epsilon 7.5, delta 1e-05"


def test_no_epsilon_is_written_smaller_than_it_is() -> None:
    for epsilon, written in ((7.501, "7.51"), (0.12345, "0.124"), (123.41, "124"), (2.0, "2")):
        privacy = PRIVACY.model_copy(update={"epsilon": epsilon})
        assert f"epsilon {written}," in RECORD.model_copy(update={"privacy": privacy}).privacy_statement


def test_a_sentence_says_how_it_was_trained() -> None:
    assert RECORD.statement == (
        "Trained by 5 clients together in 40 rounds of 10 generator steps each; generator and critic travelled; the "
        "weights were combined by their mean."
    )
    other = RECORD.model_copy(update={"share": "generator", "aggregation": "krum", "rounds": 1, "local_iterations": 1})
    assert "in 1 round of 1 generator step each; only the generator travelled" in other.statement
    assert "the weights were combined by Krum" in other.statement


def test_a_summary_says_how_it_was_trained_and_under_which_bound() -> None:
    assert RECORD.summary == f"{RECORD.statement} No differential privacy."
    private = RECORD.model_copy(update={"privacy": PRIVACY}).summary
    assert private.endswith(" Differential privacy of clients: epsilon 7.5, delta 1e-05.")


def test_an_audit_tells_that_it_asked_about_the_films_of_one_hospital_alone() -> None:
    assert RECORD.tested(103) == (
        "The films in training of this audit are those of the auditing hospital's store alone, 103 of 900: the films "
        "of the other clients were not tested."
    )
    assert RECORD.tested(900) == "The films in training of this audit are those of all clients."
