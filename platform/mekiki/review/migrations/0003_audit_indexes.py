from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Indexes for the counts that stand beside every accuracy. Built while people go on answering."""

    atomic = False

    dependencies = [
        ("review", "0002_lease_history"),
    ]

    operations = [
        AddIndexConcurrently(
            "queueitem",
            models.Index(condition=models.Q(("stream", "audit")), fields=["dataset"], name="queue_audit"),
        ),
        AddIndexConcurrently(
            "confirmedlabel",
            models.Index(
                condition=models.Q(("stream", "audit")), fields=["dataset", "label"], name="confirmed_audit"
            ),
        ),
    ]
