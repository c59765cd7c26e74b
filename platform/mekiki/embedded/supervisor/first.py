"""Steps of the first start of a home: tables, the signing key and the first admin."""

import getpass
import secrets
import sys
from dataclasses import replace

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

from mekiki.config import env
from mekiki.config.plain import UserError
from mekiki.embedded import endpoints
from mekiki.embedded.roles import checking, connecting, preparing, rights
from mekiki.embedded.supervisor.console import Console
from mekiki.embedded.versions import refuse_database_of_other_version


def migrate(console: Console, servers: endpoints.Endpoints, owner_url: str) -> int:
    """Migrate the tables as their owner, connect as the application, and return the number of migrations.

    On a new home this takes seconds, later almost no time. Raises PlainError if the application's role has
    rights that it should not have, and DATABASE_OWNER_URL says that the roles are separate.
    """
    endpoints.connect(replace(servers, database_url=owner_url))
    if owner_url != servers.database_url:
        preparing.make_application_role(owner_url, servers.database_url)
    changed = bring_up_to_date(console)
    rights.grant(
        owner_url,
        application=connecting.role_of(servers.database_url),
        report=env.text("DATABASE_REPORT_ROLE"),
    )
    endpoints.connect(servers)
    _check_role(console, separate=owner_url != servers.database_url)
    return changed


def _check_role(console: Console, *, separate: bool) -> None:
    with connection.cursor() as cursor:
        excesses = checking.excess_privileges(cursor, rights.evidence_tables())
    if not excesses:
        return
    why = "; ".join(map(str, excesses))
    if separate:
        text = _(
            "The role of DATABASE_URL may do more than the application should: %(why)s. Nothing was "
            "started. Take these rights from the role (docs/how-to/database-roles.md), or unset "
            "DATABASE_OWNER_URL."
        )
        raise UserError(text % {"why": why})
    text = _(
        "The application uses one database role for everything: %(why)s. A person who gets the "
        "application's connection can change the records. Separate the roles: "
        "docs/how-to/database-roles.md"
    )
    console.warn(text % {"why": why})


def bring_up_to_date(console: Console) -> int:
    """Run the missing migrations as the role of this connection, and return their number.

    Raises NewerVersionError or OlderVersionError if this version cannot use the database.
    """
    refuse_database_of_other_version()
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        console.head(_("Preparing the database (%(count)s steps) …") % {"count": len(plan)})
        call_command("migrate", interactive=False, verbosity=0)
    else:
        # A home that has the replaced migrations gets the names of the squashed ones.
        executor.check_replacements()
    return len(plan)


def relocate() -> None:
    """Update file paths in the database after the home was moved or restored elsewhere."""
    from mekiki.datasets.services import relocate_uploads

    relocate_uploads()


def signing_key(console: Console) -> None:
    """Create the platform's signing key at the first start.

    At a later start, print a message if the key cannot sign. A problem with the key does not stop the start.
    """
    from mekiki.audit.keys import current_key
    from mekiki.audit.private_key import SigningKeyError, settle_key
    from verification.signing import grouped

    known = current_key() is not None
    try:
        key = settle_key()
    except (SigningKeyError, OSError) as problem:
        console.bad(" ".join(problem.messages) if isinstance(problem, SigningKeyError) else str(problem))
        return
    if not known:
        console.ok(_("Signing key made, fingerprint %(key)s") % {"key": grouped(key.fingerprint)})


def root_warning() -> str:
    """Return the warning for a platform that is started as root."""
    return _(
        "Mekiki runs as root. An error in Mekiki, or a file that somebody uploads, could then change "
        "anything on this machine. Run it as a separate user: docs/how-to/install.md, “As root”."
    )


def first_admin(console: Console, password: str) -> None:
    """Create the first admin if there is no user yet.

    The password comes from the environment (`password`), else from a prompt, else it is generated and shown.
    Raises EOFError if the user ends the input at the prompt (Ctrl-D).
    """
    from django.contrib.auth import get_user_model

    if get_user_model().objects.exists():
        return
    name = env.text("MEKIKI_ADMIN_NAME")
    if not password and sys.stdin.isatty() and sys.stdout.isatty():
        _ask(console, name)
        return
    made = not password
    name, password = name or "admin", password or secrets.token_urlsafe(16)
    _create(name, password)
    if made:
        console.secret(
            _(
                "First admin: name “%(name)s”, password “%(password)s”. The password is shown only "
                "once; change it on your account page."
            )
            % {"name": name, "password": password}
        )
    else:
        console.ok(_("First admin “%(name)s” made from the environment.") % {"name": name})


def _ask(console: Console, name: str) -> None:
    console.head(_("Nobody can log in yet. Choose the first admin."))
    while True:
        chosen = name or input(_("Name [admin]: ")).strip() or "admin"
        password = getpass.getpass(
            _("Password (%(shortest)d characters or more): ") % {"shortest": settings.PASSWORD_LENGTH}
        )
        if password != getpass.getpass(_("Once more: ")):
            console.warn(_("The two passwords differ. Again, please."))
            continue
        try:
            _create(chosen, password)
        except ValidationError as problem:
            console.warn(" ".join(problem.messages))
            if hasattr(problem, "error_dict"):  # the name was refused, and not the password
                name = ""
            continue
        console.ok(_("Admin “%(name)s” made.") % {"name": chosen})
        return


def _create(name: str, password: str) -> None:
    from mekiki.accounts.services import create_user

    create_user(name=name, password=password, is_admin=True)
