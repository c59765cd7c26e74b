"""New datasets use the local detail. Existing datasets keep their setting."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datasets", "0029_metadata_fields")]

    operations = [
        migrations.AlterField(
            model_name="dataset",
            name="use_detail",
            field=models.BooleanField(
                db_default=True, default=True, verbose_name="use the local detail of images"
            ),
        ),
    ]
