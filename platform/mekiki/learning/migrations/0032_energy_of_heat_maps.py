"""A heat map comes with a map of the fine structure of its image."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("learning", "0031_near_duplicates_in_evaluations")]

    operations = [
        migrations.AddField(
            model_name="heatmap", name="energy", field=models.BinaryField(db_default=b"", default=b"")
        ),
        migrations.AddField(
            model_name="heatmap",
            name="energy_rows",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="heatmap",
            name="energy_columns",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
