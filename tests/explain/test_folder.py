from pathlib import Path

import numpy as np
import pytest

from radcommons.errors import PathInUse
from radcommons.explain.flow import InterpolationRequest, explain

SHORT = InterpolationRequest(frames=4, patients=2)


def test_a_folder_of_another_generator_or_of_something_else_is_left_alone(works, painter, loads, tmp_path) -> None:
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT)
    before = (tmp_path / "e" / "explain.json").read_bytes()
    loads(painter({"Effusion": np.ones((16, 16))}))
    with pytest.raises(
        PathInUse, match=r"was begun with weights = 0{8}\.\.\., not 0{8}\.\.\.; use those, or choose another --out"
    ):
        explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT)
    assert (tmp_path / "e" / "explain.json").read_bytes() == before
    for content, said in (("{", "is damaged"), ('{"format_version": 99}', "is of format version 99, this radcommons")):
        (tmp_path / "e" / "explain.json").write_text(content)
        with pytest.raises(PathInUse, match=rf"explain\.json {said}.*; choose another --out"):
            explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(PathInUse, match="holds something else"):
        explain(Path("run"), tmp_path, ["Effusion"], interpolation=SHORT)
