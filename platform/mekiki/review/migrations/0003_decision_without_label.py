from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # The table is big, and PostgreSQL builds such an index outside of a transaction.
    dependencies = [("review", "0002_decision_reason")]

    operations = [
        AddIndexConcurrently(
            model_name="decision",
            index=models.Index(
                fields=["dataset", "-id"],
                condition=models.Q(kind__in=["skip", "flag"]),
                name="decision_without_label",
            ),
        ),
    ]
