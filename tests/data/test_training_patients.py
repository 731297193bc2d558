"""A generator's list of patients against a store: the same patients are found, and what cannot be compared is said."""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radcommons.data.ingest import ingest, ingest_phantoms
from radcommons.data.pseudonyms import phantom_fingerprint
from radcommons.data.sources import list_table
from radcommons.data.store import Store
from radcommons.data.training_patients import Seen, key_fingerprint, patients_record, patients_seen, require_unseen
from radcommons.errors import GeneratorRefused, PatientsSeen
from radcommons.models.families.progan import GeneratorNetwork, ProganConfig
from radcommons.models.generator_files import save_generator
from radcommons.records import FindingsRecord, PatientsRecord

FINDINGS = FindingsRecord(findings=(), combinations=(), smallest_cell=5)
CONFIG = ProganConfig(resolution=4, channels={4: 1}, latent_size=1, findings=0)


@pytest.fixture
def films(tmp_path: Path, film_table: Callable[..., Path]) -> Path:
    return film_table(tmp_path / "films", films=60)


@pytest.fixture
def imported(tmp_path: Path, films: Path) -> Callable[..., Store]:
    """Imports the films of thirty patients, by default under the hospital's key."""

    def run(out: str, *, key: str | None = "hospital.key", salt: str = "one", source: str = "table") -> Store:
        listing = replace(list_table([films]), source=source)
        key_file = tmp_path / key if key else None
        ingest(listing, tmp_path / out, name="own", resolution=4, key_file=key_file, split_salt=salt)
        return Store.open(tmp_path / out)

    return run


def listed(store: Store) -> PatientsRecord:
    """The list of a generator trained on a store."""
    return patients_record(store, store.rows("train"))


def forget_fingerprint(store: Store) -> Store:
    """The store as an older version would have left it."""
    path = store.path / "store.json"
    values = json.loads(path.read_text())
    del values["key_fingerprint"]
    path.write_text(json.dumps(values))
    return Store.open(store.path)


def publish(folder: Path, patients: PatientsRecord | None) -> Path:
    network = GeneratorNetwork(CONFIG)
    save_generator(
        folder, network, FINDINGS, name="own", family="progan", config=CONFIG, images_seen=1, patients=patients
    )
    return folder


def people(store: Store, rows: Iterable[int]) -> int:
    return store.manifest["patient"][list(rows)].n_unique()


# --- what is compared ------------------------------------------------------------------------------------------------


def test_of_its_own_store_a_generator_has_seen_all_training_patients_and_no_other(imported: Callable[..., Store]):
    store = imported("store")
    train, held_out = store.rows("train"), np.concatenate([store.rows("val"), store.rows("test")])
    assert len(held_out) > 4
    assert patients_seen(listed(store), store, train) == Seen(people(store, train), people(store, train))
    assert patients_seen(listed(store), store, held_out) == Seen(0, people(store, held_out))
    assert patients_seen(listed(store), store, store.rows()) == Seen(people(store, train), 30)


def test_a_second_import_under_the_same_key_is_the_same_patients_though_split_another_way(
    imported: Callable[..., Store],
):
    first, second = imported("first"), imported("second", salt="two")
    trained = set(first.manifest["patient"][first.rows("train")])
    tested = set(second.manifest["patient"][second.rows("test")])
    seen = patients_seen(listed(first), second, second.rows("test"))
    assert seen == Seen(len(trained & tested), len(tested)) and seen.comparable
    assert seen.patients > 0, "the two splits must cross for this test to say something"


def test_under_another_key_nothing_is_found_and_that_is_not_called_unseen(imported: Callable[..., Store]):
    record, other = listed(imported("first")), imported("second", key="other.key")
    seen = patients_seen(record, other, other.rows("train"))
    assert seen.patients == 0 and not seen.comparable
    assert seen.describe("training").endswith(": their pseudonyms were made with another key")


def test_a_store_without_a_fingerprint_is_known_by_the_key_inside_it(imported: Callable[..., Store]):
    store = imported("store", key=None)
    fingerprint = key_fingerprint(store)
    record = listed(store)
    older = forget_fingerprint(store)
    assert older.record.key_fingerprint is None and key_fingerprint(older) == fingerprint is not None
    assert patients_seen(record, older, older.rows("test")).comparable
    assert listed(older) == record


def test_where_a_key_is_unknown_a_match_counts_and_no_match_settles_nothing(imported: Callable[..., Store]):
    record, older = listed(imported("first")), forget_fingerprint(imported("second"))
    assert key_fingerprint(older) is None
    for seen in (
        patients_seen(record, older, older.rows("test")),
        patients_seen(record.model_copy(update={"key_fingerprint": None}), older, older.rows("test")),
    ):
        assert seen.patients == 0 and seen.incomparable == "unknown pseudonym key"
    seen = patients_seen(record, older, older.rows("train"))
    assert seen.patients == people(older, older.rows("train"))
    assert seen.describe().endswith("test patients were in this generator's training")


def test_two_readers_compare_once_any_patient_of_the_store_has_the_name_that_the_generators_gave(
    imported: Callable[..., Store], tmp_path: Path, films: Path
):
    nih, rsna = imported("nih", source="nih"), imported("rsna", source="rsna")
    assert patients_seen(listed(nih), rsna, rsna.rows("test")).comparable
    text = (films / "labels.csv").read_text()
    (films / "labels.csv").write_text(text.replace("film-patient-", "image-"))  # RSNA without the mapping to NIH
    unmapped = imported("unmapped", source="rsna")
    seen = patients_seen(listed(nih), unmapped, unmapped.rows("test"))
    assert seen.incomparable == "patients of 'nih' may have other identifiers there"
    assert patients_seen(listed(unmapped), unmapped, unmapped.rows("test")).comparable


def test_phantom_patients_are_the_same_where_site_and_seed_are(tmp_path: Path):
    def hospital(out: str, site: str, seed: int, patients: int = 30) -> Store:
        ingest_phantoms(tmp_path / out, patients=patients, site=site, resolution=16, seed=seed)
        return Store.open(tmp_path / out)

    record = listed(hospital("first", "A", 1))
    assert record.key_fingerprint == phantom_fingerprint(site="A", seed=1)
    larger = hospital("larger", "A", 1, patients=40)
    assert patients_seen(record, larger, larger.rows("train")).patients == len(record.hashes)
    assert patients_seen(record, larger, larger.rows("test")) == Seen(0, people(larger, larger.rows("test")))
    for out, site, seed in (("site", "B", 1), ("seed", "A", 2)):  # of another seed: the same names, other patients
        other = hospital(out, site, seed)
        seen = patients_seen(record, other, other.rows("train"))
        assert seen.patients == 0 and seen.incomparable == "their pseudonyms were made with another key"


# --- the list itself -------------------------------------------------------------------------------------------------


def test_the_list_is_the_same_each_time_and_has_no_hash_in_common_with_that_of_a_grown_store(
    imported: Callable[..., Store], films: Path
):
    store = imported("store")
    assert listed(store).to_json() == listed(Store.open(store.path)).to_json()
    shutil.copy(films / "film-0.png", films / "film-99.png")
    with (films / "labels.csv").open("a") as table:
        table.write("film-99.png,film-patient-99,50,F,PA,1,0\n")
    grown = imported("grown")
    assert patients_seen(listed(store), grown, grown.rows("train")).patients == len(listed(store).hashes)
    assert not set(listed(store).hashes) & set(listed(grown).hashes)


def test_the_list_holds_neither_identifier_nor_pseudonym_nor_key(imported: Callable[..., Store], tmp_path: Path):
    store = imported("store")
    text = listed(store).to_json() + (store.path / "store.json").read_text()
    secrets = {*store.manifest["patient"], *store.manifest["image_id"], (tmp_path / "hospital.key").read_text().strip()}
    assert len(secrets) == 30 + 60 + 1
    assert not [secret for secret in secrets if secret in text] and "film-patient" not in text


# --- the gate --------------------------------------------------------------------------------------------------------


def test_the_gate_lets_the_stores_own_test_part_through(imported: Callable[..., Store], tmp_path: Path):
    store = imported("store")
    rows = store.rows("test")
    assert require_unseen(publish(tmp_path / "g", listed(store)), store, rows) == Seen(0, people(store, rows))


def test_the_gate_refuses_seen_patients_in_one_line_with_status_3(imported: Callable[..., Store], tmp_path: Path):
    store, again = imported("store"), imported("again", salt="two")
    generator = publish(tmp_path / "run" / "generator", listed(store)).parent
    with pytest.raises(PatientsSeen) as refusal:
        require_unseen(generator, again, again.rows("test"))
    seen = patients_seen(listed(store), again, again.rows("test"))
    assert refusal.value.exit_code == 3
    assert str(refusal.value) == (
        f"{generator}: {seen.patients} of {seen.of} test patients {'was' if seen.patients == 1 else 'were'} in this "
        "generator's training; leave this generator out, or choose test patients that it was not trained on, such as "
        "the test part of its own store"
    )
    with pytest.raises(PatientsSeen, match=r"(\d+) of \1 validation patients were in this"):
        require_unseen(generator, store, store.rows("train"), what="validation")


def test_the_gate_tells_what_it_could_not_compare_from_what_it_has_compared(
    imported: Callable[..., Store], tmp_path: Path
):
    store, other = imported("store"), imported("other", key="other.key")
    seen = require_unseen(publish(tmp_path / "g", listed(store)), other, other.rows("train"))
    assert seen.incomparable == "their pseudonyms were made with another key"
    bare = require_unseen(publish(tmp_path / "bare", None), store, store.rows("train"))
    assert bare.incomparable == "it comes without patients.json" and bare.of == people(store, store.rows("train"))


def test_a_damaged_list_does_not_open_the_gate(imported: Callable[..., Store], tmp_path: Path):
    store = imported("store")
    generator = publish(tmp_path / "g", listed(store))
    (generator / "patients.json").write_text("{}")
    with pytest.raises(GeneratorRefused, match=r"patients\.json is damaged"):
        require_unseen(generator, store, store.rows("test"))


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Seen(12, 255), "12 of 255 test patients were in this generator's training"),
        (Seen(1, 1_255), "1 of 1,255 test patients was in this generator's training"),
        (Seen(0, 255), "none of 255 test patients was in this generator's training"),
        (Seen(0, 255, "their pseudonyms were made with another key"),
         "it is not known whether any of the 255 test patients was in this generator's training: their pseudonyms "
         "were made with another key"),
        (Seen(2, 255, "unknown pseudonym key"), "2 of 255 test patients were in this generator's training"),
    ],
)  # fmt: skip
def test_the_finding_in_words(seen: Seen, words: str):
    assert seen.describe() == words
