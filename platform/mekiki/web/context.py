"""Values that the page shell needs on every page. Each value is computed only when a template uses it."""

from functools import cached_property

from django.http import HttpRequest

from mekiki.datasets.access import visible_datasets
from mekiki.datasets.models import Dataset
from mekiki.web import system

THEMES = ("light", "dark")
THEME_COOKIE = "mekiki_theme"
# A longer list would not fit a menu. The page of all datasets, one click further, shows the rest.
SWITCHER_LENGTH = 12


class Shell:
    """The values of the page shell for one request."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    @cached_property
    def theme(self) -> str:
        """Return "light" or "dark" if the user chose one; "" means the setting of the device."""
        chosen = self.request.COOKIES.get(THEME_COOKIE, "")
        return chosen if chosen in THEMES else ""

    @cached_property
    def datasets(self) -> list[Dataset]:
        """Return the newest datasets the user is a member of, for the dataset switcher."""
        user = getattr(self.request, "user", None)
        if user is None or not user.is_authenticated:
            return []
        return list(visible_datasets(user).only("slug", "name").order_by("-id")[:SWITCHER_LENGTH])

    @cached_property
    def attention(self) -> list[dict[str, str]]:
        """Return the problems of the platform, for platform admins only: no other user can solve them."""
        user = getattr(self.request, "user", None)
        return system.attention() if user is not None and user.is_authenticated and user.is_superuser else []


def shell(request: HttpRequest) -> dict:
    """Add `shell` to the context of every template."""
    return {"shell": Shell(request)}
