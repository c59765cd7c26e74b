"""The files of an image. Only for members; kept by the browser, since a hash never changes its content."""

from pathlib import PurePosixPath
from typing import BinaryIO

from django.http import FileResponse, Http404, HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from imaging import ImagingError
from mekiki.accounts.http import UserRequest
from mekiki.datasets import storage
from mekiki.datasets.access import image_for
from mekiki.datasets.bare import without_words
from mekiki.datasets.checked_files import ChangedFileError, open_checked
from mekiki.datasets.importing.pictures import CONTENT_TYPES, EXTENSIONS
from mekiki.datasets.models import Image


def original(request: UserRequest, image: Image) -> HttpResponseBase:
    """The bytes as they were imported, as a download. The page that calls this has checked that the user may have it."""
    stem = PurePosixPath(image.name).stem[:100] or image.sha256[:12]
    return _answer(
        request,
        image,
        "original",
        [(storage.original_name(image.dataset_id, image.sha256), CONTENT_TYPES[image.format])],
        download_as=stem + EXTENSIONS[image.format],
    )


@require_safe
def thumb(request: UserRequest, slug: str, sha256: str) -> HttpResponseBase:
    """At most 256 pixels a side."""
    image = image_for(request.user, slug, sha256)
    name = storage.thumb_name(image.dataset_id, sha256)
    return _answer(request, image, "thumb", [(name, "image/webp")])


@require_safe
def display(request: UserRequest, slug: str, sha256: str) -> HttpResponseBase:
    """What people judge: the original where browsers show the decoder's pixels of it, else the display file.

    Never with the words that cameras write into files: whoever judges the image blind could read them.
    """
    image = image_for(request.user, slug, sha256)
    names = []
    if image.has_display is not False:
        names.append((storage.display_name(image.dataset_id, sha256), "image/webp"))
    if not image.has_display:
        names.append((storage.original_name(image.dataset_id, sha256), CONTENT_TYPES[image.format]))
    # The part of the ETag: "display" once stood for files with their embedded text.
    return _answer(request, image, "picture", names, bare=True)


def _answer(
    request: UserRequest,
    image: Image,
    which: str,
    names: list[tuple[str, str]],
    download_as: str = "",
    bare: bool = False,
) -> HttpResponseBase:
    """The first of the names that exists. bare: an original without embedded text. 404 when the storage lost them all."""
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
    # Another pixel window, or a newer version's rules, changes how an image is shown; its own bytes never change.
    changes = which != "original" and (image.has_display is None or image.window_id or image.rendition)
    response["Cache-Control"] = "private, no-cache" if changes else "private, max-age=31536000, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    # Whatever the bytes are, opened by themselves they may do nothing.
    response["Content-Security-Policy"] = (
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"
    )
    return response


def _refuse(image: Image) -> HttpResponse:
    """What is answered in place of a file that is not the image any more. Never kept by the browser."""
    response = HttpResponse(
        _(
            "The stored file of this image was changed: it does not have its recorded hash any more. It is not shown, and "
            "the activity log says so. Restore the file from a backup."
        ),
        content_type="text/plain; charset=utf-8",
        status=409,
    )
    response["Cache-Control"] = "private, no-store"
    return response


def _file(names: list[tuple[str, str]], download_as: str, image: Image, *, bare: bool) -> HttpResponseBase:
    """Streamed: a large original does not pass through memory, unless embedded text is taken out of it."""
    file, content_type = _open(names, image)
    if bare and content_type == CONTENT_TYPES[image.format]:
        try:
            with file:
                data, kind = without_words(file.read(), image.format)
        except ImagingError as error:  # it has more pixels, or needs more memory, than is allowed by now
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
    """The first of the files that exists. An original only while it has its hash: ChangedFileError."""
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
