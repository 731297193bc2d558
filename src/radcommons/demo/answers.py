"""The demo's results as answers to the questions of somebody who has five minutes. They follow by fixed rules."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radcommons.demo.results import AuditResult, DemoResult, LabelEffect
from radcommons.explain.evidence import counted
from radcommons.records import ExperimentResult, Verdict, share_text

HELP: dict[Verdict, str] = {
    "better": "yes",
    "worse": "no, they harm",
    "no relevant difference": "they change nothing that matters",
    "undecided": "undecided",
}


@dataclass(frozen=True)
class Answer:
    """One question and its answer.

    Attributes:
        outcome: the answer in a word or a few.
        mark: the outcome of `pages.MARKS` that has the same sign.
        sentence: the answer with its number and interval.
        place: where the evidence is, a link within the page; `shown` is its text.
        commands: what to type.
    """

    question: str
    outcome: str
    mark: str
    sentence: str
    place: str
    shown: str
    commands: tuple[str, ...] = ()


def answers(result: DemoResult) -> list[Answer]:
    """The four answers at the top of the page."""
    return [
        leaks(result.audits),
        labels(result.effects),
        helps(result.experiment),
        next_step(result.audits, result.program),
    ]


def as_text(result: DemoResult) -> str:
    """The answers for a terminal, what to open, and the next command."""
    said = answers(result)
    lines = [f"{answer.question} {_capital(answer.outcome)}. {answer.sentence}" for answer in said]
    named = (("open", result.report), ("then", said[-1].commands[0]), ("or look around", serve_study(result)),
             ("", serve_hub(result)))  # fmt: skip
    return "\n".join([*lines, "", *(f"{words:<14}  {command}" for words, command in named)])


def serve_study(result: DemoResult) -> str:
    """The command that opens the reader study."""
    return f"{result.program} study serve {shlex.quote(result.study)}"


def serve_hub(result: DemoResult) -> str:
    """The command that opens the hub's pages."""
    return f"{result.program} hub serve --data {shlex.quote(str(Path(result.report).parent / 'hub'))}"


def leaks(audits: Sequence[AuditResult]) -> Answer:
    """Does anything leak?"""
    outcome, mark = "no leak found", "passed"
    blindest = max(audits, key=lambda a: len(a.blind))
    if 2 * len(blindest.blind) > len(blindest.judged):
        outcome, mark = "no leak found, but most tests are inconclusive", "inconclusive"
    leaking = [a for a in audits if a.leaks]
    unsure = [a for a in audits if a.privacy == "failed" or a.copies is None]
    if leaking:
        outcome, mark = "yes", "failed"
        sentence = f"A leak was found in {'; '.join(f'generator {a.site} by {_found(a)}' for a in leaking)}."
    elif unsure:
        outcome, mark = "not known", "inconclusive"
        named = "; ".join(f"{a.site} ({_why_unsure(a)})" for a in unsure)
        sentence = f"No test found a leak, but nothing is proved about generator {named}."
    else:
        worst = max(audits, key=lambda a: a.copies or 0.0)
        sentence = f"Copies of training films would have been found from {_copies(worst)} on"
        if strongest := [(a.strongest, a.site) for a in audits if a.strongest]:
            best, site = max(strongest, key=lambda one: one[0].value)
            cases = " of 100 cases ".join(best.text(".0%").replace("%", "").split(" ", 1))
            attack = f"the best attack on who was in training, with images or weights (generator {site})"
            sentence += f", and {attack} is right in {cases}, a guess in 50"
        if blindest.blind:
            sentence += f"; but in generator {blindest.site} {_blind(blindest)}"
        sentence += "."
    return Answer("Does anything leak?", outcome, mark, sentence, "#leaks", "What was tested, and what it would miss")


def may_leave(audit: AuditResult) -> Answer:
    """May this generator leave its hospital? What the rules of the audit say; a person decides."""
    if audit.leaks:
        outcome, mark, sentence = "no", "failed", f"A leak was found by {_found(audit)}."
    elif audit.privacy == "failed" or audit.copies is None:
        outcome, mark = "no", "failed"
        sentence = f"No leak was found, but the audit proves nothing: {_why_unsure(audit)}."
    else:
        sentence = f"Privacy passed: no test found a leak, and copies would have been found from {_copies(audit)} on."
        if audit.blind:
            sentence += f" But {_blind(audit)}."
        if audit.quality == "failed":
            outcome, mark = "not yet", "partly learned"
            sentence += f" Quality failed: {_listed(audit.broken('quality'))} not met."
            sentence += " By the rules the images are not good enough to share."
        else:
            outcome, mark = "yes, by the rules", "passed"
            sentence += " The rules are no guarantee: a person has to decide."
    question = f"May generator {audit.site} leave hospital {audit.site}?"
    return Answer(question, outcome, mark, sentence, audit.page, f"The audit of generator {audit.site}")


def labels(effects: Sequence[LabelEffect]) -> Answer:
    """Did the labels work?"""
    counts = Counter(effect.outcome for effect in effects)
    learned = counts["learned"]
    outcome, mark = "some", "partly learned"
    if learned == len(effects):
        outcome, mark = "yes", "learned"
    elif not learned and not counts["partly learned"]:
        outcome, mark = ("no", "not learned") if counts["not learned"] else ("not known", "cannot tell")
    elif learned > len(effects) / 2:
        outcome = "most"
    told = ", ".join(f"{count} {one}" for one, count in counted([effect.outcome for effect in effects]))
    by: dict[str, set[str]] = {}
    for effect in effects:
        by.setdefault(effect.finding, set()).update({effect.site} if effect.outcome == "learned" else ())
    known = [f"{finding} ({_listed(sorted(sites))})" for finding, sites in by.items() if sites]
    aurocs = [effect.auroc for effect in effects]
    sentence = (
        f"{f'Learned: {_listed(known)}; of' if known else 'Of'} {len(effects)} labels, {told}; the change sits in the "
        f"right pixels with a median AUROC of {np.median(aurocs):.2f}, from {min(aurocs):.2f} to {max(aurocs):.2f}, "
        "where 0.5 is chance."
    )
    return Answer("Did the labels work?", outcome, mark, sentence, "#labels", "Finding by finding")


def helps(experiment: ExperimentResult) -> Answer:
    """Do synthetic films help? In the experiment's own words."""
    verdict, said = experiment.main[0].verdict, experiment.sentence
    return Answer("Do synthetic films help?", HELP[verdict], verdict, said, "#help", "Every arm of the experiment")


def next_step(audits: Sequence[AuditResult], program: str) -> Answer:
    """What next? Always the same with own films; and what stands in the way of sharing."""
    stopped = [a.site for a in audits if may_leave(a).mark != "passed"]
    sentence = "Do the same with your own films; nothing leaves your machine."
    if stopped:
        named = f"Do not share generator{'s' if len(stopped) > 1 else ''} {_listed(stopped)} yet"
        sentence = f"{named}: what to do first is in the release records. {sentence}"
    commands = (
        f"{program} data import dicom /path/to/export --labels labels.csv --out stores/own",
        f"{program} train stores/own --out runs/own --preset small-64",
        f"{program} audit runs/own stores/own --out audits/own --controls",
    )
    return Answer("What next?", "your own films", "next", sentence, "#try", "What else to open here", commands)


def _copies(audit: AuditResult) -> str:
    assert audit.copies is not None
    return share_text(audit.copies, audit.images, "images")


def _blind(audit: AuditResult) -> str:
    blind = f"{len(audit.blind)} of {len(audit.judged)} tests {'is' if len(audit.blind) == 1 else 'are'} inconclusive"
    return f"{blind}: alone, each would have missed the leak that the policy asks about ({audit.leak_size})"


def _found(audit: AuditResult) -> str:
    return _listed([f"{test.name} ({test.found})" for test in audit.leaks])


def _why_unsure(audit: AuditResult) -> str:
    broken = audit.broken("privacy")
    return f"{_listed(broken)} not met" if broken else "not even copies alone would have been found"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
