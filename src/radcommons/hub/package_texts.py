"""What the pages show of a package's own files: its card, and what its labels do."""

from dataclasses import dataclass, field
from functools import lru_cache

from django.core.files.storage import default_storage
from django.utils.safestring import SafeString

from radcommons.hub.files import content_name
from radcommons.hub.markdown import to_html
from radcommons.packages.contents import CARD, EXPLANATION
from radcommons.records import Explanation
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
