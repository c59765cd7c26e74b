from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ("datasets", "0024_use_detail"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="image",
            index=GinIndex(fields=["metadata"], name="image_by_metadata", opclasses=["jsonb_path_ops"]),
        ),
        AddIndexConcurrently(
            model_name="image",
            index=models.Index(fields=["dataset", "created_at", "id"], name="image_by_time"),
        ),
        AddIndexConcurrently(
            model_name="image",
            index=models.Index(fields=["batch", "id"], name="image_of_import"),
        ),
        migrations.AlterField(
            model_name="image",
            name="batch",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=models.deletion.SET_NULL,
                to="datasets.importbatch",
            ),
        ),
    ]
