from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("datasets", "0004_counts_of_outcomes")]

    operations = [
        AddIndexConcurrently(
            "image", models.Index(fields=["dataset", "audit_key", "id"], name="image_by_audit_key")
        ),
    ]
