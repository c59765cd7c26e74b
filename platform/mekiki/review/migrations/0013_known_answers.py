from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # The table is big, and PostgreSQL builds such an index outside of a transaction.
    dependencies = [("review", "0012_requalification")]

    operations = [
        AddIndexConcurrently(
            model_name="decision",
            index=models.Index(
                fields=["dataset", "user", "-id"],
                condition=models.Q(shown__stream__in=["gold", "repeat"]),
                name="decision_on_known",
            ),
        ),
    ]
