import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    """The decisions of others about an image that a head was trained on. A constant default: no row is rewritten."""

    dependencies = [
        ("learning", "0009_weighted_accuracy"),
    ]

    operations = [
        migrations.AddField(
            model_name="headtraininglabel",
            name="others",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(), default=list, size=None
            ),
        ),
    ]
