"""Errors of the API, all in one form: {"detail": a sentence for people, "code": a word for programs}."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError

from mekiki.datasets.access import DatasetMoved
from mekiki.datasets.middleware import redirect_moved
from mekiki.review.errors import ReviewError


class ErrorOut(Schema):
    """Why a request was not done: what happened, what was kept, what to do next."""

    detail: str
    code: str


def install(api: NinjaAPI) -> None:
    """Register the handlers that answer every error of `api` in this form."""

    def reply(request: HttpRequest, status: int, code: str, detail: str, **more: Any) -> HttpResponse:
        return api.create_response(request, {"detail": detail, "code": code, **more}, status=status)

    @api.exception_handler(DatasetMoved)
    def moved(request: HttpRequest, error: DatasetMoved) -> HttpResponse:
        return redirect_moved(request, error)

    @api.exception_handler(Http404)
    def not_found(request: HttpRequest, error: Http404) -> HttpResponse:
        return reply(request, 404, "not_found", _("This does not exist, or you may not see it."))

    @api.exception_handler(PermissionDenied)
    def refused(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
        return reply(request, 403, "refused", str(error) or _("You may not do this."))

    @api.exception_handler(AuthenticationError)
    def stranger(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
        return reply(request, 401, "login_needed", _("You are not logged in. Log in and try again."))

    @api.exception_handler(HttpError)
    def http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
        if error.status_code == 403:
            detail = _("Your session has changed since this page was loaded. Reload the page and try again.")
            return reply(request, 403, "csrf", detail)
        if error.status_code == 400:
            return reply(request, 400, "unreadable", _("The request could not be read."))
        return reply(request, error.status_code, "refused", str(error))

    @api.exception_handler(ValidationError)
    def malformed(request: HttpRequest, error: ValidationError) -> HttpResponse:
        fields = sorted({".".join(str(part) for part in e["loc"][2:]) for e in error.errors} - {""})
        detail = _("The request is malformed: %(fields)s.") % {"fields": ", ".join(fields) or "body"}
        return reply(request, 422, "malformed", detail, fields=fields)

    @api.exception_handler(DjangoValidationError)
    def not_valid(request: HttpRequest, error: DjangoValidationError) -> HttpResponse:
        code = str(getattr(error, "code", None) or "refused")
        return reply(request, 422, code, " ".join(error.messages))

    @api.exception_handler(ReviewError)
    def review_error(request: HttpRequest, error: ReviewError) -> HttpResponse:
        return reply(request, error.status, error.code, error.message)
