"""The files of an image, only for members.

Browsers may cache them, because the content of a hash never changes.
"""

from pathlib import PurePosixPath
from typing import BinaryIO

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from imaging import ImagingError
from mekiki.accounts.http import user_of
from mekiki.datasets import storage
from mekiki.datasets.access import image_for
from mekiki.datasets.bare import without_words
from mekiki.datasets.checked_files import ChangedFileError, open_checked
from mekiki.datasets.importing.pictures import CONTENT_TYPES, EXTENSIONS
from mekiki.datasets.models import Image


def original(request: HttpRequest, image: Image) -> HttpResponseBase:
    """Serve the imported bytes as a download.

    The calling view must have checked that the user may have the file.
    """
    stem = PurePosixPath(image.name).stem[:100] or image.sha256[:12]
    return _answer(
        request,
        image,
        "original",
        [(storage.original_name(image.dataset_id, image.sha256), CONTENT_TYPES[image.format])],
        download_as=stem + EXTENSIONS[image.format],
    )


@require_safe
def thumb(request: HttpRequest, slug: str, sha256: str) -> HttpResponseBase:
    """Serve the thumbnail: at most 256 pixels a side."""
    image = image_for(user_of(request), slug, sha256)
    name = storage.thumb_name(image.dataset_id, sha256)
    return _answer(request, image, "thumb", [(name, "image/webp")])


@require_safe
def display(request: HttpRequest, slug: str, sha256: str) -> HttpResponseBase:
    """Serve the picture that reviewers judge.

    This is the original if browsers show the same pixels as the decoder, and otherwise the display file. Text
    that cameras write into files is removed, because a blind reviewer could read it.
    """
    image = image_for(user_of(request), slug, sha256)
    names = []
    if image.has_display is not False:
        names.append((storage.display_name(image.dataset_id, sha256), "image/webp"))
    if not image.has_display:
        names.append((storage.original_name(image.dataset_id, sha256), CONTENT_TYPES[image.format]))
    # The ETag says "picture": in earlier versions "display" meant files with their embedded text.
    return _answer(request, image, "picture", names, bare=True)


def _answer(
    request: HttpRequest,
    image: Image,
    which: str,
    names: list[tuple[str, str]],
    download_as: str = "",
    bare: bool = False,
) -> HttpResponseBase:
    """Return the first of the files that exists. Raises Http404 if the storage has none of them.

    `bare`: an original is sent without embedded text.
    """
    etag = f'"{image.sha256}-{which}-{image.rendition}"'
    unchanged = get_conditional_response(request, etag=etag)
    if isinstance(unchanged, HttpResponseNotModified):
        response: HttpResponseBase = unchanged
    else:
        try:
            response = _file(names, download_as, image, bare=bare)
        except ChangedFileError:
            return _refuse(image)
    response["ETag"] = etag
    # Another pixel window or a newer version of Mekiki can change how an image is shown. Its original never
    # changes.
    changes = which != "original" and (image.has_display is None or image.window_id or image.rendition)
    response["Cache-Control"] = "private, no-cache" if changes else "private, max-age=31536000, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    # A file that is opened directly may run nothing, whatever its bytes are.
    response["Content-Security-Policy"] = (
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"
    )
    return response


def _refuse(image: Image) -> HttpResponse:
    """Return the answer for a file that no longer has its recorded hash. Browsers do not store it."""
    response = HttpResponse(
        _(
            "The stored file of this image was changed: its hash differs from the record. It is not "
            "shown, and the audit log records this. Restore the file from a backup."
        ),
        content_type="text/plain; charset=utf-8",
        status=409,
    )
    response["Cache-Control"] = "private, no-store"
    return response


def _file(names: list[tuple[str, str]], download_as: str, image: Image, *, bare: bool) -> HttpResponseBase:
    """Return the file as a stream, so that a large original is not loaded into memory.

    An original is loaded if embedded text must be removed from it.
    """
    file, content_type = _open(names, image)
    if bare and content_type == CONTENT_TYPES[image.format]:
        try:
            with file:
                data, kind = without_words(file.read(), image.format)
        except ImagingError as error:  # the limits of pixels or memory were lowered since the import
            raise Http404 from error
        response: HttpResponseBase = HttpResponse(data, content_type=CONTENT_TYPES[kind])
        response["Content-Disposition"] = "inline"
        return response
    response = FileResponse(
        file, content_type=content_type, as_attachment=bool(download_as), filename=download_as
    )
    if not download_as:
        response["Content-Disposition"] = "inline"
    return response


def _open(names: list[tuple[str, str]], image: Image) -> tuple[BinaryIO, str]:
    """Return the first of the files that exists, with its content type.

    Raises ChangedFileError if an original no longer has its hash.
    """
    original = storage.original_name(image.dataset_id, image.sha256)
    for name, content_type in names:
        try:
            if name != original:
                return storage.open_named(name), content_type
            file = open_checked(
                name=name,
                sha256=image.sha256,
                dataset=image.dataset,
                kind="image.file_changed",
                object_id=image.sha256,
            )
            return file, content_type
        except FileNotFoundError:
            continue
    raise Http404
