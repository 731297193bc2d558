"""Analyses a reader study: every number with an interval, tests corrected, and a sentence that they support."""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from radcommons.files import put_whole, write_whole
from radcommons.folders import alone_in, claim
from radcommons.records import ShownGenerator, StudyResult, TimedOut, sha256_file
from radcommons.seeds import numpy_stream
from radcommons.study import report
from radcommons.study.answers import ALL, Answers, read_answers
from radcommons.study.comparisons import against_chance, between_blocks, between_groups, corrected, over_the_order
from radcommons.study.conclusions import notes, sentence
from radcommons.study.measures import cell_of, group_result, reader_results
from radcommons.versions import versions


def analyse(
    answers_file: Path,
    out: Path,
    *,
    timed_out: TimedOut = "half",
    bootstrap_samples: int = 10_000,
    seed: int = 0,
    drawn_by: Mapping[str, str] | None = None,
    last_answer: date | None = None,
) -> StudyResult:
    """Analyse a file of answers; writes ``study.json``, ``study.html``, the table, the picture and an export for iMRMC.

    Args:
        answers_file: CSV, one line per answer.
        timed_out: how an answer that timed out counts: half right (what a guess earns), wrong, or not at all.
        bootstrap_samples: of readers and images.
        seed: of these.
        drawn_by: digest of the generator that drew an image, by the image's name, as far as it is known.
        last_answer: its day.
    Raises:
        TableRefused, PathMissing: the file cannot be analysed.
        PathInUse: `out` holds something else, or the analysis of other answers or with other settings.
    """
    answers = read_answers(answers_file)
    digest = sha256_file(answers_file)
    drew = Counter(drawn_by[name] for name in answers.images if name in drawn_by) if drawn_by else Counter()
    generators = tuple(ShownGenerator(digest=one, images=number) for one, number in drew.most_common())
    with alone_in(out, private=True):  # how well each person reads
        claim(
            out,
            {
                "command": "study analyse",
                "answers": digest,
                "timed_out": timed_out,
                "bootstrap_samples": bootstrap_samples,
                "seed": seed,
                "generators": [one.model_dump() for one in generators],
            },
        )
        result = analyse_answers(
            answers, answers_sha256=digest, timed_out=timed_out, bootstrap_samples=bootstrap_samples, seed=seed
        )
        result = result.model_copy(update={"generators": generators, "last_answer": last_answer})
        report.write(result, out)
        put_whole(out / report.IMRMC, lambda path: report.write_imrmc(answers, path))
        write_whole(out / report.RECORD, result.to_json())
        return result


def analyse_answers(
    answers: Answers, *, answers_sha256: str, timed_out: TimedOut, bootstrap_samples: int, seed: int
) -> StudyResult:
    """The analysis of answers that have been read."""
    several = [ALL] if len(answers.groups) > 1 else []
    cells = [
        cell
        for group in (*answers.groups, *several)
        for block in answers.blocks
        if (cell := cell_of(answers, group, block, timed_out)) is not None
    ]
    results = []
    for cell in cells:
        rng = numpy_stream(seed, "bootstrap", cell.group, cell.block)
        results.append(group_result(answers, cell, len(cells), bootstrap_samples, rng))
    tests = [
        *corrected([against_chance(cell) for cell in cells]),
        *corrected(between_blocks(answers, timed_out)),
        *corrected(between_groups(answers, timed_out)),
        *corrected(over_the_order(answers, timed_out)),
    ]
    by_reader = [r for block in range(len(answers.blocks)) for r in reader_results(answers, block, timed_out)]
    return StudyResult(
        answers_sha256=answers_sha256,
        timed_out=timed_out,
        readers=len(answers.readers),
        images=len(answers.images),
        synthetic_images=int(answers.synthetic.sum()),
        groups=answers.groups,
        blocks=answers.blocks,
        results=tuple(results),
        by_reader=tuple(by_reader),
        tests=tuple(tests),
        sentence=sentence(results, tests),
        notes=notes(answers, results, timed_out),
        bootstrap_samples=bootstrap_samples,
        seed=seed,
        versions=versions("numpy", "scipy"),
    )
