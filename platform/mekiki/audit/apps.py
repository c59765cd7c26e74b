from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "mekiki.audit"
    label = "audit"
    verbose_name = "Audit"
