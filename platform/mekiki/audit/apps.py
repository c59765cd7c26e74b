from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate

# pgtrigger creates this function with each trigger. Its own version lets a session that sets pgtrigger.ignore
# bypass the triggers that the setting names.
NEVER_IGNORE = """
CREATE OR REPLACE FUNCTION _pgtrigger_should_ignore(trigger_name name) RETURNS boolean
    LANGUAGE plpgsql AS $$ BEGIN RETURN false; END; $$
"""


class AuditConfig(AppConfig):
    name = "mekiki.audit"
    label = "audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        """Register events as a sealed table and the head mail, and make pgtrigger.ignore ineffective."""
        from mekiki.audit.sealed_tables import EVENTS, register_sealed_table

        register_sealed_table(EVENTS)
        from mekiki.jobs.chores import register_function

        register_function("mail the head of the seals", 1800.0, "mekiki.audit.head_mail.mail_due_head")
        post_migrate.connect(disable_pgtrigger_ignore, sender=self)


def disable_pgtrigger_ignore(*, using: str, **_options: Any) -> None:
    """Make the setting pgtrigger.ignore ineffective. Called after every migration."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_proc WHERE oid = to_regproc(%s) AND pg_has_role(current_user, proowner, %s)",
            ["_pgtrigger_should_ignore", "USAGE"],
        )
        if cursor.fetchone() is not None:
            cursor.execute(NEVER_IGNORE)
