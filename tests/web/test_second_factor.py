"""Who turned a second factor on logs in with the password and a code, and with nothing less."""

import re
import time
from base64 import b32decode
from typing import Any

import pytest

PASSWORD = "a password of some length"


@pytest.fixture
def user(hub_data) -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model().objects.create_user("anna", password=PASSWORD)


@pytest.fixture
def client(user) -> Any:
    """A browser in which the user is logged in."""
    from django.test import Client

    found = Client(SERVER_NAME="localhost")
    found.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return found


@pytest.fixture
def at(monkeypatch) -> Any:
    """Sets the clock, in seconds; a code is valid for about one and a half minutes, and no code twice."""
    from django_otp.plugins.otp_totp import models

    class Clock:
        now = time.time()

        def time(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(models, "time", clock)
    return clock


def code_of(secret: str, seconds: float) -> str:
    """The six digits that an app shows for a secret."""
    from django_otp.oath import totp

    return f"{totp(b32decode(secret.replace(' ', '')), t0=0, drift=int(seconds // 30) - int(time.time() // 30)):06d}"


def turned_on(client: Any, clock: Any) -> tuple[str, list[str]]:
    """The secret and the recovery codes of a second factor that was just turned on."""
    page = client.get("/second-factor").content.decode()
    secret = re.search(r"<code>([A-Z2-7 ]+)</code>", page)[1]
    done = client.post("/second-factor", {"do": "on", "code": code_of(secret, clock.now)}).content.decode()
    clock.now += 60
    return secret, re.findall(r"\b[a-z2-7]{8}\b", re.search(r"<pre[^>]*>(.*?)</pre>", done, re.DOTALL)[1])


def logs_in(browser: Any, code: str, *, password: str = PASSWORD) -> bool:
    browser.cookies.clear()
    answer = browser.post("/login", {"username": "anna", "password": password, "code": code})
    return bool(answer.status_code == 302 and "sessionid" in browser.cookies)


def test_without_a_second_factor_the_password_is_enough(browser, user) -> None:
    assert logs_in(browser, "")


def test_with_one_the_login_needs_a_code_of_now_and_each_code_works_once(browser, client, at) -> None:
    secret, _ = turned_on(client, at)
    code = code_of(secret, at.now)
    assert not logs_in(browser, code, password="another password")
    assert not logs_in(browser, "")
    assert "has a second factor" in browser.post("/login", {"username": "anna", "password": PASSWORD}).content.decode()
    assert logs_in(browser, f"{code[:3]} {code[3:]}")
    assert not logs_in(browser, code)


def test_a_code_of_ten_minutes_ago_is_refused(browser, client, at) -> None:
    secret, _ = turned_on(client, at)
    old = code_of(secret, at.now)
    at.now += 600
    assert not logs_in(browser, old)


def test_after_a_miss_even_the_right_code_has_to_wait(browser, client, at) -> None:
    secret, _ = turned_on(client, at)
    right = code_of(secret, at.now)
    wrong = f"{(int(right) + 1) % 10**6:06d}"
    assert not logs_in(browser, wrong) and not logs_in(browser, right)


def test_a_recovery_code_takes_the_place_of_the_app_once(browser, client, at) -> None:
    _, codes = turned_on(client, at)
    assert len(set(codes)) == 10
    assert logs_in(browser, codes[0].upper())
    assert "9 recovery codes left" in client.get("/second-factor").content.decode()
    assert not logs_in(browser, codes[0])


def test_new_recovery_codes_end_the_old_ones(browser, client, at) -> None:
    secret, old = turned_on(client, at)
    page = client.post("/second-factor", {"do": "codes", "code": code_of(secret, at.now)}).content.decode()
    new = re.findall(r"\b[a-z2-7]{8}\b", re.search(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)[1])
    assert len(new) == 10 and not set(new) & set(old)
    assert logs_in(browser, new[0])
    assert not logs_in(browser, old[0])


def test_nothing_is_turned_on_or_off_without_a_code(client, user, at) -> None:
    from radcommons.web.second_factor import is_on

    client.get("/second-factor")
    for posted in ({"do": "on"}, {"do": "on", "code": "1"}, {"do": "codes", "code": ""}, {"do": "x"}, {}):
        client.post("/second-factor", posted)
        assert not is_on(user)
    secret, codes = turned_on(client, at)
    for posted in ({"do": "off"}, {"do": "off", "code": "1\0"}, {"do": "on", "code": codes[0]}):
        client.post("/second-factor", posted)
        assert is_on(user)
    at.now += 60
    client.post("/second-factor", {"do": "off", "code": code_of(secret, at.now)})
    assert not is_on(user)


def test_the_page_shows_the_secret_as_a_picture_without_anything_that_the_policy_forbids(client, browser) -> None:
    page = client.get("/second-factor").content.decode()
    assert "<svg" in page and "style=" not in page and "<script" not in page
    assert client.get("/second-factor").content.decode().count(re.search(r"<code>(.*)</code>", page)[1]) == 1
    assert 'href="/second-factor"' in client.get("/deposits").content.decode()
    assert browser.get("/second-factor").status_code == 302


def test_djangos_own_login_is_no_way_around(browser, client, user, at) -> None:
    user.is_staff = user.is_superuser = True
    user.save()
    turned_on(client, at)
    posted = browser.post("/admin/login/?next=/admin/", {"username": "anna", "password": PASSWORD})
    assert posted.status_code == 302 and posted["Location"] == "/login?next=/admin/"
    assert browser.get("/admin/").status_code == 302
    assert client.get("/admin/").status_code == 200


def test_a_token_needs_no_code(browser, anna, at) -> None:
    from django.contrib.auth import get_user_model
    from django.test import Client

    member = Client(SERVER_NAME="localhost")
    user = get_user_model().objects.get(username="anna")
    member.force_login(user, "django.contrib.auth.backends.ModelBackend")
    turned_on(member, at)
    assert browser.get("/api/deposits/none", headers=anna.headers()).status_code == 404


def test_the_operator_turns_it_off_for_one_who_lost_the_app(browser, client, user, at) -> None:
    from radcommons.errors import SettingRefused
    from radcommons.hub.accounts import reset_second_factor
    from radcommons.hub.models import LogEntry

    turned_on(client, at)
    reset_second_factor("anna")
    assert logs_in(browser, "")
    assert LogEntry.objects.filter(what="second factor reset", about="anna").exists()
    for name in ("anna", "nobody"):
        with pytest.raises(SettingRefused, match=name):
            reset_second_factor(name)
