from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # an index made concurrently

    dependencies = [
        ("datasets", "0005_pixel_windows"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="image",
            index=models.Index(
                fields=["window", "window_version"],
                condition=models.Q(window__isnull=False),
                name="image_of_window",
            ),
        ),
    ]
