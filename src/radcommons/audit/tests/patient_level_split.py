"""Patient-level split: were the patients in training in the generator's training too, and those held out not?

It needs no image: it compares the list beside the weights with the store. Its rule is in `policy/privacy.py`.
"""

import numpy as np

from radcommons.audit.inputs.subject import Subject
from radcommons.data.listing import Part
from radcommons.data.store import Store
from radcommons.data.training_patients import patients_seen
from radcommons.records import PatientsInTraining


def patients_in_training(subject: Subject, store: Store, rows: dict[Part, np.ndarray]) -> PatientsInTraining:
    """How many patients of each part are on the subject's list, for the rows that are compared."""
    train, held_out, reference = (
        patients_seen(subject.patients, store, rows[part]) for part in ("train", "test", "val")
    )
    return PatientsInTraining(
        in_training=train.patients,
        held_out=held_out.patients,
        for_reference=reference.patients,
        incomparable="a set has no list of patients" if subject.kind == "set" else train.incomparable,
    )


def trained_on_store(subject: Subject, store: Store) -> bool | None:
    """Whether the subject's checkpoint names this store as its training data; None if there is none, or it names none.

    The checkpoint of a federation's server names no store.
    """
    named = subject.critic[1] if subject.critic else ""
    return named == store.record.manifest_sha256 if named else None
