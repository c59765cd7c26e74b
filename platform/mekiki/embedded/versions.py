"""Check whether a newer version of Mekiki wrote a database."""

from collections.abc import Iterable
from gettext import gettext as _
from importlib.metadata import version

from mekiki.config.plain import UserError


class NewerVersionError(UserError):
    """A newer version wrote the data. The message says what to do."""


def refuse_newer(applied: Iterable[tuple[str, str]], what: str) -> None:
    """Raise NewerVersionError if an applied migration (app, name) is unknown to this installation.

    `what` names the home, database or file that holds the data, for the message.
    """
    from django.apps import apps
    from django.db.migrations.loader import MigrationLoader

    ours = {app.label for app in apps.get_app_configs() if app.name.startswith("mekiki.")}
    known = MigrationLoader(None).disk_migrations
    unknown = sorted(step for step in applied if step[0] in ours and step not in known)
    if unknown:
        raise NewerVersionError(
            _(
                "%(what)s was written by a newer version of Mekiki than this one (%(version)s does not know "
                "%(step)s). Nothing was changed. Install the newer version, or use a backup that this "
                "version made."
            )
            % {"what": what, "version": version("mekiki"), "step": ".".join(unknown[-1])}
        )
