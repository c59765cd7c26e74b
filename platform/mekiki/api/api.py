"""The REST API: one router per app, without business logic. Session login, with CSRF checks."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from ninja import NinjaAPI
from ninja.security import django_auth

from mekiki import __version__
from mekiki.api import errors
from mekiki.api.accuracy import router as accuracy
from mekiki.api.adjudication import router as adjudication
from mekiki.api.certificate_streams import router as certificate_streams
from mekiki.api.certificates import router as certificates
from mekiki.api.encoders import router as encoders
from mekiki.api.images import router as images
from mekiki.api.import_sources import TAKE_FILES
from mekiki.api.import_sources import router as import_sources
from mekiki.api.imports import router as imports
from mekiki.api.jobs import router as jobs
from mekiki.api.lifecycle import archived
from mekiki.api.lifecycle import router as lifecycle
from mekiki.api.overlap import router as overlap
from mekiki.api.quotas import of_dataset, of_platform
from mekiki.api.review import router as review
from mekiki.api.review_grid import router as review_grid
from mekiki.api.review_history import router as review_history
from mekiki.api.review_preferences import router as review_preferences
from mekiki.api.reviewers import router as reviewers
from mekiki.api.selections import router as selections
from mekiki.api.studies import router as studies
from mekiki.api.why import router as why
from mekiki.config.server.limits import takes_files


class Api(NinjaAPI):
    """An API that answers a request without a login with 401 as JSON.

    A program cannot use a redirect to the login page.
    """

    @property
    def urls(self) -> Any:
        patterns, *names = super().urls
        for pattern in patterns:
            view = getattr(pattern, "callback", None)
            name = getattr(pattern, "name", None)
            if view is not None and name not in ("openapi-json", "api-root"):
                login_not_required(view)
            if view is not None and name in TAKE_FILES:
                takes_files(view)
        return (patterns, *names)


api = Api(title="Mekiki", version=__version__, auth=django_auth, docs_url=None, urls_namespace="api")


errors.install(api)
api.add_router("/jobs", jobs)
api.add_router("/datasets", accuracy)
api.add_router("/datasets", review)
api.add_router("/datasets", review_grid)
api.add_router("/datasets", studies)
api.add_router("/datasets", certificates)
api.add_router("/datasets", certificate_streams)
api.add_router("/datasets", adjudication)
api.add_router("/datasets", overlap)
api.add_router("/datasets", reviewers)
api.add_router("/datasets", why)
api.add_router("/datasets", review_history)
api.add_router("/review", review_preferences)
api.add_router("/datasets", encoders)
api.add_router("/datasets", images)
api.add_router("/datasets", selections)
api.add_router("/datasets", imports)
api.add_router("/datasets", import_sources)
api.add_router("/datasets", of_dataset)
api.add_router("/datasets", lifecycle)
api.add_router("/archived-datasets", archived)
api.add_router("/quota", of_platform)
