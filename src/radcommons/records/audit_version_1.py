"""Reads ``audit.json`` of format version 1, which named tests in other words and had one verdict."""

import re
from typing import Any

KINDS = {
    "copies": "near-duplicates",
    "closer to training": "distance to closest record",
    "data copying": "data copying",
    "data copying by finding": "data copying by finding",
    "membership by samples": "membership inference: black-box",
    "membership by weights": "membership inference: white-box",
    "membership by critic": "membership inference: through the critic",
    "shared films": "train-test duplicates",
    "split bias": "sanity check: no generator",
    "members against members": "sanity check: halves of the training part",
}
SPACES = {"identity": "re-identification features", "SSIM": "SSIM", "features": "extractor features"}
OTHER_NAMES = {
    "patients apart": "patient-level split",
    "ground": "sanity checks",
    "power": "detection limit",
    "replay": "positive control: copies",
    "overfitted": "positive control: overfitted generator",
    "planted duplicates": "positive control: train-test duplicates",
    "never saw the films": "negative control: unseen films",
}
QUALITY_RULES = ("coverage", "diversity")


def upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """The values of version 1 as those of version 2."""
    new = dict(values)
    verdict = new.pop("verdict")
    lines = [
        {**line, "rule": _name(line["rule"]), "verdict": "quality" if line["rule"] in QUALITY_RULES else "privacy"}
        for line in new.pop("policy")
    ]
    quality = {line["outcome"] for line in lines if line["verdict"] == "quality"}
    broken = {line["verdict"] for line in lines if line["outcome"] == "not met"}
    judgement = {
        "privacy": "passed" if broken == {"quality"} else verdict,
        "quality": "failed" if "not met" in quality else "passed" if "met" in quality else "not tested",
        "statement": new.pop("statement"),
        "quality_statement": "This report is of an earlier version, which had fewer rules of quality.",
        "lines": lines,
    }
    return {
        "detection_limit": new.pop("detectable_share"),
        "label_classifier": new.pop("judge", None),
        **new,
        "quality": [{**row, **{side: _set_name(row[side]) for side in ("images", "reference")}}
                    for row in new["quality"]],
        "privacy": [_test(**test) for test in new["privacy"]],
        "controls": [{**control, "name": _name(control["name"]), "caught_by": [*map(_name, control["caught_by"])]}
                     for control in new["controls"]],
        "judgement": judgement,
    }  # fmt: skip


def _set_name(old: str) -> str:
    return old.replace("equal counts a finding", "equal counts per finding")


def _name(old: str) -> str:
    """The name of a test, a control or a rule in today's words."""
    test, _, space = old.partition(", ")
    if test not in KINDS:
        return OTHER_NAMES.get(old, old)
    return f"{KINDS[test]}, {SPACES[space]}" if space else KINDS[test]


def _test(name: str, **test: Any) -> dict[str, Any]:
    kind, _, space = name.partition(", ")
    limit = _detection_limit(KINDS[kind], test)
    return {**test, "kind": KINDS[kind], "space": SPACES[space] if space else None, "detection_limit": limit}


def _detection_limit(kind: str, test: dict[str, Any]) -> float | None:
    """The limit that version 1 gave in words; None if its words are not enough."""
    number = re.search(r"an AUC of (\d\.\d+)|a share of (\d\.\d+)", test["detection"])
    if number is None:
        return None
    if kind == "distance to closest record":  # a share of all images, of which chance gives a part
        return (float(number[2]) - test["expected"]) / (1 - test["expected"])  # type: ignore[no-any-return]
    return float(number[1])
