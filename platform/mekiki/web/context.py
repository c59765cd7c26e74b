"""What the page shell needs on every page. Everything is looked up only when a template asks for it."""

from functools import cached_property

from django.http import HttpRequest

from mekiki.datasets.access import visible_datasets
from mekiki.datasets.models import Dataset
from mekiki.web import system

THEMES = ("light", "dark")
THEME_COOKIE = "mekiki_theme"
# More would not fit a menu; the rest is one click further, on the page of all datasets.
SWITCHER_LENGTH = 12


class Shell:
    """The shell's view of one request."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    @cached_property
    def theme(self) -> str:
        """ "light" or "dark" when the person has chosen; "" follows the device."""
        chosen = self.request.COOKIES.get(THEME_COOKIE, "")
        return chosen if chosen in THEMES else ""

    @cached_property
    def datasets(self) -> list[Dataset]:
        """For the switcher: the newest datasets the user is a member of."""
        user = getattr(self.request, "user", None)
        if user is None or not user.is_authenticated:
            return []
        return list(visible_datasets(user).only("slug", "name").order_by("-id")[:SWITCHER_LENGTH])

    @cached_property
    def attention(self) -> list[dict[str, str]]:
        """What needs attention now, for the platform's admins; nobody else can mend it."""
        user = getattr(self.request, "user", None)
        return system.attention() if user is not None and user.is_authenticated and user.is_superuser else []


def shell(request: HttpRequest) -> dict:
    """Adds `shell` to every template's context."""
    return {"shell": Shell(request)}
