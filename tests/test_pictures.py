"""A contact sheet lays films out row by row."""

import numpy as np
import pytest

from radcommons.pictures import GAP, PAPER, contact_sheet


def flat(*greys: int, side: int = 8) -> np.ndarray:
    return np.stack([np.full((side, side), grey, np.uint8) for grey in greys])


def test_each_film_lies_at_its_row_and_column_with_paper_between() -> None:
    sheet = np.asarray(contact_sheet([flat(100, 110), flat(200)]))
    step = 8 + GAP
    assert sheet.shape == (2 * step + GAP, 2 * step + GAP)
    for row, column, grey in ((0, 0, 100), (0, 1, 110), (1, 0, 200), (1, 1, PAPER)):  # rows may differ in length
        top, left = GAP + row * step, GAP + column * step
        assert (sheet[top : top + 8, left : left + 8] == grey).all()
    assert (sheet[:GAP] == PAPER).all() and (sheet[:, :GAP] == PAPER).all()


def test_films_are_enlarged_by_repetition_and_averaged_down() -> None:
    film = np.array([[[0, 100], [200, 60]]], np.uint8)
    large = np.asarray(contact_sheet([film], side=4))[GAP:-GAP, GAP:-GAP]
    assert (large == film[0].repeat(2, axis=0).repeat(2, axis=1)).all()
    assert np.asarray(contact_sheet([film], side=1))[GAP, GAP] == 90


@pytest.mark.parametrize("side", [32, 64])
def test_names_stand_left_of_their_rows_and_move_the_films_right(side: int) -> None:
    bare = contact_sheet([flat(0, side=side)], side=side)
    named = contact_sheet([flat(0, side=side), flat(0, side=side)], ["Cardiomegaly", ""], side=side)
    margin = np.asarray(named)[:, : named.width - bare.width]
    assert named.width > bare.width
    assert (margin[: side + GAP] > PAPER).any() and (margin[side + GAP :] == PAPER).all()


def test_a_film_itself_is_not_changed() -> None:
    film = flat(50)
    contact_sheet([film], ["name"], side=16)
    assert (film == 50).all()


def test_a_title_stands_above_the_films_and_moves_them_down() -> None:
    bare = np.asarray(contact_sheet([flat(100, side=64)], side=64))
    titled = np.asarray(contact_sheet([flat(100, side=64)], side=64, title="SYNTHETIC"))
    head = titled.shape[0] - bare.shape[0]
    assert (titled[head:] == bare).all() and (titled[:head] > 150).any()


def test_a_stamp_is_written_across_the_foot_of_every_film_and_nothing_else_changes() -> None:
    films = flat(100, 110, side=32)
    plain, stamped = (np.asarray(contact_sheet([films], side=64, stamp=word)) for word in ("", "SIMULATED"))
    step, foot = 64 + GAP, 13
    for column in range(2):
        left = GAP + column * step
        film = stamped[GAP : GAP + 64, left : left + 64]
        assert (film[: 64 - foot] == plain[GAP : GAP + 64 - foot, left : left + 64]).all()
        written = np.flatnonzero((film[64 - foot :] > 150).any(axis=0))
        assert written.min() < 8 and written.max() > 56  # as wide as the film
    assert (films == flat(100, 110, side=32)).all()
