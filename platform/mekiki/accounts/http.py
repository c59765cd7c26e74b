"""Helpers for views: the user of a request, and numbers from addresses."""

from django.http import HttpRequest

from mekiki.accounts.models import User


def user_of(request: HttpRequest) -> User:
    """Return the user who is logged in. For pages that require a login, so there always is a user."""
    assert isinstance(request.user, User)
    return request.user


def user_or_none(request: HttpRequest) -> User | None:
    """Return the user who is logged in, or None. For middleware and for pages without a login."""
    return request.user if isinstance(request.user, User) else None


def parse_number(text: str) -> int | None:
    """Return the number in a query parameter, from 0 to 10¹⁸ − 1, or None for any other text.

    str.isdigit alone is not enough: it accepts "²", which int() refuses, and any number of digits.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
