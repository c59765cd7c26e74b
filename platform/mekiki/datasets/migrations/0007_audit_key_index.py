from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("datasets", "0006_image_of_window")]

    operations = [
        AddIndexConcurrently(
            "image", models.Index(fields=["dataset", "audit_key", "id"], name="image_by_audit_key")
        ),
    ]
