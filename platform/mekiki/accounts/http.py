"""What views share: the request of a page that needs a login, and numbers from addresses."""

from django.http import HttpRequest

from mekiki.accounts.models import User


class UserRequest(HttpRequest):
    """For annotations: LoginRequiredMiddleware lets no request without a user reach a view."""

    user: User


def number_in(text: str) -> int | None:
    """The key or version an address names after its “?”, 0 to 10¹⁸ − 1; None for anything else.

    str.isdigit alone also takes “²”, which int() refuses, and as many digits as anybody cares to send.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
