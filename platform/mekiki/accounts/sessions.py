"""Sessions in the database, as Django's, that look no nonsense up."""

from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    """A cookie is what anybody sends: quoted, it can even hold a NUL, which PostgreSQL refuses to look for."""

    def _validate_session_key(self, key: str) -> bool:
        """Django makes keys of ASCII letters and digits only."""
        return super()._validate_session_key(key) and key.isascii() and key.isalnum()  # type: ignore[misc]
