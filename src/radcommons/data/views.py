"""Decide which image is a frontal chest radiograph, from the words and codes of its table and its DICOM header.

One rule for view, modality and part of the body: accept a word that is known to be right; refuse a word that is known
to be something else, with the reason; refuse an unknown word unless the user declares it; accept an image about which
nothing is stated. Refuse sources that contradict each other. Free text (descriptions) counts only if no view position
or code decides; it is never shown, because it may contain names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, Literal, NamedTuple

from radcommons.data import view_words as words
from radcommons.data.view_phrases import (
    ABSENT,
    OF_BODY_PART,
    OF_VIEW,
    OTHER_MODALITIES,
    OTHER_WORDS,
    RADIOGRAPHS,
    RIGHT,
    SIDES,
    About,
    has_lost_letters,
    named_in,
    named_in_text,
    shown_words,
    tokens_of,
)

ABOUT: Final[tuple[About, ...]] = ("modality", "body part", "view")  # the first fault gives the reason
ANY: Final = "any"
MOST_UNKNOWN: Final = 20  # distinct unknown words

_ASK: Final[dict[About, tuple[str, str]]] = {
    "view": ("--views", "frontal"),
    "modality": ("--modalities", "a radiograph"),
    "body part": ("--body-parts", "the chest"),
}


@dataclass(frozen=True, slots=True)
class Declared:
    """Words that the user declares to mean a frontal view, a radiograph or the chest.

    A declared word overrides its known meaning; `ANY` accepts every unknown word. `synthetic` accepts images that are
    marked as synthetic.
    """

    views: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    body_parts: frozenset[str] = frozenset()
    synthetic: bool = False

    @classmethod
    def of(cls, *, views: Iterable[str] = (), modalities: Iterable[str] = (), body_parts: Iterable[str] = (),
           synthetic: bool = False) -> "Declared":  # fmt: skip
        """From the options, each one or several words separated by commas."""
        return cls(_listed(views), _listed(modalities), _listed(body_parts), synthetic)

    def of_kind(self, about: About) -> frozenset[str]:
        """The words declared for one of the three."""
        return {"view": self.views, "modality": self.modalities, "body part": self.body_parts}[about]

    def as_lists(self) -> list[object]:
        """The words in a fixed order, for the digest of an import's request."""
        return [sorted(self.views), sorted(self.modalities), sorted(self.body_parts), self.synthetic]


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of one source (a row of a table, a header) about an image.

    Attributes:
        fields: values of dedicated fields, such as ViewPosition, each with its topic.
        hints: values in which only known words count, such as the meaning of a known code.
        series_text: free text about this image or its series.
        study_text: free text about the whole study.
        synthetic: whether the image is marked as synthetic.
        names: lower-case words that may be a person's name; if unknown, they are never shown.
    """

    fields: tuple[tuple[About, str], ...] = ()
    hints: tuple[tuple[About, str], ...] = ()
    series_text: tuple[str, ...] = ()
    study_text: tuple[str, ...] = ()
    synthetic: bool = False
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision about an image.

    Attributes:
        view: "PA", "AP" or None.
        refused: the reason; None if the image is accepted.
        decided: which of view, modality and part of the body were stated and are right.
        declared: what is accepted only because the user declared it, such as "view DORSAL".
    """

    view: str | None = None
    refused: str | None = None
    decided: tuple[About, ...] = ()
    declared: tuple[str, ...] = ()


NOTHING_DECLARED: Final = Declared()
NO_STATEMENTS: Final = Statements()
NOTHING_DECIDED: Final = Decision()


@lru_cache(maxsize=8192)
def decide(
    statements: Statements, declared: Declared = NOTHING_DECLARED, before: Decision = NOTHING_DECIDED
) -> Decision:
    """Decide from the statements of one source about an image.

    Args:
        statements: of the source.
        declared: the user's words.
        before: the decision from a better source, the table. What it decided, unknown words and free text cannot
            change; a known contradiction is still refused.
    """
    if before.refused:
        return before
    if statements.synthetic and not declared.synthetic:
        return Decision(refused="marked as synthetic (SyntheticData); pass --synthetic to take such images")
    read = partial(_facts, declared=declared, synthetic=statements.synthetic)
    facts = [_without_names(fact, statements.names) for field in statements.fields for fact in read(*field)]
    facts += [fact for hint in statements.hints for fact in read(*hint) if fact.state != "unknown"]
    decided, taken_words, view = list(before.decided), list(before.declared), before.view
    for about in ABOUT:
        of_kind = [fact for fact in facts if fact.about == about]
        right = [fact for fact in of_kind if fact.state == "right"]
        other = next((fact for fact in of_kind if fact.state == "other"), None)
        if other and (right or about in before.decided):
            told = right[0].kind if right else "the table"
            return Decision(refused=f"contradiction in the {about}: {told} against {other.kind}")
        if other:
            return Decision(refused=_reason(other))
        if about in before.decided:
            continue
        if right and (elsewhere := _contradicts(about, statements)):
            return Decision(refused=f"contradiction in the {about}: {right[0].kind} against {elsewhere}")
        if not right and (text := _text_names(about, statements)):
            if text not in RIGHT:
                return Decision(refused=_reason(Fact(about, "other", text)))
            right = [Fact(about, "right", text)]
        if not right and of_kind and ANY not in declared.of_kind(about):
            return Decision(refused=_reason(of_kind[0]))
        if right or of_kind:
            decided.append(about)
        named = {fact.kind for fact in right} & {words.PA, words.AP}
        if about == "view" and len(named) == 1:
            view = named.pop()
        taken_words += [f"{about} {fact.shown}" for fact in right or of_kind if fact.shown]
    return Decision(view, None, tuple(decided), tuple(dict.fromkeys(taken_words)))


class Fact(NamedTuple):
    """One meaning of a value; `shown` is the value itself, if it is not a known word and may be shown."""

    about: About
    state: Literal["right", "other", "unknown"]
    kind: str
    shown: str = ""


def _without_names(fact: Fact, names: frozenset[str]) -> Fact:
    if fact.state != "unknown":
        return fact  # a known word, or the user's own
    return fact if names.isdisjoint(fact.shown.casefold().split()) else fact._replace(shown=OTHER_WORDS)


def _facts(about: About, value: str, declared: Declared, synthetic: bool) -> list[Fact]:
    """The facts in a field's value; a value that may have lost letters is never right."""
    facts = _read_facts(about, value, declared, synthetic)
    if has_lost_letters(value) and not any(fact.state == "other" for fact in facts):
        return [Fact(about, "unknown", "", OTHER_WORDS)]
    return facts


def _read_facts(about: About, value: str, declared: Declared, synthetic: bool) -> list[Fact]:
    """The facts in a field's value, about the field's own topic and about others."""
    tokens = tokens_of(value)
    whole = " ".join(tokens)
    if about == "modality":
        return _modality_facts(whole, value, declared, synthetic)
    named, left = named_in(tokens, OF_BODY_PART if about == "body part" else OF_VIEW)
    if whole and whole in declared.of_kind(about):
        view = next((kind for where, kind in named if kind in (words.PA, words.AP)), words.FRONTAL)
        return [Fact(about, "right", view if about == "view" else words.CHEST, shown_words(whole, value))]
    if whole in ABSENT:
        return []
    facts: list[Fact] = []
    for where in ABOUT:
        kinds = [kind for of, kind in named if of == where]
        other = [kind for kind in kinds if kind not in RIGHT]
        state: Literal["right", "other"] = "other" if other else "right"
        facts += [Fact(where, state, kind) for kind in other[:1] or dict.fromkeys(kinds)]
    if any(fact.state == "other" for fact in facts):
        return facts
    of_field = [fact for fact in facts if fact.about == about]
    if about == "view" and left and left <= SIDES and not of_field:
        return [Fact(about, "other", words.LATERAL)]  # a side alone: "L" is a lateral film in several public tables
    if left and not (about == "body part" and of_field):  # "CHEST BUCKY" is a chest, "AP OUTLET" may be anything
        facts = [fact for fact in facts if fact.about != about]
        facts.append(Fact(about, "unknown", "", shown_words(whole, value)))
    return facts


def _modality_facts(whole: str, value: str, declared: Declared, synthetic: bool) -> list[Fact]:
    """As `_facts`; a modality is matched as a whole."""
    if whole in ABSENT:
        return []
    if whole in declared.modalities:
        return [Fact("modality", "right", "radiograph", shown_words(whole, value))]
    if whole in RADIOGRAPHS or (synthetic and whole == "ot"):  # OT is the standard's modality for computed images
        return [Fact("modality", "right", "radiograph")]
    if whole in OTHER_MODALITIES:
        return [Fact("modality", "other", whole.upper())]
    return [Fact("modality", "unknown", "", shown_words(whole, value))]


def _text_names(about: About, statements: Statements) -> str | None:
    """The single view that free text names, or a part of the body if it does not name the chest; otherwise None.

    A description of the study counts only if those of the series say nothing and it does not name several views.
    """
    if about == "modality":
        return None
    for texts, of_study in ((statements.series_text, False), (statements.study_text, True)):
        decided = [kind for text in texts if (kind := named_in_text(about, text, of_study=of_study))]
        wrong = [kind for kind in decided if kind not in RIGHT]
        if decided:
            return wrong[0] if wrong else decided[0]
    return None


def _contradicts(about: About, statements: Statements) -> str | None:
    """A part of the body other than the field's, or a scout image, named in the description of the series."""
    named = [kind for text in statements.series_text if (kind := named_in_text(about, text, of_study=False))]
    if about == "body part":
        return next((kind for kind in named if kind not in RIGHT), None)
    return words.SCOUT if about == "view" and words.SCOUT in named else None


def without_many_words(reasons: Sequence[str]) -> list[str]:
    """The reasons; many different unknown words are removed, because the column may be wrong and contain names."""
    distinct = set(reasons)
    for about in ABOUT:
        unknown = {reason for reason in distinct if reason.startswith(f"{about} '")}
        if len(unknown) > MOST_UNKNOWN:
            reasons = [_in_other_words(about) if reason in unknown else reason for reason in reasons]
    return list(reasons)


def _reason(fact: Fact) -> str:
    option, meaning = _ASK[fact.about]
    if fact.state == "unknown" and fact.shown == OTHER_WORDS:
        return _in_other_words(fact.about)
    if fact.state == "unknown":
        return f"{fact.about} '{fact.shown}' is not known; pass {option} '{fact.shown}' if it is {meaning}"
    if fact.about == "view":
        return fact.kind
    if fact.about == "modality":
        return f"modality {fact.kind}, not CR, DX or RG"
    return f"body part {fact.kind}, not the chest"


def _in_other_words(about: About) -> str:
    option, meaning = _ASK[about]
    return f"{about} in unknown words; pass {option} any if every such {about} is {meaning}"


def _listed(options: Iterable[str]) -> frozenset[str]:
    parts = (" ".join(tokens_of(part)) for option in options for part in option.split(","))
    return frozenset(part for part in parts if part)
