"""The Celery application. Jobs are durable in PostgreSQL; the broker only wakes workers up."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mekiki.config.settings")

app = Celery("mekiki")
app.config_from_object("django.conf:settings", namespace="CELERY")
