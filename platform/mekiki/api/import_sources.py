"""Imports that programs start by sending files or a manifest, and watched folders.

Imports of folders of the server and of buckets: imports.py.
"""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, File, Form, Router, Schema
from ninja.files import UploadedFile

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.api.errors import ErrorOut
from mekiki.api.imports import ERRORS, ImportOptionsIn, ImportOut, import_out
from mekiki.datasets import services
from mekiki.datasets.access import dataset_for, import_for, watched_folder_for
from mekiki.datasets.models import WatchedFolder
from mekiki.datasets.selectors import watched_folders

router = Router(tags=["imports"])

# The server takes large bodies at these addresses (config/server/limits.py).
TAKE_FILES = ("import-upload", "import-manifest")


class ManifestIn(ImportOptionsIn):
    """`folder`: a folder below one of MEKIKI_IMPORT_FOLDERS. The paths of the rows start from it."""

    folder: str = Field("", max_length=4096)


class WatchIn(ImportOptionsIn):
    """A folder of the server, and the minutes between two scans."""

    path: str = Field(max_length=4096)
    minutes: int = Field(5, ge=1, le=1440)


class WatchOut(Schema):
    """A watched folder. `problem`: why the last scan could not read it, or empty."""

    id: int
    path: str
    minutes: int
    created_at: datetime
    scanned_at: datetime | None
    problem: str


@router.post(
    "/{slug:slug}/imports/upload",
    response={200: ImportOut, 507: ErrorOut, **ERRORS},
    url_name="import-upload",
    summary="Import images and zips that are sent",
)
def upload(
    request: HttpRequest, slug: str, options: Form[ImportOptionsIn], files: File[list[UploadedFile]]
) -> dict[str, Any]:
    """For admins of the dataset. A file that cannot be imported is named in the report of the import."""
    user = user_of(request)
    batch = services.import_files(
        dataset=dataset_for(user, slug, Role.ADMIN),
        user=user,
        files=[(file.name or "", file, file.size) for file in files],
        options=options.chosen(),
    )
    return import_out(import_for(user, slug, batch.pk))


@router.post(
    "/{slug:slug}/imports/manifest",
    response={200: ImportOut, 507: ErrorOut, **ERRORS},
    url_name="import-manifest",
    summary="Import the images that a manifest names",
)
def manifest(
    request: HttpRequest, slug: str, given: Form[ManifestIn], file: File[UploadedFile]
) -> dict[str, Any]:
    """For admins of the dataset. CSV, JSONL, Parquet, or the JSON of Label Studio or COCO."""
    user = user_of(request)
    job = services.import_manifest(
        dataset=dataset_for(user, slug, Role.ADMIN),
        user=user,
        name=file.name or "",
        file=file,
        folder=given.folder,
        options=given.chosen(),
    )
    return import_out(import_for(user, slug, job.payload["batch"]))


def _watch_out(watch: WatchedFolder) -> dict[str, Any]:
    fields = ("minutes", "created_at", "scanned_at", "problem")
    path = watch.shown_path  # type: ignore[attr-defined]
    return {"id": watch.pk, "path": path, **{name: getattr(watch, name) for name in fields}}


@router.get(
    "/{slug:slug}/watched-folders",
    response={200: list[WatchOut], **ERRORS},
    url_name="watched-folders",
    summary="The folders of the server that are watched",
)
def watches(request: HttpRequest, slug: str) -> list[dict[str, Any]]:
    """For admins of the dataset."""
    return [_watch_out(watch) for watch in watched_folders(dataset_for(user_of(request), slug, Role.ADMIN))]


@router.post(
    "/{slug:slug}/watched-folders",
    response={200: WatchOut, **ERRORS},
    url_name="watch-begin",
    summary="Watch a folder of the server",
)
def watch_begin(request: HttpRequest, slug: str, given: WatchIn) -> dict[str, Any]:
    """For admins of the dataset. The folder must be below a folder of MEKIKI_IMPORT_FOLDERS.

    New files are imported when two scans have seen them unchanged.
    """
    user = user_of(request)
    watch = services.watch_folder(
        dataset=dataset_for(user, slug, Role.ADMIN),
        user=user,
        path=given.path,
        minutes=given.minutes,
        options=given.chosen(),
    )
    return _watch_out(watched_folder_for(user, slug, watch.pk))


@router.delete(
    "/{slug:slug}/watched-folders/{int:pk}",
    response={200: list[WatchOut], **ERRORS},
    url_name="watch-end",
    summary="Watch a folder no longer",
)
def watch_end(request: HttpRequest, slug: str, pk: int) -> list[dict[str, Any]]:
    """For admins of the dataset. The images stay. Returns the folders that are still watched."""
    user = user_of(request)
    services.end_watch(watch=watched_folder_for(user, slug, pk), user=user)
    return [_watch_out(watch) for watch in watched_folders(dataset_for(user, slug, Role.ADMIN))]
