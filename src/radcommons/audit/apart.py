"""Were the patients in training in the generator's training too, and those held out not? By its own word."""

from dataclasses import dataclass, replace

import numpy as np

from radcommons.audit.subject import Subject
from radcommons.data.listing import Part
from radcommons.data.store import Store
from radcommons.data.training_patients import Seen, patients_seen
from radcommons.records import Outcome, PatientsInTraining


@dataclass(frozen=True)
class Apart:
    """What the list beside a generator's weights says of the store's parts, and what its checkpoint says of the store.

    Attributes:
        train, held_out, reference: how many patients of each part are on the list.
        this_store: whether the checkpoint names this store as its training data; None where there is none.
    """

    train: Seen
    held_out: Seen
    reference: Seen
    this_store: bool | None

    @classmethod
    def of(cls, subject: Subject, store: Store, rows: dict[Part, np.ndarray], this_store: bool | None) -> "Apart":
        """The answer for the rows of each part that are compared."""
        parts: tuple[Part, ...] = ("train", "test", "val")
        found = [patients_seen(subject.patients, store, rows[part]) for part in parts]
        if subject.kind == "set":
            found = [replace(one, incomparable="a set has no list of patients") for one in found]
        train, held_out, reference = found
        return cls(train, held_out, reference, this_store)

    @property
    def outcome(self) -> Outcome:
        """Whether members are members and the others strangers; the list is heard before the checkpoint."""
        if self.held_out.patients or self.reference.patients:
            return "not met"
        if self.train.comparable:
            return "met" if self.train.patients == self.train.of else "not met"
        return "not tested" if self.this_store is None else "met" if self.this_store else "not met"

    @property
    def found(self) -> str:
        """The finding in words."""
        strangers = {"held-out": self.held_out, "validation": self.reference}
        if seen := [one.describe(what) for what, one in strangers.items() if one.patients]:
            return "; ".join(seen)
        if self.train.comparable and self.train.patients == self.train.of:
            others = self.held_out.of + self.reference.of
            both = f"all {self.train.of:,} patients in training and none of {others:,} others"
            return f"{both} were in this generator's training"
        if self.train.comparable:
            return self.train.describe("supposed training")
        if self.this_store is None:
            return f"not known: {self.train.incomparable}"
        return f"its checkpoint names {'this store' if self.this_store else 'another store'} as its training data"

    @property
    def sentence(self) -> str:
        """The same for the statement."""
        rest = ": these tests say nothing of the patients it was trained on" if self.outcome == "not met" else ""
        start = "Who was in the generator's training is " if self.outcome == "not tested" else ""
        text = f"{start}{self.found}{rest}."
        return text[0].upper() + text[1:]

    @property
    def record(self) -> PatientsInTraining:
        """For the report."""
        return PatientsInTraining(
            in_training=self.train.patients,
            held_out=self.held_out.patients,
            for_reference=self.reference.patients,
            incomparable=self.train.incomparable,
        )
