"""Bringing images in: the page and the requests it sends. The report of an import: import_reports.py."""

import json
from typing import cast
from urllib.parse import unquote

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from mekiki.accounts.http import UserRequest
from mekiki.accounts.models import Role
from mekiki.config.server.limits import takes_files
from mekiki.datasets import quotas, services
from mekiki.datasets.access import dataset_for, import_for
from mekiki.datasets.selectors import image_count, imports_of
from mekiki.datasets.services.uploads import Readable

STREAM = "application/octet-stream"


@takes_files
@require_http_methods(["GET", "HEAD", "POST"])
def import_page(request: UserRequest, slug: str) -> HttpResponse:
    """Choose or drop files; what was imported before. A POST is the plain form: everything in one request."""
    dataset = dataset_for(request.user, slug, Role.ADMIN)
    if request.method == "POST":
        files = request.FILES.getlist("files") + request.FILES.getlist("folder")
        if files:
            batch = services.start_upload(
                dataset=dataset, user=request.user, every_page="every_page" in request.POST
            )
            for file in files:
                services.add_file(batch=batch, name=file.name or "", file=file)
            services.finish_upload(batch=batch, user=request.user)
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
def import_start(request: UserRequest, slug: str) -> HttpResponse:
    """Open an upload (`every_page`: pages of a TIFF are images); the answer says where to send its parts."""
    dataset = dataset_for(request.user, slug, Role.ADMIN)
    every_page = "every_page" in request.POST
    batch = services.start_upload(dataset=dataset, user=request.user, every_page=every_page)
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
def import_files(request: UserRequest, slug: str, pk: int) -> HttpResponse:
    """One part of an upload (?part=N). Parts may be sent again.

    Either a form: `names` (paths), `files` in the same order, `refused`, and last `complete`, which tells a
    whole body from one that was cut short. Or one file as the whole body (application/octet-stream) with its
    name in X-File-Name (percent-encoded) and its bytes in X-File-Size. 408: it did not arrive whole.
    """
    batch = import_for(request.user, slug, pk)
    try:
        part = int(request.GET.get("part", ""))
        if not 0 <= part < 10**8:
            raise ValueError
        files = _sent(request)
        taken = services.add_files(batch=batch, part=part, files=files, refused=_refused(request))
    except services.IncompleteError as error:
        return JsonResponse({"detail": " ".join(error.messages)}, status=408)
    except ValidationError as error:
        return JsonResponse({"detail": " ".join(error.messages)}, status=409)
    except ValueError:
        detail = _("This part of the upload cannot be read. Load the page again.")
        return JsonResponse({"detail": detail}, status=400)
    return JsonResponse({"taken": taken})


def _sent(request: UserRequest) -> list[tuple[str, Readable, int | None]]:
    """(name, file, bytes). ValueError: no size. IncompleteError: the form was cut short."""
    if request.content_type == STREAM:
        # Never held in memory: the body is read as it arrives.
        name = unquote(request.headers.get("X-File-Name", ""))
        return [(name, cast(Readable, request), int(request.headers.get("X-File-Size", "")))]
    files = request.FILES.getlist("files")
    names = request.POST.getlist("names")
    if "complete" not in request.POST or len(names) != len(files):
        raise services.IncompleteError(
            _("The connection broke before all files had arrived. Send them again.")
        )
    return [(name, cast(Readable, file), file.size) for name, file in zip(names, files, strict=True)]


def _refused(request: UserRequest) -> list[tuple[str, int | None]]:
    """(name, bytes) of files the browser kept back, at most a thousand a part; None: it could not read them."""
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
def import_finish(request: UserRequest, slug: str, pk: int) -> HttpResponse:
    """All is sent: import it. Also the button that goes on with a stopped import."""
    batch = import_for(request.user, slug, pk)
    wants_json = "application/json" in request.headers.get("Accept", "")
    try:
        services.finish_upload(batch=batch, user=request.user)
    except ValidationError as error:
        if wants_json:
            return JsonResponse({"detail": " ".join(error.messages)}, status=409)
        messages.error(request, " ".join(error.messages))
    if wants_json:
        return JsonResponse({"url": reverse("import-batch", args=[slug, pk])})
    return redirect("import-batch", slug, pk)


@require_POST
def import_discard(request: UserRequest, slug: str, pk: int) -> HttpResponse:
    """Give an import up. Images stored already stay."""
    batch = import_for(request.user, slug, pk)
    services.discard_import(batch=batch, user=request.user)
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse({})
    messages.success(request, _("The import was given up. Images stored before are kept."))
    return redirect("import", slug)
