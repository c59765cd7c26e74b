"""The import page and the requests that it sends. import_reports.py has the report of an import."""

import json
from typing import cast
from urllib.parse import unquote

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.config.server.limits import takes_files
from mekiki.datasets import quotas, services
from mekiki.datasets.access import dataset_for, import_for
from mekiki.datasets.selectors import image_count, imports_of
from mekiki.datasets.services.incoming import Readable

STREAM = "application/octet-stream"


@takes_files
@require_http_methods(["GET", "HEAD", "POST"])
def import_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the import page with earlier imports.

    A POST is the form without scripts: it sends all files in one request.
    """
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    if request.method == "POST":
        files = request.FILES.getlist("files") + request.FILES.getlist("folder")
        if files:
            batch = services.start_upload(
                dataset=dataset, user=user_of(request), every_page="every_page" in request.POST
            )
            for file in files:
                services.add_file(batch=batch, user=user_of(request), name=file.name or "", file=file)
            services.finish_upload(batch=batch, user=user_of(request))
            return redirect("import-batch", slug, batch.pk)
        messages.error(request, _("No file was chosen. Choose images, a folder or a zip, then press Import."))
    context = {
        "dataset": dataset,
        "section": "images",
        "full": quotas.room_in(dataset).is_full() is not None,
        "imports": imports_of(dataset),
        "image_count": image_count(dataset),
        "max_file": settings.MAX_FILE_BYTES,
        "max_archive": settings.MAX_ARCHIVE_BYTES,
        "max_pixels": settings.MAX_PIXELS,
    }
    return render(request, "datasets/import.html", context)


@require_POST
def import_start(request: HttpRequest, slug: str) -> HttpResponse:
    """Start an upload and return the addresses for its parts.

    `every_page`: every page of a TIFF becomes an image.
    """
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    every_page = "every_page" in request.POST
    batch = services.start_upload(dataset=dataset, user=user_of(request), every_page=every_page)
    return JsonResponse(
        {
            "batch": batch.pk,
            "files": reverse("import-files", args=[slug, batch.pk]),
            "finish": reverse("import-finish", args=[slug, batch.pk]),
            "discard": reverse("import-discard", args=[slug, batch.pk]),
        }
    )


@takes_files
@require_POST
def import_files(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Receive one part of an upload (?part=N). Parts may be sent again.

    The body is either a form or one file. The form has `names` (paths), `files` in the same order, `refused`,
    and `complete` as its last field. Without `complete` the body was cut short. A single file is the whole
    body (application/octet-stream), with its name in X-File-Name (percent-encoded) and its number of bytes in
    X-File-Size. Status 408: the part did not arrive completely.
    """
    batch = import_for(user_of(request), slug, pk)
    try:
        part = int(request.GET.get("part", ""))
        if not 0 <= part < 10**8:
            raise ValueError
        files = _sent(request)
        taken = services.add_files(
            batch=batch, user=user_of(request), part=part, files=files, refused=_refused(request)
        )
    except services.IncompleteError as error:
        return JsonResponse({"detail": " ".join(error.messages)}, status=408)
    except ValidationError as error:
        return JsonResponse({"detail": " ".join(error.messages)}, status=409)
    except ValueError:
        detail = _("This part of the upload cannot be read. Load the page again.")
        return JsonResponse({"detail": detail}, status=400)
    return JsonResponse({"taken": taken})


def _sent(request: HttpRequest) -> list[tuple[str, Readable, int | None]]:
    """Return (name, file, number of bytes) for each file of the request.

    Raises ValueError if the number of bytes is missing, and IncompleteError if the form was cut short.
    """
    if request.content_type == STREAM:
        # The body is read as it arrives and never held in memory.
        name = unquote(request.headers.get("X-File-Name", ""))
        return [(name, cast(Readable, request), int(request.headers.get("X-File-Size", "")))]
    files = request.FILES.getlist("files")
    names = request.POST.getlist("names")
    if "complete" not in request.POST or len(names) != len(files):
        raise services.IncompleteError(
            _("The connection broke before all files had arrived. Send them again.")
        )
    return [(name, cast(Readable, file), file.size) for name, file in zip(names, files, strict=True)]


def _refused(request: HttpRequest) -> list[tuple[str, int | None]]:
    """Return (name, number of bytes) of files that the browser did not send, at most 1,000 a part.

    The number is None for files that the browser could not read.
    """
    if request.content_type == STREAM:
        return []
    try:
        rows = json.loads(request.POST.get("refused", "[]"))
        return [
            (str(row["name"]), None if row.get("unreadable") is True else int(row["size"]))
            for row in rows[:1000]
        ]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return []


@require_POST
def import_finish(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Start the import of a complete upload. Also resumes a stopped import."""
    batch = import_for(user_of(request), slug, pk)
    wants_json = "application/json" in request.headers.get("Accept", "")
    try:
        services.finish_upload(batch=batch, user=user_of(request))
    except ValidationError as error:
        if wants_json:
            return JsonResponse({"detail": " ".join(error.messages)}, status=409)
        messages.error(request, " ".join(error.messages))
    if wants_json:
        return JsonResponse({"url": reverse("import-batch", args=[slug, pk])})
    return redirect("import-batch", slug, pk)


@require_POST
def import_discard(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Discard an import. Images that are stored already are kept."""
    batch = import_for(user_of(request), slug, pk)
    services.discard_import(batch=batch, user=user_of(request))
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse({})
    messages.success(request, _("The import was cancelled. Images stored before are kept."))
    return redirect("import", slug)
