"""Django's WSGI application, for `runserver`.

In production config/server/ serves the site and limits what clients may send.
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mekiki.config.settings")
application = get_wsgi_application()
