import numpy as np
import pytest

from radcommons.data.film import age_years, sex, through_table


@pytest.mark.parametrize("kind", ["u1", "i1", "<u2", "<i2", ">u2", ">i2"])
def test_a_table_gives_every_value_its_entry_and_0_to_values_outside(kind):
    lowest, highest = np.iinfo(kind).min, np.iinfo(kind).max
    values = np.array([[lowest, -1 if lowest else 1, 0], [5, 6, highest]]).astype(kind)
    table = np.array([10, 20, 30], np.uint8)
    assert through_table(values, table, first=4).tolist() == [[0, 0, 0], [20, 30, 0]]
    below_zero = through_table(values, table, first=-1) if lowest else None
    assert below_zero is None or below_zero.tolist() == [[0, 10, 20], [0, 0, 0]]
    assert through_table(values[:, ::2], table, first=4).tolist() == [[0, 0], [20, 0]]


@pytest.mark.parametrize(
    ("text", "years"),
    [("057Y", 57), ("018M", 1.5), ("010D", 10 / 365.25), ("57", 57), ("57.0", 57), (" 3y", 3), ("000Y", 0)],
)
def test_an_age_is_read_in_years(text, years):
    assert age_years(text) == pytest.approx(years)


@pytest.mark.parametrize("text", ["", "411", "0411Y", "-1", "old", "nan", "inf", "Y"])
def test_an_impossible_age_is_unknown(text):
    assert age_years(text) is None


def test_sex_is_f_or_m_or_unknown():
    assert [sex(s) for s in ("F", "male", "O", "")] == ["F", "M", None, None]
