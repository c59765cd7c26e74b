"""Redirects from old addresses of datasets to the current addresses."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from mekiki.datasets.access import DatasetMovedError


def redirect_moved(request: HttpRequest, moved: DatasetMovedError) -> HttpResponse:
    """Return a redirect to the same page at the new address. Status 307 keeps the method and the body.

    The redirect is not permanent: the dataset may take its old address again, and browsers would not ask
    again.
    """
    parts = request.path.split("/")
    first = 2 if request.path.startswith("/d/") else 4  # /d/SLUG/…, /api/v1/datasets/SLUG/…
    parts[parts.index(moved.old, first)] = moved.new
    query = request.META.get("QUERY_STRING", "")
    response = HttpResponseRedirect("/".join(parts) + (f"?{query}" if query else ""))
    if request.method not in {"GET", "HEAD"}:
        response.status_code = 307
    return response


class MovedDatasetMiddleware:
    """Middleware that answers DatasetMovedError with a redirect. api/errors.py does the same for the API."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return a redirect for DatasetMovedError. Leave every other error to Django."""
        return redirect_moved(request, exception) if isinstance(exception, DatasetMovedError) else None
