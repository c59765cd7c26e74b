from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("datasets", "0025_image_facets"),
    ]

    operations = [
        migrations.AddField("dataset", "deleted_at", models.DateTimeField(null=True, blank=True, editable=False)),
        migrations.AddField("dataset", "purge_begun_at", models.DateTimeField(null=True, blank=True, editable=False)),
        migrations.AddField("dataset", "purged_at", models.DateTimeField(null=True, blank=True, editable=False)),
        migrations.AddConstraint(
            model_name="dataset",
            constraint=models.CheckConstraint(
                condition=(models.Q(deleted_at__isnull=True) | models.Q(archived_at__isnull=False))
                & (models.Q(purge_begun_at__isnull=True) | models.Q(deleted_at__isnull=False))
                & (models.Q(purged_at__isnull=True) | models.Q(purge_begun_at__isnull=False)),
                name="deletion_has_its_order",
            ),
        ),
    ]
