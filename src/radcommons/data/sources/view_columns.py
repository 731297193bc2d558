"""Collect a table's statements about view, modality and part of the body, for `views.decide`."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from radcommons.data.sources.tables import VIEW_NAMES, Table, squashed
from radcommons.data.view_phrases import About, tokens_of
from radcommons.data.views import Statements

# The usual names, and those of PadChest, MIMIC-CXR, CheXpert and Cohen. Every existing column counts.
FIELD_NAMES: Final[dict[About, tuple[str, ...]]] = {
    "view": (*VIEW_NAMES, "frontal/lateral", "view position dicom", "view code sequence code meaning"),
    "modality": ("modality", "modality dicom"),
    "body part": ("body part", "body part examined", "body part examined dicom"),
}
SERIES_NAMES: Final = ("series description",)
SHOWN_FROM_ROWS: Final = 3  # a word in fewer rows may be a patient's name, in a row that is shifted by one column
STUDY_NAMES: Final = ("study description", "performed procedure step description")


def statements_by_row(table: Table, *, view_column: str | None = None) -> list[Statements]:
    """The statements of each row; `view_column` replaces the usual columns of the view."""
    fields: list[tuple[About, str]] = []
    for about, names in FIELD_NAMES.items():
        chosen = [view_column] if view_column and about == "view" else _columns(table, names)
        fields += [(about, column) for column in chosen]
    series, study = _columns(table, SERIES_NAMES), _columns(table, STUDY_NAMES)
    columns = [*(column for _, column in fields), *series, *study]
    if not columns:
        return [Statements()] * len(table.lines)
    counts = [_rows_of_words(table.cells(column)) for _, column in fields]
    of_cells: dict[tuple[str, ...], Statements] = {}  # few rows differ in these columns
    rows = list(zip(*(table.cells(column) for column in columns), strict=True))
    for cells in rows:
        if cells not in of_cells:
            own, text = cells[: len(fields)], cells[len(fields) :]
            of_cells[cells] = Statements(
                fields=tuple((about, cell) for (about, _), cell in zip(fields, own, strict=True) if cell),
                series_text=tuple(cell for cell in text[: len(series)] if cell),
                study_text=tuple(cell for cell in text[len(series) :] if cell),
                names=frozenset(
                    word
                    for cell, count in zip(own, counts, strict=True)
                    if count[words := tuple(tokens_of(cell))] < SHOWN_FROM_ROWS
                    for word in words
                ),
            )
    return [of_cells[cells] for cells in rows]


def _rows_of_words(cells: Sequence[str]) -> Counter[tuple[str, ...]]:
    """The number of rows with each value, in any spelling."""
    rows: Counter[tuple[str, ...]] = Counter()
    for cell, count in Counter(cells).items():
        rows[tuple(tokens_of(cell))] += count
    return rows


def _columns(table: Table, names: Sequence[str]) -> list[str]:
    wanted = frozenset(map(squashed, names))
    return [column for column in table.columns if squashed(column) in wanted]
