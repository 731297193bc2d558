"""Which image is a frontal chest radiograph, by the words and codes of its table and its DICOM header.

The rule, for view, modality and part of the body alike: a word known to be right is taken; a word known to be another
is refused with its reason; an unknown word is refused unless the user declares it; where nothing is said the image is
taken. Sources that contradict each other are refused. Free text (descriptions) is asked only where no view position or
code decides, and is never shown: it may hold names.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from radcommons.data import view_words as words

About = Literal["view", "modality", "body part"]
ABOUT: Final[tuple[About, ...]] = ("modality", "body part", "view")  # in the order of the reasons
ANY: Final = "any"

LONGEST_SHOWN: Final = 24  # characters of a value that may be shown
MOST_WORDS_SHOWN: Final = 3
MOST_DIGITS_SHOWN: Final = 2
MOST_UNKNOWN: Final = 20  # distinct unknown words
LONGEST_PHRASE: Final = 4  # words

_ASK: Final[dict[About, tuple[str, str]]] = {
    "view": ("--views", "frontal"),
    "modality": ("--modalities", "a radiograph"),
    "body part": ("--body-parts", "the chest"),
}
_RIGHT: Final = frozenset({words.PA, words.AP, words.FRONTAL, words.CHEST})
_NEUTRAL: Final = "neutral"
_OTHER_WORDS: Final = "other words"
_GLUED: Final = ("chest", "thorax", "torax", "torace", "thx")
_Kinds = Mapping[tuple[str, ...], tuple[About, str]]


@dataclass(frozen=True, slots=True)
class Declared:
    """What the user declares: words for frontal views, for radiographs and for the chest.

    A declared word overrides what is known of it; `ANY` takes every unknown word. `synthetic` takes images that are
    marked as synthetic.
    """

    views: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    body_parts: frozenset[str] = frozenset()
    synthetic: bool = False

    @classmethod
    def of(cls, *, views: Iterable[str] = (), modalities: Iterable[str] = (), body_parts: Iterable[str] = (),
           synthetic: bool = False) -> "Declared":  # fmt: skip
        """From options, each a value or several with commas between."""
        return cls(_listed(views), _listed(modalities), _listed(body_parts), synthetic)

    def of_kind(self, about: About) -> frozenset[str]:
        """The words declared for one of the three."""
        return {"view": self.views, "modality": self.modalities, "body part": self.body_parts}[about]

    def as_lists(self) -> list[object]:
        """In a fixed order, for the digest of an import's request."""
        return [sorted(self.views), sorted(self.modalities), sorted(self.body_parts), self.synthetic]


@dataclass(frozen=True, slots=True)
class Said:
    """What one source (a row of a table, a header) says of an image.

    Attributes:
        fields: values of fields made for the purpose, such as ViewPosition, each with what it is about.
        hints: values of which only known words count, such as the meaning beside a known code.
        series_text: free text about this image or its series.
        study_text: free text about the whole study.
        synthetic: whether the image is marked as synthetic.
    """

    fields: tuple[tuple[About, str], ...] = ()
    hints: tuple[tuple[About, str], ...] = ()
    series_text: tuple[str, ...] = ()
    study_text: tuple[str, ...] = ()
    synthetic: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows for an image.

    Attributes:
        view: "PA", "AP" or None.
        refused: the reason; None where the image is taken.
        settled: which of view, modality and part of the body were said and are right.
        declared: what is taken only because the user declared it, such as "view DORSAL".
    """

    view: str | None = None
    refused: str | None = None
    settled: tuple[About, ...] = ()
    declared: tuple[str, ...] = ()


NOTHING_DECLARED: Final = Declared()
NOTHING_SAID: Final = Said()
NOTHING_SETTLED: Final = Verdict()


@lru_cache(maxsize=8192)
def judge(said: Said, declared: Declared = NOTHING_DECLARED, before: Verdict = NOTHING_SETTLED) -> Verdict:
    """What follows from what one source says of an image.

    Args:
        said: what the source says.
        declared: the user's words.
        before: what followed from a better source, the table. Where that settles a question, unknown words and free
            text are not asked; a known contradiction is refused all the same.
    """
    if before.refused:
        return before
    if said.synthetic and not declared.synthetic:
        return Verdict(refused="marked as synthetic (SyntheticData); pass --synthetic to take such images")
    facts = [fact for about, value in said.fields for fact in _facts(about, value, declared, said.synthetic)]
    facts += [
        fact
        for about, value in said.hints
        for fact in _facts(about, value, NOTHING_DECLARED, False)
        if fact.state != "unknown"
    ]
    settled, taken_words, view = list(before.settled), list(before.declared), before.view
    for about in ABOUT:
        of_kind = [fact for fact in facts if fact.about == about]
        right = [fact for fact in of_kind if fact.state == "right"]
        other = next((fact for fact in of_kind if fact.state == "other"), None)
        if other and (right or about in before.settled):
            told = right[0].kind if right else "the table"
            return Verdict(refused=f"contradiction in the {about}: {told} against {other.kind}")
        if other:
            return Verdict(refused=_reason(other))
        if about in before.settled:
            continue
        if not right and (text := _text_names(about, said)):
            if text not in _RIGHT:
                return Verdict(refused=_reason(Fact(about, "other", text)))
            right = [Fact(about, "right", text)]
        if not right and of_kind and ANY not in declared.of_kind(about):
            return Verdict(refused=_reason(of_kind[0]))
        if right or of_kind:
            settled.append(about)
        named = {fact.kind for fact in right} & {words.PA, words.AP}
        if about == "view" and len(named) == 1:
            view = named.pop()
        taken_words += [f"{about} {fact.shown}" for fact in right or of_kind if fact.shown]
    return Verdict(view, None, tuple(settled), tuple(dict.fromkeys(taken_words)))


class Fact(NamedTuple):
    """One thing that a value says; `shown` is the value in words that may be shown, where it is not a known one."""

    about: About
    state: Literal["right", "other", "unknown"]
    kind: str
    shown: str = ""


def _facts(about: About, value: str, declared: Declared, synthetic: bool) -> list[Fact]:
    """What the value of a field says, about what the field is for and about anything else."""
    tokens = _tokens(value)
    whole = " ".join(tokens)
    if about == "modality":
        return _modality_facts(whole, value, declared, synthetic)
    named, left = _named(tokens, _OF_BODY_PART if about == "body part" else _OF_VIEW)
    if whole and whole in declared.of_kind(about):
        view = next((kind for where, kind in named if kind in (words.PA, words.AP)), words.FRONTAL)
        return [Fact(about, "right", view if about == "view" else words.CHEST, _shown(whole, value))]
    if whole in _ABSENT:
        return []
    facts: list[Fact] = []
    for where in ABOUT:
        kinds = [kind for of, kind in named if of == where]
        other = [kind for kind in kinds if kind not in _RIGHT]
        state: Literal["right", "other"] = "other" if other else "right"
        facts += [Fact(where, state, kind) for kind in other[:1] or dict.fromkeys(kinds)]
    if any(fact.state == "other" for fact in facts):
        return facts
    of_field = [fact for fact in facts if fact.about == about]
    if about == "view" and left and left <= _SIDES and not of_field:
        return [Fact(about, "other", words.LATERAL)]  # a side alone: "L" is a lateral film in several public tables
    if left and not (about == "body part" and of_field):  # "CHEST BUCKY" is of the chest, "AP OUTLET" may be anything
        facts = [fact for fact in facts if fact.about != about]
        facts.append(Fact(about, "unknown", "", _shown(whole, value)))
    return facts


def _modality_facts(whole: str, value: str, declared: Declared, synthetic: bool) -> list[Fact]:
    """As `_facts`; a modality is known as a whole."""
    if whole in _ABSENT:
        return []
    if whole in declared.modalities:
        return [Fact("modality", "right", "radiograph", _shown(whole, value))]
    if whole in _RADIOGRAPHS or (synthetic and whole == "ot"):  # the standard gives OT to an image that nobody took
        return [Fact("modality", "right", "radiograph")]
    if whole in _OTHER_MODALITIES:
        return [Fact("modality", "other", whole.upper())]
    return [Fact("modality", "unknown", "", _shown(whole, value))]


def _by_stem(token: str) -> str | None:
    """The view of a word that is not listed but contains what all words for it have in common."""
    if token in _NOT_BY_STEM:
        return None
    return next((kind for kind, stem in words.STEMS.items() if stem in token), None)


def _text_names(about: About, said: Said) -> str | None:
    """What free text names: the one view, or a part of the body where the chest is not named; None where it does not.

    A description of the study counts where those of the series say nothing, and not where it tells of several views.
    """
    if about == "modality":
        return None
    for texts, of_study in ((said.series_text, False), (said.study_text, True)):
        decided = [kind for text in texts if (kind := _one_named(about, text, of_study=of_study))]
        wrong = [kind for kind in decided if kind not in _RIGHT]
        if decided:
            return wrong[0] if wrong else decided[0]
    return None


@lru_cache(maxsize=8192)
def _one_named(about: About, text: str, *, of_study: bool) -> str | None:
    tokens = _tokens(text)
    named, _ = _named(tokens, _IN_TEXT)
    kinds = [kind for of, kind in named if of == about]
    if about == "body part":
        return words.CHEST if any(words.CHEST in kind for kind in kinds) else next(iter(kinds), None)
    frontal = {kind for kind in kinds if kind in _RIGHT}
    other = [kind for kind in kinds if kind not in _RIGHT]
    if frontal and other:
        return None
    if of_study and (_SEVERAL.intersection(tokens) or re.search(r"[+&]|\bw\b|\b[2-9](v|vw|views)?\b", text.lower())):
        return None
    if frontal:
        return frontal.pop() if len(frontal) == 1 else words.FRONTAL
    return other[0] if other else None


def _named(tokens: list[str], kinds: _Kinds) -> tuple[list[tuple[About, str]], set[str]]:
    """The known phrases in a value, longest first, and the words left; a short number among words is neither."""
    named: list[tuple[About, str]] = []
    left: set[str] = set()
    position = 0
    while position < len(tokens):
        for length in range(min(LONGEST_PHRASE, len(tokens) - position), 0, -1):
            found = kinds.get(tuple(tokens[position : position + length]))
            if found:
                if found[1] != _NEUTRAL:
                    named.append(found)
                break
        else:
            length = 1
            if by_stem := _by_stem(tokens[position]):
                named.append(("view", by_stem))
            elif not tokens[position].isdecimal():
                left.add(tokens[position])
        position += length
    if not named:
        only = all(token.isdecimal() for token in tokens)
        left |= {token for token in tokens if token.isdecimal() and (only or len(token) > MOST_DIGITS_SHOWN)}
    return named, left


def without_many_words(reasons: Sequence[str]) -> list[str]:
    """Reasons without the unknown words where they are many: the column may be a wrong one, of names."""
    distinct = set(reasons)
    for about in ABOUT:
        unknown = {reason for reason in distinct if reason.startswith(f"{about} '")}
        if len(unknown) > MOST_UNKNOWN:
            reasons = [_in_other_words(about) if reason in unknown else reason for reason in reasons]
    return list(reasons)


def _reason(fact: Fact) -> str:
    option, meaning = _ASK[fact.about]
    if fact.state == "unknown" and fact.shown == _OTHER_WORDS:
        return _in_other_words(fact.about)
    if fact.state == "unknown":
        return f"{fact.about} '{fact.shown}' is not known; pass {option} '{fact.shown}' if it is {meaning}"
    if fact.about == "view":
        return fact.kind
    if fact.about == "modality":
        return f"modality {fact.kind}, not CR, DX or RG; pass --modalities '{fact.kind}' if it is a radiograph here"
    return f"body part {fact.kind}, not the chest"


def _in_other_words(about: About) -> str:
    option, meaning = _ASK[about]
    return f"{about} in other words than are known; pass {option} any if every such {about} is {meaning}"


def _shown(whole: str, value: str) -> str:
    """A value's words where they are few, short and no number or name by their form; else "other words"."""
    short = len(whole) <= LONGEST_SHOWN and len(whole.split()) <= MOST_WORDS_SHOWN
    digits = sum(letter.isdecimal() for letter in whole)
    if whole and short and digits <= MOST_DIGITS_SHOWN and not re.search(r"[\^@,;=]|\.\w{2,5}$", value):
        return whole.upper()
    return _OTHER_WORDS


def _tokens(text: str) -> list[str]:
    """The words and numbers of a value, without case, accents and marks; "ThoraxPA" and "THORAXPA" are two words."""
    return [part for token in _separate(text) for part in _unglued(token)]


def _separate(text: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    plain = unicodedata.normalize("NFKD", apart.casefold())
    return re.findall(r"[^\W\d_]+|\d+", "".join(c for c in plain if not unicodedata.combining(c)))


def _unglued(token: str) -> list[str]:
    if (token,) not in _OF_VIEW:
        for chest in _GLUED:
            start, end = token.removeprefix(chest), token.removesuffix(chest)
            if start != token and (start,) in _OF_VIEW:
                return [chest, start]
            if end != token and (end,) in _OF_VIEW:
                return [end, chest]
    return [token]


def _listed(options: Iterable[str]) -> frozenset[str]:
    parts = (" ".join(_tokens(part)) for option in options for part in option.split(","))
    return frozenset(part for part in parts if part)


def _phrases(text: str) -> set[tuple[str, ...]]:
    return {tuple(_separate(phrase)) for phrase in text.split(",")}


def _table(*groups: tuple[About, Mapping[str, str]]) -> dict[tuple[str, ...], tuple[About, str]]:
    """Every phrase with what it says; earlier groups win, and all of them over the words that say nothing."""
    table: dict[tuple[str, ...], tuple[About, str]] = dict.fromkeys(_phrases(words.NEUTRAL), ("view", _NEUTRAL))
    for about, kinds in reversed(groups):
        table |= {phrase: (about, kind) for kind, text in kinds.items() for phrase in _phrases(text)}
    return table


_VIEWS: tuple[About, Mapping[str, str]] = ("view", words.VIEWS)
_PARTS: tuple[About, Mapping[str, str]] = ("body part", words.BODY_PARTS)
_OF_VIEW: Final = _table(_VIEWS, _PARTS)
_OF_BODY_PART: Final = _table(("body part", words.ONLY_AS_BODY_PART), _PARTS, _VIEWS)
_IN_TEXT: Final = {
    phrase: (about, kind)
    for phrase, (about, kind) in _OF_VIEW.items()
    if phrase not in _phrases(words.NOT_IN_TEXT)
    and (about == "body part" or kind in words.VIEWS_IN_TEXT or kind == _NEUTRAL)
}
_SIDES: Final = {phrase[0] for phrase in _phrases(words.SIDES)}
_SEVERAL: Final = {phrase[0] for phrase in _phrases(words.SEVERAL_IN_STUDY)}
_NOT_BY_STEM: Final = {phrase[0] for phrase in _phrases(words.NOT_BY_STEM)}
_ABSENT: Final = {"", *(" ".join(phrase) for phrase in _phrases(words.ABSENT))}
_RADIOGRAPHS: Final = {" ".join(phrase) for phrase in _phrases(words.RADIOGRAPHS)}
_OTHER_MODALITIES: Final = {" ".join(phrase) for phrase in _phrases(words.OTHER_MODALITIES)}
