from typing import Any

from django.db import migrations

# What the sweeper does now (`mekiki sweeper`); workers know these tasks no more.
NAMES = ["sweep-jobs", "release-leases", "tend-search"]


def forget_schedules(apps: Any, schema_editor: Any) -> None:
    """Delete the stored schedules of what beat no longer sends."""
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name__in=NAMES).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0008_liveness"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(forget_schedules, migrations.RunPython.noop)]
