"""Output of `mekiki roles`: rights of the application's database role that it should not have."""

import json
import sys
from gettext import gettext as _

from mekiki.config.cli.bodies import load_django


def show(*, as_json: bool) -> None:
    """Print the role and each excess right. The exit status is 1 if there is an excess right."""
    load_django()
    from django.db import connection

    from mekiki.embedded.roles import checking, rights

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        role = cursor.fetchone()[0]
        excesses = checking.excess_privileges(cursor, rights.evidence_tables())
    if as_json:
        print(json.dumps({"role": role, "too_much": [excess.code for excess in excesses]}, indent=2))
    elif not excesses:
        print(
            _("The database role %(role)s reads and writes rows, and can do nothing else.") % {"role": role}
        )
    else:
        print(_("The database role %(role)s can do more than the application should:") % {"role": role})
        for excess in excesses:
            print(f"  {excess}")
        print(_("How to separate the roles: docs/how-to/database-roles.md"))
    if excesses:
        sys.exit(1)
