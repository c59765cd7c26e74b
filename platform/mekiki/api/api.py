"""The REST API: one router per app, no logic of its own. Session login, CSRF checked."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.security import django_auth

from mekiki import __version__
from mekiki.api.jobs import router as jobs

api = NinjaAPI(title="Mekiki", version=__version__, auth=django_auth, docs_url=None, urls_namespace="api")


@api.exception_handler(PermissionDenied)
def refused(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    """A member whose role is too low: 403 with the reason, as JSON."""
    return api.create_response(request, {"detail": str(error)}, status=403)


api.add_router("/jobs", jobs)
