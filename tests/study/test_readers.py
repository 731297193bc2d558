"""The reader's way: order, clock and answers are the server's."""

from collections.abc import Callable
from typing import Any

import pytest

BOTH = pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"], indirect=True)


def rows(browser: Any) -> list[tuple[int, str]]:
    return list(browser.reader.showings.filter(answered__isnull=False).values_list("position", "answer"))


def test_a_reader_agrees_checks_the_display_practises_and_reads_to_the_end(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    study = serve_study(show_result=True)
    browser = reader(begun=False)
    assert browser.ask("state").status_code == 403
    browser.open()
    browser.reader.refresh_from_db()
    assert browser.reader.displays[0]["monitor"] == "a test" and browser.reader.consented
    first = browser.ask("state").json()
    assert (first["do"], first["first"], first["practice"]) == ("stop", True, True)
    told = browser.read(1)
    assert told["do"] == "stop" and told["truth"] == study.order(browser.reader.pk)[0].truth
    last = browser.read(13)
    assert last == {"do": "end"}
    page = browser.client.get("/read").content.decode()
    assert "You were right on 6 of 12 images" in page
    assert [row.image for row in browser.reader.showings.all()] == [i.name for i in study.order(browser.reader.pk)]


def test_there_is_a_break_between_blocks_and_no_image_of_the_next_is_sent_before(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    serve_study(practice=0)
    browser = reader()
    browser.read(5)
    shown = browser.show()
    assert shown["next"] is None
    stop = browser.ask("answer", position=5, answer="real").json()
    assert (stop["do"], stop["blocks"], stop.get("truth")) == ("stop", 1, None)
    assert browser.show()["position"] == 6


@BOTH
def test_an_answer_after_the_limit_counts_as_timed_out(
    serve_study: Callable[..., Any], reader: Callable[..., Any], clock: Any
) -> None:
    serve_study(practice=0, seconds=30)
    browser = reader()
    shown = browser.show()
    assert shown["left"] == 30
    clock.wait(29)
    assert browser.ask("state").json()["left"] == 1
    clock.wait(1)
    late = browser.ask("answer", position=0, answer="real")
    assert late.status_code == 409 and "time for this image was over" in late.json()["why"]
    assert rows(browser) == [(0, "timed out")]
    assert browser.ask("state").json()["position"] == 1


@BOTH
def test_a_second_answer_is_refused_and_the_first_stays(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    serve_study(practice=0)
    browser = reader()
    browser.read(1, "synthetic")
    again = browser.ask("answer", position=0, answer="real")
    assert again.status_code == 409 and rows(browser) == [(0, "synthetic")]


def test_no_answer_is_taken_before_the_image_was_shown_nor_for_one_that_is_to_come(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    serve_study(practice=0)
    browser = reader()
    step = browser.ask("go").json()
    assert "not shown yet" in browser.ask("answer", position=0, answer="real").json()["why"]
    assert "was not sent" in browser.ask("shown", position=0).json()["why"]
    assert browser.client.get(step["image"]).status_code == 200
    assert "not shown yet" in browser.ask("answer", position=0, answer="real").json()["why"]
    browser.ask("shown", position=0)
    for position in (1, 5, 11, 12, 999999, "x", ""):
        assert browser.ask("answer", position=position, answer="real").status_code == 409
    for answer in ("", "timed out", "REAL", "x" * 5000):
        assert browser.ask("answer", position=0, answer=answer).status_code == 409
    assert rows(browser) == []


def test_a_reload_shows_the_same_image_with_the_time_that_is_left(
    serve_study: Callable[..., Any], reader: Callable[..., Any], clock: Any
) -> None:
    serve_study(practice=0, seconds=30)
    browser = reader()
    before = browser.show()
    clock.wait(12)
    browser.reload()
    after = browser.show()
    assert after["position"] == before["position"] and after["left"] == 18
    assert after["image"] != before["image"] and browser.client.get(before["image"]).status_code == 404


def test_the_clock_starts_ten_seconds_after_an_image_was_sent_whatever_the_page_reports(
    serve_study: Callable[..., Any], reader: Callable[..., Any], clock: Any
) -> None:
    serve_study(practice=0, seconds=30)
    browser = reader()
    step = browser.ask("go").json()
    browser.client.get(step["image"])
    clock.wait(25)
    assert browser.ask("shown", position=0).json()["left"] == 15
    clock.wait(15)
    assert browser.ask("state").json()["position"] == 1


@BOTH
def test_an_image_that_was_sent_ahead_gets_no_second_clock_when_the_reader_stays_away(
    serve_study: Callable[..., Any], reader: Callable[..., Any], clock: Any
) -> None:
    serve_study(practice=0, seconds=30, each=5)
    browser = reader()
    ahead = browser.show()["next"]
    assert browser.client.get(ahead).status_code == 200
    clock.wait(3600)
    step = browser.reload().ask("state").json()
    assert rows(browser) == [(0, "timed out"), (1, "timed out")]  # the second could have been looked at
    assert step["position"] == 2 and step["left"] == 30  # the third was never sent


def test_the_next_image_is_sent_only_once_the_current_one_is_shown(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    serve_study(practice=0)
    browser = reader()
    step = browser.ask("go").json()
    seat = browser.seat
    from django.core import signing

    from radcommons.study.reading import IMAGE

    def image(position: int) -> int:
        token = signing.Signer(salt=IMAGE).sign_object([browser.reader.pk, position, seat])
        return int(browser.client.get(f"/image/{token}").status_code)

    assert step["position"] == 0 and image(1) == 404
    assert image(0) == 200 and image(1) == 404
    browser.ask("shown", position=0)
    assert image(1) == 200 and image(2) == 404
    browser.ask("answer", position=0, answer="real")
    assert image(0) == 404  # no way back


@BOTH
def test_a_newer_page_takes_over_and_the_older_one_is_told(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    serve_study(practice=0)
    browser = reader()
    shown, old = browser.show(), browser.seat
    browser.reload()
    told = browser.client.post("/read/answer", {"seat": old, "position": 0, "answer": "real"})
    assert told.status_code == 409 and told.json()["do"] == "taken"
    assert browser.client.get(shown["image"]).status_code == 404
    assert rows(browser) == []
    browser.show()
    assert browser.ask("answer", position=0, answer="real").json()["position"] == 1


def test_another_device_goes_on_after_its_own_display_check(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    serve_study(practice=0)
    browser = reader()
    browser.read(2)
    other = type(browser)(browser.reader).open()
    assert other.show()["position"] == 2
    browser.reader.refresh_from_db()
    assert len(browser.reader.displays) == 2
    assert browser.ask("state").json()["do"] == "taken"


def test_grey_steps_that_are_not_told_apart_end_the_check_and_the_fields_change_places(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    serve_study(practice=0)
    browser = reader(begun=False)
    browser.client.get(browser.reader.link)
    browser.client.post("/read/consent", {"agree": "1"})
    seen = set()
    for _ in range(20):
        page = browser.client.get("/read").content.decode()
        hidden = browser.client.session["hidden"]
        seen.add(tuple(hidden))
        wrong = {row: 1 + (place + 1) % 4 for row, place in zip(("dark", "middle", "light"), hidden, strict=True)}
        assert browser.client.post("/read/display", wrong).status_code == 302
        assert browser.client.post("/read/display", wrong).status_code == 302  # no second guess at the same fields
    assert "Not all three were right" in page and len(seen) > 5
    assert browser.ask("state").status_code == 403


def test_answers_can_be_changed_within_a_block_only_where_the_design_says_so(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    serve_study(practice=0, seconds=None, back=True)
    browser = reader()
    browser.read(3)
    step = browser.ask("state", position=1).json()
    assert (step["position"], step["answer"], step["back"], step["left"]) == (1, "real", 0, None)
    assert browser.client.get(step["image"]).status_code == 200
    assert browser.ask("shown", position=1).status_code == 200
    assert browser.ask("answer", position=1, answer="synthetic").json()["position"] == 2
    assert rows(browser) == [(0, "real"), (1, "synthetic"), (2, "real")]
    stop = browser.read(3)
    assert (stop["do"], stop["back"]) == ("stop", 5)
    assert browser.ask("answer", position=5, answer="synthetic").json()["do"] == "stop"
    browser.ask("go")
    assert browser.ask("answer", position=5, answer="real").status_code == 409
    assert browser.ask("state", position=5).json()["position"] == 6
    assert browser.read(6)["do"] == "stop"  # the last block, too, can be changed until the reader goes on
    assert browser.ask("answer", position=11, answer="synthetic").json()["do"] == "stop"
    assert browser.ask("go").json() == {"do": "end"}
    assert browser.ask("answer", position=11, answer="real").status_code == 409


def test_without_back_a_wanted_position_is_not_given(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    serve_study(practice=0)
    browser = reader()
    browser.read(2)
    assert browser.ask("state", position=0).json()["position"] == 2


@BOTH
def test_questions_come_after_the_answer_also_after_a_reload_and_are_kept_once(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    serve_study(practice=0, confidence=True, spot=True, comment=True)
    browser = reader()
    assert browser.show()["next"] is None  # nothing is sent ahead while questions come between
    asked = browser.ask("answer", position=0, answer="synthetic").json()
    assert asked["questions"] == ["confidence", "spot", "comment"]
    asked = browser.reload().ask("state").json()
    assert asked["do"] == "ask" and browser.client.get(asked["image"]).status_code == 200
    for wrong in (
        {},
        {"confidence": "6"},
        {"confidence": "4", "x": "16", "y": "0"},
        {"confidence": "4", "x": "-1", "y": "0"},
    ):
        assert browser.ask("details", position=0, **wrong).status_code == 409
    given = {"confidence": "4", "x": "15", "y": "0", "comment": "  ribs\0 "}
    assert browser.ask("details", position=0, **given).json()["position"] == 1
    assert browser.ask("details", position=0, **given).status_code == 409
    row = browser.reader.showings.get(position=0)
    assert row.details == {"confidence": 4, "spot": [15, 0], "comment": "ribs"}
    browser.show()
    assert browser.ask("answer", position=1, answer="real").json()["questions"] == ["confidence", "comment"]


@BOTH
def test_a_paused_study_finishes_the_image_that_is_shown_and_goes_on_where_it_was(
    serve_study: Callable[..., Any], reader: Callable[..., Any], coordinator: Callable[[], Any], clock: Any
) -> None:
    serve_study(practice=0, seconds=30)
    browser = reader()
    ahead = browser.show()["next"]
    browser.client.get(ahead)
    coordinator().post("/pause", {"pause": "1"})
    assert browser.ask("answer", position=0, answer="real").json() == {"do": "paused"}
    assert browser.ask("go").json() == {"do": "paused"}
    assert browser.client.get(ahead).status_code == 404
    clock.wait(86_400)
    coordinator().post("/pause", {"pause": "0"})
    assert browser.show()["left"] == 30
    assert rows(browser) == [(0, "real")]


def test_no_answer_of_the_server_before_the_readers_own_holds_the_truth_or_a_name(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    study = serve_study(practice=0)
    browser = reader()
    for image in study.order(browser.reader.pk):
        said = browser.client.get("/read").content
        browser.reload()
        said += browser.ask("state").content + browser.ask("go").content
        step = browser.show()
        said += str(step).encode() + browser.ask("answer", position=step["position"], answer="real").content
        assert b"truth" not in said and image.name.encode() not in said


def test_images_of_both_kinds_have_the_same_headers_and_length(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    serve_study(practice=0)
    browser = reader()
    found = set()
    for position in range(6):
        browser.show()
        answer = browser.client.get(browser.ask("state").json()["image"])
        found.add(str(sorted(answer.headers.items())))
        assert "ETag" not in answer and "Last-Modified" not in answer
        assert answer["Cache-Control"] == "no-store" and answer["Content-Length"] == "400"
        browser.ask("answer", position=position, answer="real")
    assert len(found) == 1


def test_forged_and_foreign_addresses_are_of_no_use(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    serve_study(practice=0)
    ann, bea = reader("ann"), reader("bea")
    image = ann.show()["image"]
    assert ann.client.get(image).status_code == 200
    assert bea.client.get(image).status_code == 404
    assert ann.client.get(image[:-1] + ("A" if image[-1] != "A" else "B")).status_code == 404
    assert ann.client.get("/image/" + ann.reader.link.rpartition("/")[2]).status_code == 404
    for link in (ann.reader.link + "x", "/invitation/x", "/invitation/" + image.rpartition("/")[2]):
        assert ann.client.get(link).status_code == 403
    assert bea.client.post("/read/answer", {"seat": ann.seat, "position": 0, "answer": "real"}).json()["do"] == "taken"


def test_after_a_revocation_or_with_a_new_link_nothing_works(
    serve_study: Callable[..., Any], reader: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    serve_study(practice=0)
    for action in ("revoke", "link"):
        browser = reader(action)
        image = browser.show()["image"]
        assert coordinator().post(f"/readers/{browser.reader.pk}/{action}").status_code == 302
        gone = [browser.client.get(path) for path in (browser.reader.link, "/read", image)]
        gone += [browser.ask(what, position=0, answer="real") for what in ("state", "go", "shown", "answer", "details")]
        assert {answer.status_code for answer in gone} == {403}
        assert rows(browser) == []
        browser.reader.refresh_from_db()
        assert browser.client.get(browser.reader.link).status_code == (403 if action == "revoke" else 302)
