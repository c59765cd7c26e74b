import django.db.models.deletion
from django.db import migrations, models

STREAMS = [
    ("uncertain", "uncertain"),
    ("diverse", "diverse"),
    ("audit", "audit"),
    ("recheck", "review again"),
]


class Migration(migrations.Migration):
    dependencies = [("review", "0007_rulings")]

    operations = [
        migrations.CreateModel(
            name="StreamOverlap",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("stream", models.CharField(choices=STREAMS, max_length=10)),
                ("overlap", models.PositiveSmallIntegerField()),
                (
                    "dataset",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="stream_overlaps",
                        to="datasets.dataset",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["dataset", "stream"], name="one_overlap_per_stream"),
                    models.CheckConstraint(
                        condition=models.Q(stream__in=["uncertain", "diverse", "audit", "recheck"]),
                        name="stream_of_overlap_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(overlap__gte=1, overlap__lte=9), name="stream_overlap_in_range"
                    ),
                ],
            },
        ),
    ]
