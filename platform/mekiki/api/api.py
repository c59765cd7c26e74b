"""The REST API: one router per app, no logic of its own. Session login, CSRF checked."""

from ninja import NinjaAPI
from ninja.security import django_auth

from mekiki import __version__
from mekiki.api import errors
from mekiki.api.jobs import router as jobs
from mekiki.api.review import router as review

api = NinjaAPI(title="Mekiki", version=__version__, auth=django_auth, docs_url=None, urls_namespace="api")


errors.install(api)
api.add_router("/jobs", jobs)
api.add_router("/datasets", review)
