"""The import page and the requests that it sends. import_reports.py has the report of an import."""

import json
from collections.abc import Callable
from typing import Any, cast
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
from mekiki.datasets.access import dataset_for, import_for, watched_folder_for
from mekiki.datasets.import_forms import (
    BucketForm,
    FolderForm,
    ImportOptionsForm,
    ManifestForm,
    add_errors,
    options_of,
)
from mekiki.datasets.models import Dataset
from mekiki.datasets.selectors import image_count, imports_of, watched_folders
from mekiki.datasets.services.incoming import Readable
from mekiki.jobs.models import Job

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
        if not files:
            messages.error(
                request, _("No file was chosen. Choose images, a folder or a zip, then press Import.")
            )
            return _import_page(request, dataset)
        try:
            batch = services.import_files(
                dataset=dataset,
                user=user_of(request),
                files=[(file.name or "", file, file.size) for file in files],
                options=options_of(request),
            )
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
            return _import_page(request, dataset)
        return redirect("import-batch", slug, batch.pk)
    return _import_page(request, dataset)


# The forms that start an import from elsewhere. The name is the prefix of their ids and of their context.
_FORMS = {"manifest": ManifestForm, "folder": FolderForm, "bucket": BucketForm}


def _import_page(
    request: HttpRequest, dataset: Dataset, *, refused: ImportOptionsForm | None = None
) -> HttpResponse:
    """Render the import page; with the status 422 and its errors if one of the forms was refused."""
    context = {
        "dataset": dataset,
        "section": "images",
        "full": quotas.remaining_quota(dataset).is_full() is not None,
        "imports": imports_of(dataset),
        "image_count": image_count(dataset),
        "max_file": settings.MAX_FILE_BYTES,
        "max_archive": settings.MAX_ARCHIVE_BYTES,
        "max_pixels": settings.MAX_PIXELS,
        "options_form": ImportOptionsForm(auto_id="upload-%s"),
        "allowed_folders": settings.IMPORT_FOLDERS,
        "allowed_buckets": settings.IMPORT_BUCKETS,
        "watched": watched_folders(dataset),
    }
    for name, kind in _FORMS.items():
        context[f"{name}_form"] = refused if type(refused) is kind else kind(auto_id=f"{name}-%s")
    return render(request, "datasets/import.html", context, status=200 if refused is None else 422)


def _start_import(
    request: HttpRequest,
    slug: str,
    name: str,
    start: Callable[..., Job],
    arguments: Callable[[dict[str, Any]], dict[str, Any]],
) -> HttpResponse:
    """Start an import by the form of this name, and show the import, or the page with the errors.

    start: a service. arguments: its arguments from the values of the form, beside those of every import.
    """
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    form = _FORMS[name](request.POST, request.FILES, auto_id=f"{name}-%s")
    if form.is_valid():
        given = arguments(form.cleaned_data)
        try:
            job = start(dataset=dataset, user=user_of(request), options=options_of(request), **given)
        except ValidationError as error:
            add_errors(form, error)
        else:
            return redirect("import-batch", slug, job.payload["batch"])
    return _import_page(request, dataset, refused=form)


@takes_files
@require_POST
def import_manifest(request: HttpRequest, slug: str) -> HttpResponse:
    """Import the images that a manifest names."""
    return _start_import(request, slug, "manifest", services.import_manifest, _manifest_arguments)


def _manifest_arguments(values: dict[str, Any]) -> dict[str, Any]:
    file = values["manifest"]
    return {"name": file.name or "", "file": file, "folder": values.get("folder", "")}


@require_POST
def import_folder(request: HttpRequest, slug: str) -> HttpResponse:
    """Import a folder, a zip, a manifest or an image that is on the server, or watch a folder."""
    if "watch" in request.POST:
        return _watch_folder(request, slug)
    return _start_import(
        request, slug, "folder", services.import_allowed_folder, lambda values: {"path": values["path"]}
    )


def _watch_folder(request: HttpRequest, slug: str) -> HttpResponse:
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    form = FolderForm(request.POST, auto_id="folder-%s")
    if form.is_valid():
        try:
            services.watch_folder(
                dataset=dataset,
                user=user_of(request),
                path=form.cleaned_data["path"],
                minutes=form.cleaned_data["minutes"] or 5,
                options=options_of(request),
            )
        except ValidationError as error:
            add_errors(form, error)
        else:
            messages.success(request, _("The folder is watched. New files are imported as they settle."))
            return redirect("import", slug)
    return _import_page(request, dataset, refused=form)


@require_POST
def import_bucket(request: HttpRequest, slug: str) -> HttpResponse:
    """Import the new and changed objects of a bucket."""
    return _start_import(
        request, slug, "bucket", services.import_bucket, lambda values: {"address": values["address"]}
    )


@require_POST
def watch_end(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Watch a folder no longer."""
    watch = watched_folder_for(user_of(request), slug, pk)
    services.end_watch(watch=watch, user=user_of(request))
    messages.success(request, _("The folder is no longer watched. Its images stay."))
    return redirect("import", slug)


@require_POST
def import_undo(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Take a whole import back, while none of its images is in use."""
    batch = import_for(user_of(request), slug, pk)
    try:
        services.request_undo(batch=batch, user=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("The images of this import are being deleted. Its report stays."))
    return redirect("import-batch", slug, pk)


@require_POST
def import_start(request: HttpRequest, slug: str) -> HttpResponse:
    """Start an upload and return the addresses for its parts.

    The form has the options of the import, and `title` if one file is sent.
    """
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    titles = request.POST.getlist("title")
    try:
        batch = services.start_upload(
            dataset=dataset,
            user=user_of(request),
            options=options_of(request),
            title=titles[0] if len(titles) == 1 else "",
        )
    except ValidationError as error:
        return JsonResponse({"detail": " ".join(error.messages)}, status=422)
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
