"""Accounts of a site: the first one, and the links with which a password is set."""

from collections.abc import Callable

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode


def first_account(username: str, made: Callable[[str], None]) -> str | None:
    """Path of the link with which who runs the site sets a password; None if there is such an account with one.

    Args:
        username: of the account, which may do everything.
        made: called with the user name, in the same transaction, when the account is new.
    """
    users = get_user_model().objects
    if any(user.has_usable_password() for user in users.filter(is_superuser=True)):
        return None
    with transaction.atomic():
        user, new = users.get_or_create(
            username=username,
            defaults={"is_superuser": True, "is_staff": True, "password": make_password(None)},
        )
        if new:
            made(user.get_username())
    return invitation(user)


def invitation(user: object) -> str:
    """Path of a link that sets the user's password, once."""
    name = urlsafe_base64_encode(force_bytes(user.pk))  # type: ignore[attr-defined]
    return f"/welcome/{name}/{default_token_generator.make_token(user)}"
