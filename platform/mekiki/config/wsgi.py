"""Django's WSGI application, for `runserver`. The site is served by config/server/, which bounds what arrives."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mekiki.config.settings")
application = get_wsgi_application()
