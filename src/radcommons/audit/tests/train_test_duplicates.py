"""Train-test duplicates: films of patients in training that are also held out, under another patient."""

import numpy as np
from scipy.stats import poisson

from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.tests.near_duplicates import detectable_share
from radcommons.records import Estimate, PrivacyTest


def tests(inputs: PrivacyInputs) -> list[PrivacyTest]:
    """Held-out or reference films that are the same film as a training film, in the space that tells films best."""
    space, best = min(inputs.neighbours.items(), key=lambda item: item[1].chance_of_copy)
    question = "Are films of patients in training also held out, under another patient?"
    if not best.tells_copies:
        why = "changed copies of a film cannot be told from films of other patients here"
        return [PrivacyTest(kind="train-test duplicates", access="films", question=question, skipped=why)]
    parts = [best.held_to_train, *([best.reference_to_train] if best.reference_to_train else [])]
    others = np.concatenate([part.best for part in parts])
    count, expected = int((others > best.copy_similarity).sum()), len(others) * best.chance_of_copy
    return [
        PrivacyTest(
            kind="train-test duplicates",
            space=space,
            access="films",
            question=question,
            measure="held-out and validation films that are copies of a training film",
            result=Estimate(value=float(count)),
            expected=expected,
            p_value=float(poisson.sf(count - 1, expected)),
            detection=f"{best.copies_seen:.0%} of slightly changed copies of training films would be counted",
            detection_limit=detectable_share(len(others), expected, best.copies_seen, inputs.significance),
            counts={"held-out films": len(inputs.real.held_out), "validation films": len(inputs.real.reference)},
        )
    ]
