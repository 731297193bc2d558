"""Find the known phrases of `view_words` in values and free text, and the words that remain; `views` decides."""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

from radcommons.data import view_words as words

About = Literal["view", "modality", "body part"]
Kinds = Mapping[tuple[str, ...], tuple[About, str]]

LONGEST_SHOWN: Final = 24  # characters; a longer value is never shown
MOST_WORDS_SHOWN: Final = 3
MOST_DIGITS_SHOWN: Final = 2
LONGEST_PHRASE: Final = 4  # words
OTHER_WORDS: Final = "other words"
RIGHT: Final = frozenset({words.PA, words.AP, words.FRONTAL, words.CHEST})

_NEUTRAL: Final = "neutral"
_GLUED: Final = ("chest", "thorax", "torax", "torace", "thx")


def tokens_of(text: str) -> list[str]:
    """The words and numbers of a value, without case, accents and marks; "ThoraxPA" and "THORAXPA" have two words."""
    return [part for token in _separate(text) for part in _unglued(token)]


def _separate(text: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    plain = unicodedata.normalize("NFKD", apart.casefold())
    return re.findall(r"[^\W\d_]+|\d+", "".join(c for c in plain if not unicodedata.combining(c)))


def has_lost_letters(value: str) -> bool:
    """Whether a wrong character set may have destroyed letters of a value: "???", or symbols instead of words.

    Without those letters a lateral view in Shift-JIS would look as if no view was given.
    """
    odd = any(c in "?%\ufffd" or (not c.isascii() and unicodedata.category(c)[0] in "SC") for c in value)
    return odd or (not value.isascii() and any(len(token) == 1 and token.isascii() for token in _separate(value)))


def _unglued(token: str) -> list[str]:
    if (token,) not in OF_VIEW:
        for chest in _GLUED:
            start, end = token.removeprefix(chest), token.removesuffix(chest)
            if start != token and (start,) in OF_VIEW:
                return [chest, start]
            if end != token and (end,) in OF_VIEW:
                return [end, chest]
    return [token]


def named_in(tokens: list[str], kinds: Kinds) -> tuple[list[tuple[About, str]], set[str]]:
    """The known phrases in a value, longest first, and the remaining words; short numbers among words are ignored."""
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


def _by_stem(token: str) -> str | None:
    """The view of a word that is not listed but contains the stem that words for the view have in common."""
    if token in _NOT_BY_STEM:
        return None
    return next((kind for kind, stem in words.STEMS.items() if stem in token), None)


@lru_cache(maxsize=8192)
def named_in_text(about: About, text: str, *, of_study: bool) -> str | None:
    """The view or the part of the body that free text names (the chest first); None if it names none or several."""
    tokens = tokens_of(text)
    named, _ = named_in(tokens, _IN_TEXT)
    kinds = [kind for of, kind in named if of == about]
    if about == "body part":
        return words.CHEST if any(words.CHEST in kind for kind in kinds) else next(iter(kinds), None)
    frontal = {kind for kind in kinds if kind in RIGHT}
    other = [kind for kind in kinds if kind not in RIGHT]
    if frontal and other:
        return None
    if of_study and (_SEVERAL.intersection(tokens) or re.search(r"[+&]|\bw\b|\b[2-9](v|vw|views)?\b", text.lower())):
        return None
    if frontal:
        return frontal.pop() if len(frontal) == 1 else words.FRONTAL
    return other[0] if other else None


def shown_words(whole: str, value: str) -> str:
    """A value's words, if they are few, short and not in the form of a number or a name; otherwise "other words"."""
    short = len(whole) <= LONGEST_SHOWN and len(whole.split()) <= MOST_WORDS_SHOWN
    digits = sum(letter.isdecimal() for letter in whole)
    if whole and short and digits <= MOST_DIGITS_SHOWN and not re.search(r"[\^@,;=]|\.\w{2,5}$", value):
        return whole.upper()
    return OTHER_WORDS


def _phrases(text: str) -> set[tuple[str, ...]]:
    return {tuple(_separate(phrase)) for phrase in text.split(",")}


def _table(*groups: tuple[About, Mapping[str, str]]) -> dict[tuple[str, ...], tuple[About, str]]:
    """Every phrase with its meaning; earlier groups take precedence, and all groups over neutral words."""
    table: dict[tuple[str, ...], tuple[About, str]] = dict.fromkeys(_phrases(words.NEUTRAL), ("view", _NEUTRAL))
    for about, kinds in reversed(groups):
        table |= {phrase: (about, kind) for kind, text in kinds.items() for phrase in _phrases(text)}
    return table


_VIEWS: tuple[About, Mapping[str, str]] = ("view", words.VIEWS)
_PARTS: tuple[About, Mapping[str, str]] = ("body part", words.BODY_PARTS)
OF_VIEW: Final = _table(_VIEWS, _PARTS)
OF_BODY_PART: Final = _table(("body part", words.ONLY_AS_BODY_PART), _PARTS, _VIEWS)
_IN_TEXT: Final = {
    phrase: (about, kind)
    for phrase, (about, kind) in OF_VIEW.items()
    if phrase not in _phrases(words.NOT_IN_TEXT)
    and (about == "body part" or kind in words.VIEWS_IN_TEXT or kind == _NEUTRAL)
}
SIDES: Final = {phrase[0] for phrase in _phrases(words.SIDES)}
_SEVERAL: Final = {phrase[0] for phrase in _phrases(words.SEVERAL_IN_STUDY)}
_NOT_BY_STEM: Final = {phrase[0] for phrase in _phrases(words.NOT_BY_STEM)}
ABSENT: Final = {"", *(" ".join(phrase) for phrase in _phrases(words.ABSENT))}
RADIOGRAPHS: Final = {" ".join(phrase) for phrase in _phrases(words.RADIOGRAPHS)}
OTHER_MODALITIES: Final = {" ".join(phrase) for phrase in _phrases(words.OTHER_MODALITIES)}
