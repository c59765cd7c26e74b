"""Messages of an import's report: for each code, what happened, what was kept and what to do.

`ImportProblem.code` is a key of MESSAGES, and `ImportProblem.detail` holds the numbers and names for the
message. OUTCOMES gives the outcome of a code. A code that is not in OUTCOMES means that the file was refused.
"""

from dataclasses import dataclass, field
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class ProblemError(Exception):
    """One line of the report, raised or passed on.

    `code` is a key of MESSAGES, and `detail` fills in the message.
    """

    def __init__(self, code: str, **detail: Any) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail

    @property
    def outcome(self) -> str:
        """Return the result for the file: a value of ImportProblem.Outcome."""
        return OUTCOMES.get(self.code, "refused")


@dataclass(frozen=True)
class Note:
    """A line of the report about a file that was accepted or skipped.

    `outcome` is a value of ImportProblem.Outcome.
    """

    code: str
    outcome: str  # "partly", "skipped" or "noted"
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """What happened to a file, and what to do about it."""

    what: str
    advice: str


# code → outcome of a file that was not refused: "partly", "skipped" or "noted"
OUTCOMES: dict[str, str] = {
    "duplicate": "skipped",
    "more_not_listed": "noted",
    "metadata_invalid": "partly",
    "metadata_too_much": "partly",
    # The picture lacks a part of the file, or it is complete and somebody should check it.
    "frames_left_out": "partly",
    "pages_left_out": "partly",
    "pictures_left_out": "partly",
    "channels_left_out": "partly",
    "profile_ignored": "noted",
    "values_clipped": "noted",
    "no_values": "noted",
}

_FULL = _(
    "Ask an admin of the platform for a higher limit, then import the files again: images that are "
    "already stored are skipped."
)
_WAITING = _("Import what has arrived, then send this file again.")

# Codes for files that were not stored because of a limit that an admin of the platform has set.
FULL = (
    *("dataset_full_images", "dataset_full_bytes", "platform_full_images", "platform_full_bytes"),
    *("dataset_waiting", "platform_waiting"),
)

# code → (what happened, what to do)
MESSAGES: dict[str, tuple[str | Promise, str | Promise]] = {
    "empty_file": (_("The file is empty."), _("Copy it again from the camera and import it once more.")),
    "not_an_image": (
        _("This file is not an image, although its name suggests one."),
        _("Take it out, or export it as JPEG, PNG, WebP, BMP, TIFF or GIF."),
    ),
    "unsupported_format": (
        _("%(format)s files cannot be read."),
        _("Convert it to JPEG, PNG, WebP, BMP, TIFF or GIF and import it again."),
    ),
    "svg": (
        _("This is an SVG drawing; only photographs and other pixel images can be imported."),
        _("Export it as PNG and import that."),
    ),
    "truncated": (
        _("The image data ends too early."),
        _("The copy was cut short. Copy it again from the source."),
    ),
    "damaged": (
        _("The image is damaged and cannot be read."),
        _("Open it in an image viewer; if it shows there, save it again and import that."),
    ),
    "too_many_pixels": (
        _("The image has %(pixels)s pixels; the limit is %(limit)s (MEKIKI_MAX_PIXELS)."),
        _(
            "Cut it into parts or scale it down; or raise MEKIKI_MAX_PIXELS, start the platform again and "
            "import the "
            "image again."
        ),
    ),
    "kills_worker": (
        _("The worker ended unexpectedly, several times, while it read this file. The file was left out."),
        _(
            "Open it in an image viewer, save it again as PNG or JPEG, and import that file. If it "
            "is an ordinary image, the worker may have too little memory: tell the person who runs "
            "this installation."
        ),
    ),
    "too_much_memory": (
        _(
            "Decoding this image needs %(needed)s of memory; the limit is %(limit)s "
            "(MEKIKI_DECODE_MEMORY_MB). "
            "The image was not stored."
        ),
        _(
            "Cut it into parts, scale it down, or save it with 8 bits; or raise MEKIKI_DECODE_MEMORY_MB, "
            "start the "
            "platform again and import the image again."
        ),
    ),
    "no_memory": (
        _("There is too little free memory to decode this image."),
        _("Stop other programs or cut the image into parts, then import it again."),
    ),
    "too_large": (
        _("The file is larger than %(limit)s."),
        _("Scale it down or store it with compression, then import it again."),
    ),
    "unreadable": (
        _("The file could not be read from the disk."),
        _("Let the platform's system user read it, then import again."),
    ),
    "symlink": (
        _("This is a link to another file, and links are not followed."),
        _("Put the file itself in its place."),
    ),
    "linked_folder": (
        _("This is a link to another folder, and links are not followed. No image was imported from it."),
        _("Import the other folder by itself, or mount it in this place."),
    ),
    "broken_link": (
        _("This is a link to a file that does not exist."),
        _("Put the file itself in its place, or remove the link."),
    ),
    "special_file": (
        _("This is not a file but a %(format)s. It was not opened."),
        _("Remove it from the folder, or put the file itself in its place."),
    ),
    "unreadable_folder": (
        _("The folder could not be read from the disk. No image was imported from it."),
        _("Let the platform's system user read it, then import again."),
    ),
    "unreadable_upload": (
        _("The browser could not read this file or folder, so it was not sent."),
        _("Check that it still exists and that you may read it, then send it again."),
    ),
    "folder_passed_over": (
        _(
            "Folders of this kind belong to the system (recycle bin, snapshot, thumbnails, hidden). "
            "Files in them that were not imported: %(count)s."
        ),
        _("If it holds images you need, rename the folder and import it."),
    ),
    "system_files": (
        _("Files of this kind belong to the operating system and were not imported: %(count)s."),
        _("No action is needed."),
    ),
    "names_encoding": (
        _("Names that are not in UTF-8: %(count)s. They were read as %(format)s."),
        _("If the names look wrong, convert them to UTF-8 and import again."),
    ),
    "names_mixed": (
        _(
            "Names without a consistent encoding: %(count)s. Parts that are neither UTF-8 nor "
            "Shift-JIS are shown as bytes, such as <0x95>. The images were imported."
        ),
        _("If the names matter, rename the files and import again."),
    ),
    "name_repeated": (
        _("The zip holds this name %(count)s times. All of these files were imported."),
        _("Check that they are different pictures, or give them different names."),
    ),
    "unsafe_path": (
        _("The name leads out of the archive."),
        _("Pack the folder again with an ordinary zip program."),
    ),
    "encrypted": (
        _("The file is encrypted with a password."),
        _("Pack it again without a password."),
    ),
    "nested_archive": (
        _("This is an archive inside an archive."),
        _("Unpack it and import its files, or import it by itself."),
    ),
    "archive_kind": (
        _("%(format)s archives cannot be opened."),
        _("Unpack it, then import the folder or a zip of it."),
    ),
    "compression_unknown": (
        _("The file is compressed in a way that cannot be read (%(format)s)."),
        _("Make the zip again with ordinary compression (Deflate), or unpack it and import the folder."),
    ),
    "archive_cut": (
        _("The zip ends before its directory: the copy is incomplete. Nothing was imported from it."),
        _("Copy it again from the source."),
    ),
    "archive_split": (
        _("This is one part of a zip that is split over several files. Nothing was imported from it."),
        _("Join the parts, or unpack them, then import the folder or one zip of it."),
    ),
    "archive_damaged": (
        _("The zip is damaged and cannot be opened."),
        _("Make it again, or copy it again from the source."),
    ),
    "entry_damaged": (
        _("The zip holds this file only in damaged form."),
        _("Make the zip again from the original files."),
    ),
    "archive_empty": (_("The zip is empty."), _("Pack the folder with the images again.")),
    "archive_too_big": (
        _("Unpacked, the zip would be larger than %(limit)s. Nothing was imported from it."),
        _("Split it into several zips."),
    ),
    "archive_too_many": (
        _("The zip holds more than %(limit)s files. Nothing was imported from it."),
        _("Split it into several zips."),
    ),
    "archive_bomb": (
        _("The zip would unpack to far more data than images need. Nothing was imported from it."),
        _("If it is genuine, unpack it yourself and import the folder."),
    ),
    "frames_left_out": (
        _("An animation of %(frames)s frames. Its still picture, as a rule the first frame, is the image."),
        _("To import other frames, save each frame as a separate file."),
    ),
    "pages_left_out": (
        _("The file has %(pages)s pages. The largest, page %(page)s, is the image."),
        _("To import all of them, import the file again with “Every page becomes an image”."),
    ),
    "pictures_left_out": (
        _("%(pictures)s pictures in one JPEG file; the first is the image."),
        _("To import the others, save each image as a separate file."),
    ),
    "channels_left_out": (
        _("The image has channels that cannot be shown (%(channels)s); they are left out."),
        _("To judge the channels, save each channel as a separate grey image."),
    ),
    "profile_ignored": (
        _("Its colour profile is damaged or does not fit; colours are shown without it."),
        _("If the colours look wrong, convert the image to sRGB and import it again."),
    ),
    "values_clipped": (
        _(
            "%(share)s of the pixel values are darker than black (%(black)s) or brighter than white "
            "(%(white)s) and are cut off."
        ),
        _("If it matters, change the pixel window in the settings of the dataset."),
    ),
    "no_values": (
        _("No pixel has a value (NaN or “no data”): the picture is black."),
        _("Check the file in the program that wrote it. Reviewers can flag the image."),
    ),
    "dataset_full_images": (
        _(
            "The dataset may hold %(limit)s images and is full. This one was not stored; images stored "
            "before are kept."
        ),
        _FULL,
    ),
    "dataset_full_bytes": (
        _(
            "The file has %(needed)s, and of the %(limit)s that the dataset may hold %(left)s are free. It "
            "was not "
            "stored; images stored before are kept."
        ),
        _FULL,
    ),
    "platform_full_images": (
        _(
            "The platform has reached the limit of all datasets together: %(limit)s images. This "
            "image was not stored; images stored before are kept."
        ),
        _FULL,
    ),
    "platform_full_bytes": (
        _(
            "The file has %(needed)s, and of the %(limit)s that all datasets together may hold %(left)s are "
            "free. It was "
            "not stored; images stored before are kept."
        ),
        _FULL,
    ),
    "dataset_waiting": (
        _(
            "The files of this dataset that wait for their import have reached the limit of %(limit)s. "
            "This file was not kept."
        ),
        _WAITING,
    ),
    "platform_waiting": (
        _(
            "The files of this platform that wait for their import have reached the limit of "
            "%(limit)s. This file was not kept."
        ),
        _WAITING,
    ),
    "no_image": (_("No image was found in it."), _("Check that you chose the right folder or zip.")),
    "duplicate": (
        _("The same picture is already stored under the name %(kept)s."),
        _("No action is needed. If the two folders stand for two labels, check which label is right."),
    ),
    "more_not_listed": (
        _("Lines of this kind: %(count)s. The first %(limit)s are listed."),
        _("Correct the files that are listed, then import the rest again."),
    ),
    "metadata_invalid": (
        _("The table of metadata could not be used: %(reason)s The images were imported without it."),
        _("Give it a column “file” with the file names, and save it as CSV in UTF-8."),
    ),
    "metadata_too_much": (
        _(
            "The tables of metadata of one import may have %(limit)s together. This table was not used. The "
            "images were "
            "imported without it."
        ),
        _("Send the tables one after the other, without the images: known images are updated."),
    ),
    "metadata_too_many_rows": (
        _(
            "The tables of metadata of one import may have %(limit)s rows together. Rows of this table that "
            "were not "
            "read: %(count)s (%(rows)s)."
        ),
        _("Put these rows into a separate table and send it afterwards: known images are updated."),
    ),
    "metadata_rows_unused": (
        _("Rows not used: %(count)s of %(total)s; each is listed. The other rows were used."),
        _("Correct the rows that are listed and send the table again: known images are updated."),
    ),
    "metadata_row_unmatched": (
        _("Row %(row)s names “%(cell)s”, and no image has this name. The row was not used."),
        _("Write the name as the list of images shows it, then send the table again."),
    ),
    "metadata_row_ambiguous": (
        _("Row %(row)s names “%(cell)s”, and %(count)s images could be meant. The row was not used."),
        _("Write the name with its folder, then send the table again."),
    ),
    "metadata_row_conflict": (
        _("Row %(row)s and another row give different values for one image (“%(cell)s”). Neither was used."),
        _("Keep one of the rows, then send the table again."),
    ),
    "metadata_tables_differ": (
        _("Two tables give different values for this image (%(columns)s). The first table was used."),
        _("Keep one value, then send the table again."),
    ),
    "metadata_differs": (
        _("The image %(kept)s has other values from this import (kept / not used): %(columns)s."),
        _("Decide which values are right, keep only that row, then send the table again."),
    ),
    "metadata_second_table": (
        _("There are two tables of metadata in one folder. Both were used."),
        _("No action is needed, unless one of them is an old copy."),
    ),
    "metadata_columns": (
        _("Columns left out: %(count)s (%(columns)s). An image holds at most %(limit)s."),
        _("Remove columns that you do not need, then send the table again."),
    ),
    "metadata_columns_renamed": (
        _("The table has columns of the same name. They were kept as %(columns)s."),
        _("Give each column a different name."),
    ),
    "metadata_cut": (
        _(
            "Rows with cells longer than %(limit)s characters: %(count)s (%(rows)s). The beginning of the "
            "cells was kept."
        ),
        _("Shorten them, then send the table again."),
    ),
    "metadata_long_rows": (
        _("Rows with more cells than the header: %(count)s (%(rows)s). The extra cells were not imported."),
        _("Put cells that hold the separator in quotes, then send the table again."),
    ),
    "metadata_unnamed_rows": (
        _("Rows that name no file: %(count)s (%(rows)s). They were not used."),
        _("Fill in the column with the file names, then send the table again."),
    ),
}

REASONS: dict[str, str | Promise] = {
    "too_large": _("It is too large."),
    "encoding": _("Its text encoding is unknown."),
    "empty": _("It is empty."),
    "no_file_column": _("It has no column “file”, “name” or “filename”."),
    "format": _("It is not a CSV file."),
}


# All names that a message may contain. A name that is missing in the detail is shown as "?".
FIELDS = (
    *("format", "pixels", "needed", "left", "limit", "kept", "count", "share", "black", "white"),
    *("frames", "pages", "page", "pictures", "channels"),
    *("total", "row", "rows", "cell", "columns"),
)

# code → names in its detail that are numbers of bytes
_IN_BYTES = {
    "too_large": ("limit",),
    "archive_too_big": ("limit",),
    "too_much_memory": ("needed", "limit"),
    "dataset_full_bytes": ("needed", "limit", "left"),
    "platform_full_bytes": ("needed", "limit", "left"),
    "metadata_too_much": ("limit",),
    "dataset_waiting": ("limit",),
    "platform_waiting": ("limit",),
}

KINDS_OF_FILE: dict[str, str | Promise] = {
    "named pipe": _("named pipe"),
    "socket": _("socket"),
    "device": _("device"),
    "folder": _("folder"),
    "link": _("link"),
}


def explain(code: str, detail: dict[str, Any]) -> Explanation:
    """Return the message for a problem, in the reader's language. An unknown code is shown as it is."""
    if code not in MESSAGES:
        return Explanation(code, "")
    what, advice = MESSAGES[code]
    shown: dict[str, Any] = dict.fromkeys(FIELDS, "?") | {"reason": ""} | detail
    for name in _IN_BYTES.get(code, ()):
        if isinstance(shown[name], int):
            shown[name] = filesizeformat(shown[name])
    if isinstance(shown.get("share"), float):
        shown["share"] = f"{shown['share']:.1%}"
    for name, value in shown.items():
        if isinstance(value, int | float):
            shown[name] = number_format(value, use_l10n=True, force_grouping=True)
    shown["reason"] = REASONS.get(shown["reason"], shown["reason"])
    if code == "special_file":
        shown["format"] = KINDS_OF_FILE.get(shown["format"], shown["format"])
    return Explanation(str(what) % shown, str(advice))
