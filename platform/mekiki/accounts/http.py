"""The request of a page that needs a login."""

from django.http import HttpRequest

from mekiki.accounts.models import User


class UserRequest(HttpRequest):
    """For annotations: LoginRequiredMiddleware lets no request without a user reach a view."""

    user: User
