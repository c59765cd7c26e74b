"""The Celery application. Jobs are stored in PostgreSQL, and the broker only wakes the workers."""

import os

from celery import Celery
from celery.signals import import_modules

from mekiki.config.start import set_up_django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mekiki.config.settings")
# Django's checks import all pages. They find errors of developers, and the tests run them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")


# Connected before the application exists, so that it runs before the set-up that Celery does.
@import_modules.connect
def _set_up(**_details: object) -> None:
    set_up_django()


app = Celery("mekiki")
app.config_from_object("django.conf:settings", namespace="CELERY")
