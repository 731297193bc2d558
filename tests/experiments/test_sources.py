"""What the arms are made of: a site's parts, generators that have not seen them, and images with labels asked for."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.data.training_patients import patients_record
from radcommons.errors import FindingUnknown, PatientsSeen, SettingRefused, TooFewImages
from radcommons.experiments import sources
from radcommons.experiments.enrich import enrich
from radcommons.experiments.settings import EnrichSettings
from radcommons.experiments.sources import (
    generate_as_trained,
    generate_with_and_without,
    generation_seed,
    learned_from,
    open_generator,
    open_generators,
    open_site,
)
from radcommons.models.generator import Generator
from radcommons.progress import silent


def test_a_sites_parts_are_the_stores_without_a_patient_in_two(hospital: Store) -> None:
    site = open_site(hospital.path, ["Effusion", "Nodule"], side=32)
    for part, name in ((site.train, "train"), (site.validation, "val"), (site.test, "test")):
        assert part.rows.tolist() == hospital.rows(name).tolist()  # type: ignore[arg-type]
        columns = [hospital.findings.index(f) for f in ("Effusion", "Nodule")]
        np.testing.assert_array_equal(part.labels, hospital.labels(part.rows)[:, columns])
        assert part.images.shape[-1] == 32
    trained, tested = set(site.train.patients), set(site.test.patients)
    assert trained and tested and not trained & (tested | set(site.validation.patients))


def test_a_finding_that_the_store_does_not_label_is_told_the_nearest(hospital: Store) -> None:
    with pytest.raises(FindingUnknown, match="finding 'Efusion' is not labelled in .*; the nearest is 'Effusion'"):
        open_site(hospital.path, ["Efusion"], side=32)


def test_a_part_with_one_class_only_is_named(hospital: Store) -> None:
    assert not (open_site(hospital.path, ["Nodule"], side=32).store.labels(hospital.rows("val")) >= 0.5).all()
    with pytest.raises(TooFewImages, match="'Pneumothorax' has 0 positive and 25 negative images in the part 'val'"):
        open_site(hospital.path, ["Pneumothorax"], side=32)


def test_a_generator_that_does_not_know_the_finding_offers_the_common_ones(generator: Path, hospital: Store) -> None:
    site = open_site(hospital.path, ["Effusion"], side=32)
    with pytest.raises(FindingUnknown, match=r"does not know 'Fibrosis'; in common with .* are .*Effusion.*Nodule"):
        open_generator(generator, site, ["Fibrosis"])


def test_a_generator_of_the_sites_own_training_part_may_be_used_and_says_what_it_knows(
    generator: Path, hospital: Store
) -> None:
    site = open_site(hospital.path, ["Effusion"], side=32)
    _, note = open_generator(generator, site, ["Effusion"])
    people = len(set(site.train.patients))
    assert note is None
    assert learned_from(generator, site) == (
        f"own-run: {people} of {people} local training patients were in this generator's training, so it knows films "
        "that are not in the small local set"
    )


def test_patients_under_another_key_are_noted_not_passed_over(other_generator: Path, hospital: Store) -> None:
    site = open_site(hospital.path, ["Effusion"], side=32)
    _, note = open_generator(other_generator, site, ["Effusion"])
    people = len(set(site.test.patients) | set(site.validation.patients))
    assert note == (
        f"other-run: it is not known whether any of the {people} test and validation patients was in this "
        "generator's training: their pseudonyms were made with another key"
    )
    assert learned_from(other_generator, site) is None


def test_a_generator_that_has_seen_test_patients_is_refused_before_anything_is_drawn(
    enrich_settings: Callable[..., EnrichSettings], generator: Path, tmp_path: Path
) -> None:
    ingest_phantoms(tmp_path / "resplit", patients=120, site="A", resolution=32, seed=7, split_salt="another way")
    with pytest.raises(PatientsSeen, match=r"own-run: \d+ of \d+ test and validation patients were in") as refusal:
        enrich(enrich_settings(store=tmp_path / "resplit"), tmp_path / "out")
    assert refusal.value.exit_code == 3
    assert not (tmp_path / "out").exists()


def test_validation_patients_count_as_well(generator: Path, hospital: Store, tmp_path: Path) -> None:
    copy = shutil.copytree(generator, tmp_path / "run")
    record = patients_record(hospital, hospital.rows("val"))
    (copy / "generator" / "patients.json").write_text(record.to_json())
    with pytest.raises(PatientsSeen):
        open_generator(copy, open_site(hospital.path, ["Effusion"], side=32), ["Effusion"])


def draw(generator: Path, **changes: int) -> sources.Examples:
    values = {"positives": 5, "negatives": 9, "seed": 1, **changes}
    return generate_with_and_without(Generator.load(generator), "Effusion", name="run", track=silent, **values)


def test_images_are_drawn_with_and_without_the_finding_in_the_numbers_asked_for(generator: Path) -> None:
    drawn = draw(generator)
    assert drawn.labels[:, 0].tolist() == [1.0] * 5 + [0.0] * 9
    assert drawn.findings == ("Effusion",) and drawn.images.shape == (14, 16, 16) and drawn.images.dtype == np.uint8
    assert len(np.unique(drawn.images, axis=0)) == 14, "no image comes twice"
    assert len(set(drawn.patients)) == 14


def test_drawn_as_trained_they_are_the_generators_own_images_about_the_findings_asked_for(generator: Path) -> None:
    chosen = Generator.load(generator)
    drawn = generate_as_trained(chosen, 12, ["Nodule", "Effusion"], name="run", seed=4, track=silent)
    own = chosen.generate(12, seed=4)
    np.testing.assert_array_equal(drawn.images, own.images)
    columns = [chosen.findings.index(f) for f in ("Nodule", "Effusion")]
    np.testing.assert_array_equal(drawn.labels, own.labels[:, columns])
    assert drawn.source == "synthetic run"


def test_the_same_seed_draws_the_same_and_a_smaller_number_is_its_beginning(generator: Path) -> None:
    first, again, fewer, other = draw(generator), draw(generator), draw(generator, positives=3), draw(generator, seed=2)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.images[:3], fewer.images[:3])
    assert not (first.images == other.images).all() and first.digest == again.digest != other.digest


def test_a_generator_that_next_to_never_draws_the_finding_is_told(
    generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MOST_TRIED", 64)
    monkeypatch.setattr(sources, "TRIED_AT_ONCE", 32)
    with pytest.raises(TooFewImages, match=r"run draws 'Effusion' present \d+ times in 64 images, but 60 are needed"):
        draw(generator, positives=60)


def test_a_generator_whose_training_had_the_finding_too_rarely_to_say_so_is_told_at_once(generator: Path) -> None:
    chosen = Generator.load(generator)
    kept = [c for c in chosen.findings_record.combinations if c[0][chosen.findings.index("Effusion")] == 0]
    bare = replace(chosen, findings_record=chosen.findings_record.model_copy(update={"combinations": tuple(kept)}))
    with pytest.raises(
        TooFewImages, match="run never draws 'Effusion' present: no such combination of labels was frequent"
    ):
        generate_with_and_without(bare, "Effusion", positives=1, negatives=1, name="run", seed=1, track=silent)


def test_one_generator_under_two_names_is_refused_and_two_draw_each_its_own(
    generator: Path, hospital: Store, enrich_settings: Callable[..., EnrichSettings], tmp_path: Path
) -> None:
    site = open_site(hospital.path, ["Effusion"], side=32)
    (tmp_path / "link").symlink_to(generator)
    with pytest.raises(SettingRefused, match="link are the same generator; name it once"):
        open_generators([generator, tmp_path / "link"], site, ["Effusion"])
    settings = enrich_settings()
    seeds = {generation_seed(settings, repeat, number) for repeat in range(3) for number in range(3)}
    assert len(seeds) == 9
