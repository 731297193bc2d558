"""The release record: an audit on a page or two to print and sign, for whoever decides whether a generator may leave.

It is made from ``audit.json`` alone and shows no film, so that it may leave the hospital. It claims nothing that the
audit did not measure.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from radcommons.audit import tables
from radcommons.audit.controls import SHARES
from radcommons.errors import PathInUse
from radcommons.files import write_whole
from radcommons.pages import Table, component, render_page
from radcommons.policy.settings import Policy
from radcommons.records import LEAK_WORDS, AuditReport, Outcome, PrivacyTest, PrivacyTestKind, sha256_file, share_text
from radcommons.settings import preset_path

RECORD = "release.html"
PACKAGE = (
    "radcommons package RUN --audit AUDIT --out PACKAGE --key KEY --license NAME --license-file FILE --contact ADDRESS"
)
COPYING = (
    "The images repeat films of the training. Train again with more patients, with fewer passes over the films (a "
    "smaller total_images) or at a lower resolution, and audit again."
)
MEMBERSHIP = (
    "The generator gives away who was in its training. Train again with more patients, with fewer passes over the "
    "films (a smaller total_images) or at a lower resolution, and audit again."
)
SANITY = (
    "Training and held-out patients differ for another reason than a leak, so no test here is valid. Import the films "
    "again with the split that RadCommons makes, train and audit again."
)
INCONCLUSIVE = (
    "Most tests are inconclusive: alone, each would have missed the leak that the policy asks about. More held-out "
    "patients can settle them, and 'radcommons audit' with more images (--set images=...) and, for the attack with "
    "weights, more films (--set inverted_films=...); with few films some stay open whatever you do."
)
QUALITY = (
    "The images are not good enough for the policy. Train longer or with more films, and audit again. Whether they "
    "help a classifier all the same is what 'radcommons experiment' measures."
)
REMEDIES = {  # by the rule that is not met
    "near-duplicates": COPYING,
    "data copying": COPYING,
    "data copying by finding": COPYING,
    "distance to closest record": COPYING,
    "re-identification": COPYING,
    "membership inference: black-box": MEMBERSHIP,
    "membership inference: white-box": MEMBERSHIP,
    "train-test duplicates": "Films of one patient lie in the store under several, so nothing is held out. Correct the "
    "table of patients, import the films again, train and audit again.",
    "sanity check: no generator": SANITY,
    "sanity check: halves of the training part": SANITY,
    "patient-level split": "The generator was not trained on just the training part of this store. Audit it against "
    "the store that it was trained on, or train it again.",
    "required tests": "Tests are missing. Audit the run itself, not only its images, with enough held-out patients.",
    "detection limit": "The audit would have missed even a large leak. Audit again with more images (--set images=...) "
    "and more held-out patients.",
    "controls": "A test gave a wrong answer where the answer is known. Rely on nothing in this record, and audit again "
    "with more images and more patients.",
}
QUESTIONS: dict[PrivacyTestKind, str] = {
    "near-duplicates": "Is an image a patient's film again, slightly changed?",
    "re-identification": "Would an image be taken for a patient in training?",
    "data copying": "Do the images lie nearer to the films in training than other patients' films do?",
    "data copying by finding": "Is this so for the images of a single finding?",
    "distance to closest record": "Is the film nearest to an image too often one in training?",
    "membership inference: black-box": "Can somebody who has the images tell whose films were in training?",
    "membership inference: white-box": "Can somebody who has the generator tell whose films were in training?",
}
WITH: dict[PrivacyTestKind, str] = {
    "membership inference: black-box": "with the images alone",
    "membership inference: white-box": "with the generator's weights",
}
PARTS = {"in training": "in training", "held out": "held out", "for reference": "for validation"}  # names of counts


@dataclass(frozen=True)
class NextSteps:
    """What the verdicts mean for whoever decides, what to do, and the command that shares, if one is to be given."""

    lead: str
    steps: tuple[str, ...]
    command: str | None = None


def write_record(folder: Path) -> None:
    """Write the release record beside the ``audit.json`` of a folder; its date is that of this file."""
    path = folder / "audit.json"
    report = AuditReport.read(path, refused=PathInUse, remedy="choose another --out")
    finished = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    text = render(report, audited_on=f"{finished:%Y-%m-%d}", audit_sha256=sha256_file(path))
    write_whole(folder / RECORD, text)


def render(report: AuditReport, *, audited_on: str, audit_sha256: str) -> str:
    """The page as HTML.

    Args:
        audited_on: date on which the audit ended; the record of the audit has none, so that the same audit is the same
            file.
        audit_sha256: digest of ``audit.json``, which ties this page to it.
    """
    return render_page(
        "release.html.j2",
        report=report,
        audited_on=audited_on,
        next_steps=next_steps(report),
        tested=tested(report, audited_on, audit_sha256),
        questions=questions(report),
        guess=in_guesses(report),
        undetected=list(undetected(report)),
        critic=next((test for test in report.privacy if test.access == "critic" and test.result is not None), None),
        scores={score.images: score for score in tables.main_scores(report)},
        learned=learned(report),
        signatures=Table(
            caption="Signatures",
            heads=("role", "name", "date", "signature"),
            rows=[[role, "", "", ""] for role in ("Data scientist", "Data-protection officer")],
        ),
    )


def next_steps(report: AuditReport) -> NextSteps:
    """What to do next, from the rules that are not met."""
    judged = report.judgement
    broken = {line.rule.partition(", ")[0]: line.verdict for line in judged.lines if line.outcome == "not met"}
    remedies = tuple(dict.fromkeys(REMEDIES.get(rule, QUALITY) for rule in broken))
    ask = "Or hand audit.json to somebody who can judge it: it has every number and no picture, identifier or row."
    if judged.privacy == "failed":
        return NextSteps("Do not share.", (*remedies, ask))
    share = "Share the package that the command below writes."
    command: str | None = PACKAGE
    if report.kind == "set":
        share, command = "Share the folder of images with audit.json beside it.", None
    weak = (INCONCLUSIVE,) if report.mostly_inconclusive else ()
    if judged.quality == "failed":
        again = f"If you share all the same, the card says that the rules are not met. {share}"
        allowed = command and f"{command} --allow-failed"
        return NextSteps(
            f"Do not share yet: no leak was found{', but most tests are inconclusive' if weak else ''}, and the rules "
            "of quality are not met.",
            (*remedies, *weak, again, ask),
            allowed,
        )
    return NextSteps(
        "No rule forbids to share. The decision is yours.",
        (
            *weak,
            "Read below what could not be detected and what remains, and decide whether that is little enough.",
            share,
            "Share nothing else: films, store, run (it holds the critic) and the audit's page of films stay.",
        ),
        command,
    )


def tested(report: AuditReport, audited_on: str, audit_sha256: str) -> Table:
    """What was tested, on what, when, by which version and policy."""
    counts, rules = report.counts, report.settings["policy"]
    seen = f"; {report.images_seen:,} images shown in training, repeats included" if report.images_seen else ""
    films = ", ".join(
        f"{counts[f'films {part}']:,} of {counts[f'patients {part}']:,} patients {words}"
        for part, words in PARTS.items()
    )
    rows = [
        [report.kind, f"{report.subject}, {report.resolution} x {report.resolution} pixels{seen}"],
        [f"SHA-256 of the {report.kind}", report.digest],
        ["findings", ", ".join(map(tables.words, report.findings)) or "none"],
        ["films", f"{report.store}{' (simulated)' if report.simulated else ''}: {films}"],
        ["images", f"{counts['synthetic images']:,} synthetic images with labels as in training, and "
                   f"{counts['synthetic images, balanced']:,} with findings in turn"],
        ["date", audited_on],
        ["software", ", ".join(f"{name} {version}" for name, version in report.versions.items())],
        ["policy", policy_words(Policy.model_validate(rules))],
        ["SHA-256 of the policy", hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()],
        ["SHA-256 of audit.json", audit_sha256],
    ]  # fmt: skip
    return Table(caption="What was tested", heads=("what", "value"), rows=rows, stack=True)


def policy_words(rules: Policy) -> str:
    """Whether the rules are the shipped ones, and what differs."""
    shipped = Policy.load(preset_path("audit-policy", "default")).model_dump(mode="json")
    changed = [
        f"{name} {value} (shipped: {shipped[name]})"
        for name, value in rules.model_dump(mode="json").items()
        if value != shipped[name]
    ]
    return (
        f"the hospital's own rules: {', '.join(changed)}" if changed else "the rules that RadCommons ships, unchanged"
    )


def questions(report: AuditReport) -> Table:
    """One row for each attack: of the ways to compare images, the one that decides."""
    outcomes = tables.outcomes(report)
    rows = []
    for kind, question in QUESTIONS.items():
        judged = [test for test in report.privacy if test.kind == kind and test.name in outcomes]
        if judged:
            test = min(judged, key=lambda test: _decides(test, outcomes[test.name]))
            outcome = outcomes[test.name]
            detectable = test.detectable if outcome in ("met", "inconclusive") else tables.NOTHING
            found = f"{test.found}; {chance} without a leak" if (chance := by_chance(test)) else test.found
            found = tables.two_lines(found, tables.all_ways(test, report))
            rows.append([question, component("mark", LEAK_WORDS[outcome]), found, detectable])
    return Table(
        caption="What an outsider could ask of the generator or its images",
        heads=("question", "answer", "found", "would have been detected"),
        rows=rows,
        stack=True,
    )


def by_chance(test: PrivacyTest) -> str | None:
    """What a test would have found without a leak; None if that is not known."""
    if test.result is None or test.expected is None:
        return None
    form = ".0%" if test.kind == "distance to closest record" else ".2f" if test.measures_auc else ".1f"
    return f"{test.expected:{form}}"


def _decides(test: PrivacyTest, outcome: Outcome) -> tuple[int, float]:
    """Of the tests of a kind, the lowest decides: a leak, else the one that would have detected the smallest."""
    return list(LEAK_WORDS).index(outcome), 2.0 if test.detection_limit is None else test.detection_limit


def in_guesses(report: AuditReport) -> str | None:
    """What the strongest attack on who was in training means, in plain numbers; None if none was made."""
    attacks = [test.result for test in report.privacy if test.kind in QUESTIONS and test.measures_auc and test.result]
    if not attacks:
        return None
    strongest = max(attacks, key=lambda result: result.value)
    value, _, interval = strongest.text(".0%").replace("%", "").partition(" ")
    return (
        "Shown one patient in training and one who was not, the strongest of these attacks (with images or weights) "
        f"says in {value} of 100 "
        f"cases {interval}{' ' if interval else ''}which of them was in training; a guess does so in 50."
    )


def detected_the_fewest(report: AuditReport) -> bool:
    """Whether even the fewest copies that were planted were detected, so that nothing is known of fewer."""
    images = report.counts["synthetic images"]
    return round((report.detection_limit or 1.0) * images) <= max(1, round(SHARES[0] * images))


def undetected(report: AuditReport) -> Iterator[str]:
    """What a leak could look like that this audit would have missed."""
    limit = report.detection_limit
    if limit is None:
        yield "Any leak: not even a set of copies alone would have been detected."
    else:
        fewest = share_text(limit, report.counts["synthetic images"], "images")
        untried = detected_the_fewest(report)
        yield (
            f"Perhaps fewer copies of films than {fewest}: no fewer were planted to try it."
            if untried
            else (f"Fewer copies of films than {fewest}: these were planted and missed.")
        )
    for kind, means in WITH.items():
        known = [(test.detection_limit, test) for test in report.privacy if test.kind == kind and test.detection_limit]
        if known:
            least, test = min(known, key=lambda one: one[0])
            tried = ", ".join(f"{count:,} {name}" for name, count in test.counts.items() if "patients" in name)
            right = (
                f"right in fewer than {100 * least:.0f} of 100 such cases{f' (tried with {tried})' if tried else ''}"
            )
            yield f"An attack {means} on who was in training that is {right}."
    outcomes = tables.outcomes(report)
    for kind, tests in tables.by_kind(report).items():
        blind = [test for test in tests if outcomes.get(test.name) == "inconclusive"]
        if blind:
            best = min(blind, key=lambda test: _decides(test, "inconclusive"))
            where = ", ".join(test.space for test in blind if test.space)
            name = f"{kind[0].upper()}{kind[1:]}{f' ({where})' if where else ''}"
            would = f"would have detected, at best, {best.detectable}"
            if best.detection_limit is None:
                would = f"would not have detected {best.detectable.removeprefix('not ')}"
            yield f"{name}: inconclusive; {would}."
        for test in tests:
            if test.result is None:
                yield f"{test.name[0].upper()}{test.name[1:]}: {test.found}."


def learned(report: AuditReport) -> dict[str, list[str]]:
    """The findings by what the generator has learned of them."""
    found: dict[str, list[str]] = {}
    for finding, verdict in tables.label_verdicts(report).items():
        found.setdefault(verdict.outcome, []).append(tables.words(finding))
    return found
