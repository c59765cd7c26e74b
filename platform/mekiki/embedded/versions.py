"""Check whether another version of Mekiki wrote a database."""

from collections.abc import Iterable
from gettext import gettext as _
from importlib.metadata import version

from mekiki.config.plain import UserError

# The last commit that has the migrations which the squashed ones replace (docs/decisions/0036).
LAST_WITH_ALL_STEPS = "28d86b52"


class NewerVersionError(UserError):
    """A newer version wrote the data. The message says what to do."""


class OlderVersionError(UserError):
    """An older version wrote the data, and this one cannot update it. The message says what to do."""


def refuse_other_versions(applied: Iterable[tuple[str, str]], what: str) -> None:
    """Raise an error if this installation cannot use a database with these migrations (app, name).

    NewerVersionError: a migration is unknown. OlderVersionError: a squashed migration replaces some that are
    applied and some that are not, and their files no longer exist. `what` names the home, database or file
    that holds the data, for the message.
    """
    from django.apps import apps
    from django.db.migrations.loader import MigrationLoader

    done = set(applied)
    ours = {app.label for app in apps.get_app_configs() if app.name.startswith("mekiki.")}
    on_disk = MigrationLoader(None).disk_migrations
    replaced = [set(migration.replaces) for step, migration in on_disk.items() if step[0] in ours]
    known = {*on_disk, *(step for steps in replaced for step in steps)}
    unknown = sorted(step for step in done if step[0] in ours and step not in known)
    if unknown:
        raise NewerVersionError(
            _(
                "%(what)s was written by a newer version of Mekiki than this one (%(version)s does not know "
                "%(step)s). Nothing was changed. Install the newer version, or use a backup that this "
                "version made."
            )
            % {"what": what, "version": version("mekiki"), "step": ".".join(unknown[-1])}
        )
    missing = sorted(step for steps in replaced if steps & done for step in steps - done)
    if missing:
        raise OlderVersionError(
            _(
                "%(what)s was written by an older development version of Mekiki, which this version cannot "
                "update (%(step)s is missing). Nothing was changed. Start it once with Mekiki at commit "
                "%(commit)s and then with this version (restore a backup with that commit first), or begin "
                "with a new home."
            )
            % {"what": what, "step": ".".join(missing[0]), "commit": LAST_WITH_ALL_STEPS}
        )


def refuse_database_of_other_version() -> None:
    """Raise an error of `refuse_other_versions` for the database of Django's connection.

    Django itself would fail without a clear message, or leave out the tables of an app.
    """
    from django.db import connection
    from django.db.migrations.recorder import MigrationRecorder

    refuse_other_versions(MigrationRecorder(connection).applied_migrations(), _("The database"))
