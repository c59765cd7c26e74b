from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "mekiki.audit"
    label = "audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        """Events are sealed."""
        from mekiki.audit.sealed_tables import EVENTS, register_sealed_table

        register_sealed_table(EVENTS)
