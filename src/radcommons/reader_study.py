"""A reader study beside its generator: what of it may leave the hospital, and the words and table of every page.

The card, the hub's page and the audit's page say the same, worked out from the numbers of the published record alone.
"""

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from radcommons.errors import SettingRefused
from radcommons.pages import Table, render_page
from radcommons.records import GroupResult, PublishedResult, PublishedStudy, StudyResult, TimedOut
from radcommons.records.study import FEWEST_READERS

SIGNIFICANCE = 0.05
WAYS: dict[TimedOut, str] = {  # how an answer that timed out counts
    "half": "as half right, which is what a guess earns",
    "wrong": "as wrong",
    "excluded": "not at all",
}
HEADS = (
    "Readers", "Images", "Right", "Synthetic images recognised", "Real films recognised", "Detectable", "Kappa",
)  # fmt: skip
WHAT_IT_SAYS = (
    "Right: the mean of the two columns beside it; 50% is what a guess earns. In brackets: 95% intervals, which hold "
    "for other such readers and other such images. Detectable: the smallest share of right answers that this study "
    'would have told apart from chance with a power of 80%; "-": none was sure to be found. Kappa: agreement of these '
    "readers, 0 as if all guessed. An accuracy that cannot be told apart from chance does not show that readers guess, "
    "and no reader study shows what a generator remembers of patients."
)


@dataclass(frozen=True)
class Section:
    """What a page says: who saw what, a sentence for each size of images, and a table of all groups."""

    lead: str
    sentences: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str
    heads: tuple[str, ...] = HEADS


def read_study(path: Path, *, digest: str, name: str) -> PublishedStudy:
    """What may leave the hospital of a study in which this generator's images were shown.

    Args:
        path: ``study.json`` of 'radcommons study analyse'.
        digest: SHA-256 of the generator's weights; `name` is its name, for messages.
    Raises:
        SettingRefused: it is damaged, or does not say whose images were shown, or they are not this generator's, or
            every number would be one or two readers' own.
    """
    result = StudyResult.read(path, refused=SettingRefused, remedy="analyse the study again")
    if not result.generators:
        raise SettingRefused(
            f"{path} does not say which generators drew its images; name the study's folder, not a file of answers, to "
            "'radcommons study analyse'"
        )
    if all(one.digest != digest for one in result.generators):
        raise SettingRefused(f"{path} is about a study that showed no image of {name}; give one that did")
    results = [one for block in result.blocks for one in _published(result, block)]
    if not results:
        raise SettingRefused(
            f"{path}: every number is of fewer than {FEWEST_READERS} readers, and says how well they read; invite more"
        )
    return PublishedStudy(
        last_answer=result.last_answer,
        timed_out=result.timed_out,
        readers=result.readers,
        images=result.images,
        synthetic_images=result.synthetic_images,
        generators=result.generators,
        results=tuple(results),
    )


def _published(result: StudyResult, block: str) -> list[PublishedResult]:
    """All groups of a block, or all readers together if a group is so small that it could be told from the others."""
    found = [one for one in result.results if one.block == block]
    if any(one.readers < FEWEST_READERS for one in found):
        whole = result.results[-1].group
        found = [one for one in found if one.group == whole and one.readers >= FEWEST_READERS]
    against_chance = {(t.group, t.block): t.p_corrected for t in result.tests if t.question == "against chance"}
    return [
        PublishedResult(
            group=one.group,
            side=int(block),
            readers=one.readers,
            images=one.images,
            answers=one.answers,
            timed_out=one.timed_out,
            accuracy=one.accuracy,
            sensitivity=one.sensitivity,
            specificity=one.specificity,
            kappa=one.kappa,
            detectable=one.detectable,
            p_corrected=against_chance[one.group, one.block],
        )
        for one in found
    ]


def clause(result: GroupResult | PublishedResult, p_corrected: float | None) -> str:
    """Whether readers could tell the images apart, or what the study could have found; no more than the interval says.

    Args:
        p_corrected: of the test of the accuracy against chance.
    """
    e = result.accuracy
    assert e.low is not None and e.high is not None
    who = "the reader was" if result.readers == 1 else f"the {result.readers} readers were"
    head = f"{who} right in {e.value:.0%} (95% interval {e.low:.0%} to {e.high:.0%})"
    if p_corrected is not None and p_corrected < SIGNIFICANCE and not e.low <= 0.5 <= e.high:
        return f"{head}: {'more' if e.value > 0.5 else 'less'} often than chance."
    would = (
        "no accuracy was sure to be found by this study"
        if result.detectable is None
        else f"this study would have detected {result.detectable:.0%} or more (power 80%)"
    )
    return f"{head}, which could not be told apart from chance; {would}."


def section(study: PublishedStudy, digest: str) -> Section:
    """The section about a study in the page of the generator with these weights."""
    whole = study.of_all_readers()
    own, all_ = study.images_of(digest), study.synthetic_images
    known = sum(one.images for one in study.generators)
    drew = f"This generator drew {'all' if own == all_ else f'{own:,}'} of the synthetic ones"
    drew += f", other generators {known - own:,}" if known > own else ""
    drew += f"; which generator drew the other {all_ - known:,} is not known" if all_ > known else ""
    drew += "." if own == all_ else ". Every number here is about all of them together."
    when = f" The last answer was given on {study.last_answer}." if study.last_answer else ""
    late, answers = sum(one.timed_out for one in whole), sum(one.answers for one in whole)
    timed_out = f"{late:,} of {answers:,} answers timed out; they count {WAYS[study.timed_out]}. " if late else ""
    return Section(
        lead=f"{study.readers} readers said of {study.images:,} images, {all_:,} of them synthetic, whether they are "
        f"real or synthetic. {drew}{when}",
        sentences=tuple(
            f"With images of {one.side} x {one.side} pixels {clause(one, one.p_corrected)}" for one in whole
        ),
        rows=tuple(_row(one) for one in study.results),
        note=timed_out + WHAT_IT_SAYS,
    )


def section_html(study: PublishedStudy, digest: str) -> Markup:
    """The same for a page of HTML, with its heading."""
    found = section(study, digest)
    numbers = range(2, len(found.heads))
    table = Table(caption="Reader study", heads=found.heads, rows=found.rows, numbers=numbers, stack=True)
    return Markup(render_page("reader_study.html.j2", section=found, table=table))


def _row(one: PublishedResult) -> tuple[str, ...]:
    return (
        f"{one.group} ({one.readers})",
        f"{one.images:,} of {one.side} x {one.side}",
        *(share.text(".0%") for share in (one.accuracy, one.sensitivity, one.specificity)),
        "-" if one.detectable is None else f"{one.detectable:.0%}",
        "-" if one.kappa is None else one.kappa.text("z.2f"),  # no -0.00
    )
