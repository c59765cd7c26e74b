"""Old addresses of datasets lead to the new ones."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from mekiki.datasets.access import DatasetMoved


def redirect_moved(request: HttpRequest, moved: DatasetMoved) -> HttpResponse:
    """Return a redirect to the same page or act at the new address. 307 keeps the method and the body.

    Not permanent: the old address may be given back to the dataset, and browsers would not ask again.
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
    """Answers DatasetMoved; what is raised by the API is answered in api/errors.py."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Redirect where a dataset has moved; leave every other error to Django."""
        return redirect_moved(request, exception) if isinstance(exception, DatasetMoved) else None
