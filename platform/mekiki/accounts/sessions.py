"""Sessions in the database: keys stored as digests, a limit of age and of idle time, by the database's clock.

Whoever reads the table cannot log in with what it holds. Requests that no person made (a page that polls while nobody
is there) do not keep a session alive: static/mekiki/js/http.js says how long nobody has touched the page.
"""

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.sessions.backends import db
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from mekiki.accounts.clients import Client, client_of

if TYPE_CHECKING:
    from mekiki.accounts.models import Session, User

# A use is noted once in this time, so that most requests write nothing.
NOTED_EVERY = timedelta(minutes=1)
# How long a page may say that nobody has touched it and still count as used.
PRESENT = 2 * 60
IDLE_HEADER = "X-Mekiki-Idle"
# In a session: nobody asked the person who they are at its login (accounts/login_flow.py).
SILENT_LOGIN_KEY = "silent_login"


def digest_of(key: str) -> str:
    """Return what is stored for a session key: the first 160 bits of its SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


def alive() -> Q:
    """Return the condition on sessions that are neither too old nor idle for too long."""
    return Q(
        created_at__gt=Now() - timedelta(seconds=settings.SESSION_COOKIE_AGE),
        used_at__gt=Now() - timedelta(minutes=settings.SESSION_IDLE_MINUTES),
    )


class SessionStore(db.SessionStore):
    """As Django's, with ages that are known once the session is loaded.

    `age`: since the login. `unused_for`: since the last use. `confirmed_before`: since the person last confirmed.
    """

    age: timedelta | None = None
    unused_for: timedelta | None = None
    confirmed_before: timedelta | None = None

    @classmethod
    def get_model_class(cls) -> "type[Session]":
        """Return our own table."""
        from mekiki.accounts.models import Session

        return Session

    def _validate_session_key(self, key: str) -> bool:
        """Django makes keys of ASCII letters and digits only; a cookie is what anybody sends."""
        return super()._validate_session_key(key) and key.isascii() and key.isalnum()  # type: ignore[misc]

    def _get_session_from_db(self) -> Any:
        found: Any = None
        if self.session_key:
            rows = self.get_model_class().objects.filter(alive(), pk=digest_of(self.session_key))
            found = rows.annotate(
                age=Now() - F("created_at"),
                unused_for=Now() - F("used_at"),
                confirmed_before=Now() - F("confirmed_at"),
            ).first()
        if found is None:
            self._session_key = None  # type: ignore[attr-defined]
            return None
        self.age, self.unused_for, self.confirmed_before = found.age, found.unused_for, found.confirmed_before
        return found

    def exists(self, session_key: str) -> bool:
        """Whether a session has this key."""
        return self.get_model_class().objects.filter(pk=digest_of(session_key)).exists()

    def create_model_instance(self, data: dict[str, Any]) -> "Session":
        """Return the row of this session; its times and its client are kept (models.Session.save)."""
        row: Any = super().create_model_instance(data)
        row.pk = digest_of(row.session_key)
        row.user_id = int(data["_auth_user_id"]) if data.get("_auth_user_id") else None
        return row

    def delete(self, session_key: str | None = None) -> None:
        """End a session: this one, or the one of this key."""
        key = session_key or self.session_key
        if key:
            self.get_model_class().objects.filter(pk=digest_of(key)).delete()

    @classmethod
    def clear_expired(cls) -> None:
        """Delete the rows of sessions that have ended by themselves."""
        cls.get_model_class().objects.exclude(alive()).delete()

    def row(self) -> "QuerySet[Session]":
        """Return the row of this session, as a query."""
        return self.get_model_class().objects.filter(pk=digest_of(self.session_key or ""))

    def note_use(self, client: Client) -> None:
        """Note that the session is used now, from where."""
        self.row().update(used_at=Now(), **columns_of(client))


def columns_of(client: Client) -> dict[str, str]:
    """Return the columns of a session that say where it is used."""
    return {"address": client.address, "agent": client.agent}


def is_touched(request: HttpRequest) -> bool:
    """Whether a person is behind the request: false for a page that polls and that nobody has touched for a while."""
    said = request.headers.get(IDLE_HEADER, "")
    return not (said.isascii() and said.isdigit() and len(said) < 10 and int(said) > PRESENT)


def sessions_of(user: "User") -> "QuerySet[Session]":
    """Return the sessions of a user that go on, the one used last first."""
    from mekiki.accounts.models import Session

    return Session.objects.filter(alive(), user=user).order_by("-used_at", "pk")


def end_sessions(*, user: "User", but: HttpRequest | None = None) -> int:
    """End the sessions of a user, but the one of this request; return how many ended."""
    from mekiki.accounts.models import Session

    rows = Session.objects.filter(user=user)
    if but is not None and but.session.session_key:
        rows = rows.exclude(pk=digest_of(but.session.session_key))
    ended: int = rows.count()
    rows.delete()
    return ended


def note_client(request: HttpRequest) -> None:
    """Store address and browser of a session that has just begun or got another key."""
    if not request.session.session_key:
        request.session.create()
    request.session.save()
    request.session.note_use(client_of(request))  # type: ignore[attr-defined]


_BROWSERS = (
    ("Edg", "Edge"), ("OPR", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"), ("CriOS", "Chrome"), ("Chrome", "Chrome"), ("Safari", "Safari"), ("curl", "curl"),
    ("python", "Python"),
)  # fmt: skip
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"), ("Linux", "Linux"),
)  # fmt: skip


def browser_name(agent: str) -> str:
    """Return a browser's name for itself in short, such as "Firefox, Windows"; what is unknown as it is."""
    found = [next((name for mark, name in table if mark in agent), "") for table in (_BROWSERS, _SYSTEMS)]
    return ", ".join(name for name in found if name) or agent[:60]
