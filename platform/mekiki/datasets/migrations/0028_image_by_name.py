from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Left


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ("datasets", "0001_squashed_0027_import_options"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="image",
            index=models.Index("dataset", Left("name", 200), "id", name="image_by_name"),
        ),
    ]
