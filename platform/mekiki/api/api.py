"""The REST API: one router per app, no logic of its own. Session login, CSRF checked."""

from ninja import NinjaAPI
from ninja.security import django_auth

from mekiki import __version__

api = NinjaAPI(title="Mekiki", version=__version__, auth=django_auth, docs_url=None, urls_namespace="api")
