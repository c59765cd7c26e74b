"""Sessions in the database, with keys stored as digests and limits of age and idle time.

Nobody can log in with the content of the table. All times are measured with the clock of the database.
Requests that no person made, such as the polling of an unattended page, do not keep a session alive.
static/mekiki/js/http.js reports for how long nobody has touched the page.
"""

import hashlib
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends import db
from django.db.models import DurationField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from mekiki.accounts.clients import Client, client_of
from mekiki.accounts.models import Session, User
from mekiki.config.compiled import CompiledQuery, Parameter

# A use is stored at most once in this time, so that most requests write nothing.
USE_WRITE_INTERVAL = timedelta(minutes=1)
# A page counts as used if somebody has touched it within this time, in seconds.
IDLE_LIMIT_SECONDS = 2 * 60
IDLE_HEADER = "X-Mekiki-Idle"
# The session key that is true if nobody asked the user for a proof of identity at the login
# (accounts/login_flow.py).
SILENT_LOGIN_KEY = "silent_login"


def key_digest(key: str) -> str:
    """Return the stored value of a session key: the first 160 bits of its SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


def active_condition() -> Q:
    """Return the condition for sessions that are neither too old nor idle for too long."""
    return Q(
        created_at__gt=Now() - timedelta(seconds=settings.SESSION_COOKIE_AGE),
        used_at__gt=Now() - timedelta(minutes=settings.SESSION_IDLE_MINUTES),
    )


def _active_session(key: Parameter, age_limit: Parameter, idle_limit: Parameter) -> QuerySet[Session]:
    """Return the session with this key digest if it is active. Every request reads it."""
    rows = Session.objects.filter(
        pk=key,
        created_at__gt=Now() - ExpressionWrapper(age_limit, DurationField()),
        used_at__gt=Now() - ExpressionWrapper(idle_limit, DurationField()),
    )
    return rows.annotate(
        age=Now() - F("created_at"),
        idle_time=Now() - F("used_at"),
        time_since_confirmation=Now() - F("confirmed_at"),
    )


_ACTIVE_SESSION = CompiledQuery(_active_session)


class SessionStore(db.SessionStore):
    """Django's session store with ages, which are known after the session is loaded.

    `age` is the time since the login, `idle_time` since the last use, and `time_since_confirmation` since the
    last confirmation.
    """

    age: timedelta | None = None
    idle_time: timedelta | None = None
    time_since_confirmation: timedelta | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """Return the session table of this app."""
        return Session

    def _validate_session_key(self, key: str) -> bool:
        """Return whether the key has the form of Django's keys: ASCII letters and digits only.

        A client can send any text in a cookie.
        """
        return super()._validate_session_key(key) and key.isascii() and key.isalnum()  # type: ignore[misc]

    def _get_session_from_db(self) -> Any:
        session: Any = None
        if self.session_key:
            session = _ACTIVE_SESSION.first(
                key=key_digest(self.session_key),
                age_limit=timedelta(seconds=settings.SESSION_COOKIE_AGE),
                idle_limit=timedelta(minutes=settings.SESSION_IDLE_MINUTES),
            )
        if session is None:
            self._session_key = None  # type: ignore[attr-defined]
            return None
        self.age, self.idle_time, self.time_since_confirmation = (
            session.age,
            session.idle_time,
            session.time_since_confirmation,
        )
        return session

    def exists(self, session_key: str) -> bool:
        """Return whether a session has this key."""
        return self.get_model_class().objects.filter(pk=key_digest(session_key)).exists()

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """Return the row of this session. Its times and its client are kept (models.Session.save)."""
        row: Any = super().create_model_instance(data)
        row.pk = key_digest(row.session_key)
        row.user_id = int(data["_auth_user_id"]) if data.get("_auth_user_id") else None
        return row

    def delete(self, session_key: str | None = None) -> None:
        """End this session, or the session with this key."""
        key = session_key or self.session_key
        if key:
            self.get_model_class().objects.filter(pk=key_digest(key)).delete()

    @classmethod
    def clear_expired(cls) -> None:
        """Delete the rows of sessions that have expired."""
        cls.get_model_class().objects.exclude(active_condition()).delete()

    def row(self) -> QuerySet[Session]:
        """Return the row of this session, as a query."""
        return self.get_model_class().objects.filter(pk=key_digest(self.session_key or ""))

    def note_use(self, client: Client) -> None:
        """Store that the session is used now, and by which client."""
        self.row().update(used_at=Now(), **client_columns(client))


def client_columns(client: Client) -> dict[str, str]:
    """Return the columns of a session that describe its client."""
    return {"address": client.address, "agent": client.agent}


def is_caused_by_person(request: HttpRequest) -> bool:
    """Return whether a person caused the request.

    The result is False for a page that polls and that nobody has touched for a while.
    """
    idle = request.headers.get(IDLE_HEADER, "")
    return not (idle.isascii() and idle.isdigit() and len(idle) < 10 and int(idle) > IDLE_LIMIT_SECONDS)


def sessions_of(user: User) -> QuerySet[Session]:
    """Return the live sessions of a user, the most recently used first."""
    return Session.objects.filter(active_condition(), user=user).order_by("-used_at", "pk")


def end_sessions(*, user: User, but: HttpRequest | None = None) -> int:
    """End the sessions of a user, except the one of `but`. Return how many ended."""
    rows = Session.objects.filter(user=user)
    if but is not None and but.session.session_key:
        rows = rows.exclude(pk=key_digest(but.session.session_key))
    ended: int = rows.count()
    rows.delete()
    return ended


def note_client(request: HttpRequest) -> None:
    """Store the address and the browser of a session that is new or has a new key."""
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
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"),
    ("CrOS", "ChromeOS"), ("Macintosh", "macOS"), ("Linux", "Linux"),
)  # fmt: skip


def browser_name(agent: str) -> str:
    """Return a short name of the browser, such as "Firefox, Windows".

    An unknown user agent is returned unchanged, but shortened to 60 characters.
    """
    names = [next((name for mark, name in table if mark in agent), "") for table in (_BROWSERS, _SYSTEMS)]
    return ", ".join(name for name in names if name) or agent[:60]
