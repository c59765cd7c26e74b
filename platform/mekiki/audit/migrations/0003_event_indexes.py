"""Indexes for pages of events: by time, in a dataset, by kind and by person. Built while events are written."""

import django.contrib.postgres.indexes
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import F


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("audit", "0002_settings_index")]

    operations = [
        AddIndexConcurrently(
            "event", models.Index(fields=["dataset_id", "-at", "-id"], name="event_of_dataset_by_time")
        ),
        AddIndexConcurrently("event", models.Index(fields=["-at", "-id"], name="event_by_time")),
        AddIndexConcurrently(
            "event",
            models.Index(
                django.contrib.postgres.indexes.OpClass("kind", name="varchar_pattern_ops"),
                F("at").desc(),
                F("id").desc(),
                name="event_by_kind",
            ),
        ),
        AddIndexConcurrently("event", models.Index(fields=["actor_name", "-at", "-id"], name="event_by_actor")),
        RemoveIndexConcurrently("event", "event_of_dataset"),
    ]
