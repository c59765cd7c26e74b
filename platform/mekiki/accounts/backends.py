"""Logging in, and loading the user of a session."""

from django.contrib.auth.backends import ModelBackend
from django.db.models import Subquery

from mekiki.accounts.models import SiteSettings, User


class SiteBackend(ModelBackend):
    """Django's own, with the site's time zone loaded in the same query as the user."""

    def get_user(self, user_id: int) -> User | None:
        """Return the active user of a session, with `stored_time_zone`; None when there is none."""
        zone = Subquery(SiteSettings.objects.values("time_zone")[:1])
        user = User.objects.annotate(stored_time_zone=zone).filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
