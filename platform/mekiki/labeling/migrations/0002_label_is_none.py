from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("labeling", "0001_squashed_0006_first_guideline_versions")]

    operations = [
        migrations.AddField(
            model_name="label",
            name="is_none",
            field=models.BooleanField(db_default=False, default=False, verbose_name="none of these"),
        ),
        migrations.AddConstraint(
            model_name="label",
            constraint=models.UniqueConstraint(
                condition=models.Q(is_none=True, archived_at__isnull=True),
                fields=("dataset",),
                name="one_none_of_these",
            ),
        ),
    ]
