"""What the pages show of a package's own files: its card, what its labels do, what readers saw."""

from dataclasses import dataclass, field
from functools import lru_cache

from django.core.files.storage import default_storage
from django.utils.safestring import SafeString
from markupsafe import Markup

from radcommons.hub.files import content_name
from radcommons.hub.markdown import to_html
from radcommons.packages.contents import CARD, EXPLANATION, STUDY
from radcommons.reader_study import section_html
from radcommons.records import Explanation, PublishedStudy
from radcommons.records.explain import Correlation, InterpolationResult, MapResult

KEPT = 64  # texts in memory; content under a digest never changes


@dataclass
class LabelEffects:
    """What is known of one label, or of several that are set together."""

    title: str
    morphs: list[InterpolationResult] = field(default_factory=list)
    maps: list[MapResult] = field(default_factory=list)


def card_of(digests: dict[str, str]) -> SafeString:
    """The card of a package as HTML, without its head; `digests` by path."""
    return _card(digests[CARD]) if CARD in digests else SafeString()


def explanation_of(digests: dict[str, str]) -> tuple[list[LabelEffects], Correlation | None]:
    """What each label changes, and the labels against a classifier; nothing if the package has no explanation."""
    if EXPLANATION not in digests:
        return [], None
    record = _explanation(digests[EXPLANATION])
    effects: dict[frozenset[str], LabelEffects] = {}
    for findings in [morph.findings for morph in record.morphs] + [one.findings for one in record.maps]:
        effects.setdefault(frozenset(findings), LabelEffects(" + ".join(findings)))
    for morph in record.morphs:
        effects[frozenset(morph.findings)].morphs.append(morph)
    for one in record.maps:
        effects[frozenset(one.findings)].maps.append(one)
    return list(effects.values()), record.correlation


def study_of(digests: dict[str, str], weights_sha256: str) -> Markup:
    """The section about a reader study of the generator with these weights; empty if the package has none."""
    return _study(digests[STUDY], weights_sha256) if STUDY in digests else Markup()


@lru_cache(maxsize=KEPT)
def _study(sha256: str, weights_sha256: str) -> Markup:
    return section_html(PublishedStudy.model_validate_json(_content(sha256)), weights_sha256)


@lru_cache(maxsize=KEPT)
def _card(sha256: str) -> SafeString:
    return to_html(_content(sha256).decode().partition("\n---\n")[2])


@lru_cache(maxsize=KEPT)
def _explanation(sha256: str) -> Explanation:
    return Explanation.model_validate_json(_content(sha256))


def _content(sha256: str) -> bytes:
    with default_storage.open(content_name(sha256)) as file:
        content: bytes = file.read()
    return content
