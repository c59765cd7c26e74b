"""The images of each region that are predicted as a label with an alpha of its own, counted once."""

from django.db import migrations, models
from django.db.models import Count, Q

LEVEL_STEPS = 10_000


def count_labels(apps, schema_editor):
    """Fill the column of the certificates that were frozen before."""
    images = apps.get_model("quality", "CertificateImage").objects
    frozen = apps.get_model("quality", "Certificate").objects.filter(frozen_at__isnull=False)
    for certificate in frozen.exclude(alpha_by_label={}):
        levels = (certificate.candidates * round(level * LEVEL_STEPS) // LEVEL_STEPS for level in certificate.levels)
        regions = sorted(set(levels) - {0})
        counts = {f"region_{n}": Count("rank", filter=Q(rank__lte=size)) for n, size in enumerate(regions)}
        for label in certificate.alpha_by_label:
            mine = images.filter(certificate_id=certificate.pk, label_id=int(label), rank__gte=1)
            certificate.label_sizes[label] = list(mine.aggregate(**counts).values())
        certificate.save(update_fields=["label_sizes"])


class Migration(migrations.Migration):

    dependencies = [
        ("quality", "0009_plan_scope"),
    ]

    operations = [
        migrations.AddField(
            model_name="certificate",
            name="label_sizes",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.RunPython(count_labels, migrations.RunPython.noop),
    ]
