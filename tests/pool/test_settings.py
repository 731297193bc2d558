from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radcommons.errors import SettingRefused
from radcommons.pool.settings import PoolSettings

Spec = Callable[..., PoolSettings]
A: dict[str, Any] = {"reference": "a"}


@pytest.mark.parametrize(
    ("tables", "changes", "message"),
    [
        ([{**A, "weight": 1, "images": 5}], {}, "'weight' and 'images' of a exclude each other; drop one"),
        ([{**A, "images": 5, "findings": {"Mass": 5}}], {}, "'images' and 'findings' of a exclude each other"),
        ([{**A, "findings": {"Mass": 5}, "balanced": True}], {}, "'findings' of a .* excludes 'balanced'"),
        ([{**A, "findings": {}}], {}, "'findings' of a needs a number for a finding"),
        ([{**A, "findings": {"Mass": 0}}], {}, "greater than or equal to 1"),
        ([A], {}, "'total_images' must be 1 or more: 0 images are counted"),
        ([A, {**A, "images": 9}], {"total_images": 9}, "'total_images' must be 10 or more: 9 images are counted"),
        ([{**A, "images": 9}], {"total_images": 8}, "'total_images' is 8 but the generators' counts sum to 9"),
        ([{**A, "images": 9}], {"balanced": True}, "'balanced' decides the labels: a has a weight or nothing"),
        ([A], {"total_images": 5, "no_finding": True}, "'no_finding' belongs to 'balanced = true'"),
        ([], {"total_images": 5}, "there is no generator; add a table"),
        ([{"refrence": "a"}], {}, "'generator.0.refrence' is not a setting; the nearest is 'generator.0.reference'"),
        ([A], {"total_images": 5, "quality": {"precison": 0.1}}, "the nearest is 'quality.precision'"),
    ],
)
def test_a_contradiction_is_refused_in_words_that_say_what_to_change(
    spec: Spec, tables: list[dict[str, Any]], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingRefused, match=message) as refused:
        spec(*tables, **changes)
    assert "{'reference'" not in str(refused.value)


def test_a_saved_specification_is_read_back_with_its_tables(spec: Spec, tmp_path: Path) -> None:
    asked = spec({**A, "findings": {"No Finding": 5}}, {"reference": "b", "weight": 2}, total_images=9)
    asked.save(tmp_path / "pool.toml")
    assert PoolSettings.load(tmp_path / "pool.toml") == asked
