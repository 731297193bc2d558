"""A second factor for those who turn it on: a code of an authenticator app (TOTP, RFC 6238), or a recovery code."""

import logging
from base64 import b32encode
from typing import Any

import segno
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

logger = logging.getLogger("radcommons.second_factor")

RECOVERY_CODES = 10
DIGITS = 6


class LoginForm(AuthenticationForm):
    """User name, password, and the code of those who have a second factor."""

    code = forms.CharField(max_length=20, required=False)
    error_messages = {  # noqa: RUF012 - as Django's own
        **AuthenticationForm.error_messages,
        "invalid_login": "User name and password do not match. After 8 attempts there is a pause of 15 minutes.",
        "code": "This account has a second factor: type the newest code of the app, or a recovery code.",
    }

    def clean(self) -> dict[str, Any]:
        """Raises ValidationError also for a right password without the right code."""
        cleaned: dict[str, Any] = super().clean()
        user = self.get_user()
        if user is not None and is_on(user) and not is_right(user, cleaned.get("code", "")):
            raise forms.ValidationError(self.error_messages["code"], code="code")
        return cleaned


def is_on(user: Any) -> bool:
    """Whether a user has turned the second factor on."""
    found: bool = TOTPDevice.objects.filter(user=user, confirmed=True).exists()
    return found


def is_right(user: Any, code: str, *, confirmed: bool = True) -> bool:
    """Whether a code is the app's, of about now, or a recovery code, which is used up; a miss makes the next wait."""
    code = "".join(code.replace("\0", " ").split()).lower()  # PostgreSQL compares no NUL
    of_app = len(code) == DIGITS and code.isdecimal()  # or a recovery code: a miss of one does not block the other
    with transaction.atomic():
        devices = (TOTPDevice if of_app else StaticDevice).objects.select_for_update()
        device = devices.filter(user=user, confirmed=confirmed).first() if code else None
        return device is not None and bool(device.verify_token(code))


def turn_off(user: Any) -> bool:
    """Forget a user's second factor and recovery codes; returns whether there was one."""
    with transaction.atomic():
        was_on = is_on(user)
        TOTPDevice.objects.filter(user=user).delete()
        StaticDevice.objects.filter(user=user).delete()
    return was_on


def new_recovery_codes(user: Any) -> list[str]:
    """Ten codes, each of which takes the place of the app once; earlier ones end."""
    codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
    with transaction.atomic():
        device, _ = StaticDevice.objects.get_or_create(user=user, defaults={"name": "recovery codes"})
        device.token_set.all().delete()
        StaticToken.objects.bulk_create(StaticToken(device=device, token=code) for code in codes)
    return codes


@sensitive_post_parameters("code")
@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Turn the second factor on or off, and make recovery codes; each needs a code."""
    user = request.user
    on, codes = is_on(user), []
    if request.method == "POST":
        asked = request.POST.get("do")
        if asked not in (("codes", "off") if on else ("on",)):
            return redirect("second-factor")
        if not is_right(user, request.POST.get("code", ""), confirmed=on):
            messages.error(request, "The code is not right. Wait a moment, then type the newest one.")
            return redirect("second-factor")
        logger.info("second factor", extra={"fields": {"user": user.get_username(), "change": asked}})
        if asked == "off":
            turn_off(user)
            messages.info(request, "The second factor is off.")
            return redirect("second-factor")
        TOTPDevice.objects.filter(user=user).update(confirmed=True)
        on, codes = True, new_recovery_codes(user)
    if on:
        left = StaticToken.objects.filter(device__user=user).count()
        return render(request, "web/second_factor.html", {"on": True, "codes": codes, "left": left})
    device = TOTPDevice.objects.filter(user=user).first() or TOTPDevice.objects.create(user=user, confirmed=False)
    drawing = segno.make(device.config_url, error="m").svg_inline(scale=5, lineclass=None, svgclass=None, light="#fff")
    secret = b32encode(device.bin_key).decode()
    shown = " ".join(secret[i : i + 4] for i in range(0, len(secret), 4))
    return render(request, "web/second_factor.html", {"on": False, "drawing": mark_safe(drawing), "secret": shown})
