from django.db import migrations, models


class Migration(migrations.Migration):
    """The estimate of accuracy where audited images are weighted by when they came in."""

    dependencies = [
        ("learning", "0008_predictions_by_head"),
    ]

    operations = [
        migrations.AddField(
            model_name="evaluation",
            name="share",
            field=models.FloatField(null=True),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="left_out",
            field=models.PositiveBigIntegerField(default=0),
        ),
    ]
