"""Helpers for views: a request type with a user, and numbers from addresses."""

from django.http import HttpRequest

from mekiki.accounts.models import User


class UserRequest(HttpRequest):
    """A request with a user, for annotations.

    LoginRequiredMiddleware lets only requests with a user reach a view.
    """

    user: User


def number_in(text: str) -> int | None:
    """Return the number in a query parameter, from 0 to 10¹⁸ − 1, or None for any other text.

    str.isdigit alone is not enough: it accepts "²", which int() refuses, and any number of digits.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
