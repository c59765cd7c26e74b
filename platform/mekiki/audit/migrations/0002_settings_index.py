from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("audit", "0001_initial")]

    operations = [
        AddIndexConcurrently(
            "event",
            models.Index(
                fields=["dataset_id"],
                condition=models.Q(kind="dataset.settings_changed"),
                name="event_of_settings",
            ),
        ),
    ]
