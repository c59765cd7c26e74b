"""The Celery application. Jobs are stored in PostgreSQL, and the broker only wakes the workers."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mekiki.config.settings")

app = Celery("mekiki")
app.config_from_object("django.conf:settings", namespace="CELERY")
