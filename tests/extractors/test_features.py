import json

import numpy as np
import pytest

from radcommons.errors import ExtractorsDiffer
from radcommons.extractors import ExtractorRecord, Features, same_extractor

ONE = ExtractorRecord(name="one", digest="aaaaaaaabb", dimension=2, side=224, resize="bilinear")


def features(**changes: object) -> Features:
    return Features(np.zeros((3, 2), np.float32), ONE.model_copy(update=changes))


def test_features_of_one_extractor_compare() -> None:
    assert same_extractor(features(), features()) == ONE
    assert len(features()) == 3


@pytest.mark.parametrize(
    ("changes", "which"),
    [
        ({"name": "two"}, "one and two"),
        ({"digest": "ccccccccdd"}, "one with weights aaaaaaaa and cccccccc"),
        ({"resize": "nearest"}, "one at 224 (bilinear) and at 224 (nearest)"),
        ({"side": 299}, "one at 224 (bilinear) and at 299 (bilinear)"),
    ],
)
def test_features_of_two_extractors_do_not(changes: dict[str, object], which: str) -> None:
    with pytest.raises(ExtractorsDiffer) as caught:
        same_extractor(features(), features(**changes))
    assert str(caught.value) == f"scores of {which} cannot be compared; extract both sets with one extractor"


def test_a_record_survives_json() -> None:
    assert ExtractorRecord.model_validate(json.loads(ONE.model_dump_json())) == ONE
