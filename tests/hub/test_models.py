"""What the database itself sees to, and what is the same in every database."""

from typing import Any

import pytest

GENERATORS = {  # in the order of their publication: FID, coverage, downloads, a tag
    "a-1": (50.0, 0.5, 3, "Mass"),
    "a_2": (None, 0.9, 0, "mass"),
    "a.3": (50.0, None, 3, "Maß"),
    "b4": (10.0, 0.5, 7, "MASS"),
    "b-5": (None, None, 0, "Mass"),
}


def test_the_log_is_only_added_to_whoever_asks(hub_data: Any, anna: Any) -> None:
    from django.db import DatabaseError, connection, transaction

    from radcommons.hub.models import LogEntry

    entries = list(LogEntry.objects.values())
    assert {entry["what"] for entry in entries} == {"member added", "key registered", "token made"}
    statements = ["UPDATE hub_logentry SET who = 'nobody'", "DELETE FROM hub_logentry"]
    if connection.vendor == "postgresql":
        statements.append("TRUNCATE hub_logentry")
    for statement in statements:
        with pytest.raises(DatabaseError, match="entries of the log are never changed"), transaction.atomic():
            connection.cursor().execute(statement)
    assert list(LogEntry.objects.values()) == entries


@pytest.fixture
def names(published: Any, packaged: Any, anna: Any, browser: Any) -> Any:
    """Names that the list has for a query, page by page."""
    from radcommons.hub.models import Generator, Revision, RevisionTag

    first = published(packaged, anna, "a-1")
    for name, (fid, coverage, downloads, tag) in GENERATORS.items():
        revision = Revision.objects.get(pk=first.pk)
        revision.fid, revision.coverage, revision.downloads = fid, coverage, downloads
        if name != "a-1":
            revision.pk, revision._state.adding = None, True
            revision.generator = Generator.objects.create(organisation=first.generator.organisation, name=name)
        revision.save()
        RevisionTag.objects.create(revision=revision, tag=tag)

    def ask(query: str) -> list[str]:
        address, found = f"/api/models?limit=2&{query}", []
        while address:
            answer = browser.get(address)
            found += [one["id"].partition("/")[2] for one in answer.json()]
            address = answer.get("Link", "").partition(">")[0].removeprefix("<http://localhost")
        return found

    return ask


LISTS = {  # query: names, page by page
    "": "b-5 b4 a.3 a_2 a-1",
    "sort=fid": "b4 a.3 a-1 b-5 a_2",  # the newer one first where two have the same, those without a figure last
    "sort=coverage": "a_2 b4 a-1 b-5 a.3",
    "sort=downloads": "b4 a.3 a-1 b-5 a_2",
    "search=B": "b-5 b4",
    "search=clinic-a/A": "a.3 a_2 a-1",
    "search=_": "a_2",
    "search=%25": "",
    "search=.": "a.3",
    "author=Clinic-A": "",
    "filter=Mass": "b-5 a-1",
    "filter=mass": "a_2",
    "filter=Ma%C3%9F": "a.3",
    "filter=MASS&sort=fid": "b4",
}


def test_lists_are_searched_sorted_and_paged_alike_in_every_database(names: Any) -> None:
    assert {query: names(query) for query in LISTS} == {query: found.split() for query, found in LISTS.items()}
