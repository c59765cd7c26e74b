import django.db.models.deletion
from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # The index is built outside of a transaction.
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("review", "0003_decision_without_label"),
    ]

    operations = [
        migrations.AddField(
            model_name="queueitem",
            name="assigned_to",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        AddIndexConcurrently(
            model_name="queueitem",
            index=models.Index(
                fields=["assigned_to", "dataset"],
                condition=models.Q(state="waiting", assigned_to__isnull=False),
                name="queue_assigned",
            ),
        ),
    ]
