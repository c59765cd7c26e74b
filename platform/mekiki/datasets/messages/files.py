"""Messages about files and archives in an import's report."""

from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.formats import number_format

from mekiki.config.messages import Messages, gettext_noop, when


def as_number(value: Any) -> Any:
    """Return a number in the reader's language, and any other value unchanged."""
    if isinstance(value, int | float):
        return number_format(value, use_l10n=True, force_grouping=True)
    return value


def as_size(value: Any) -> Any:
    """Return a number of bytes in the reader's language, and any other value unchanged."""
    return filesizeformat(value) if isinstance(value, int) else value


def _share(value: Any) -> Any:
    return f"{value:.1%}" if isinstance(value, float) else as_number(value)


# Kinds of a path that is no regular file (config/regular_files.py). The kind is the code.
KINDS_OF_FILE = Messages("kinds of file")
KINDS_OF_FILE.add("named pipe", gettext_noop("named pipe"))
KINDS_OF_FILE.add("socket", gettext_noop("socket"))
KINDS_OF_FILE.add("device", gettext_noop("device"))
KINDS_OF_FILE.add("folder", gettext_noop("folder"))
KINDS_OF_FILE.add("link", gettext_noop("link"))

_ASK_FOR_ROOM = gettext_noop(
    "Ask an admin of the platform for a higher limit, then import the files again: images that are already"
    " stored are skipped."
)
_SEND_AGAIN = gettext_noop("Import what has arrived, then send this file again.")

# Two sentences a code: what happened, and what to do. Numbers of bytes are shown as sizes.
PROBLEMS = Messages("problems of files", missing="?", default=as_number)
PROBLEMS.add(
    "empty_file",
    gettext_noop("The file is empty."),
    gettext_noop("Copy it again from the camera and import it once more."),
)
PROBLEMS.add(
    "not_an_image",
    gettext_noop("This file is not an image, although its name suggests one."),
    gettext_noop("Take it out, or export it as JPEG, PNG, WebP, BMP, TIFF or GIF."),
)
PROBLEMS.add(
    "unsupported_format",
    gettext_noop("%(format)s files cannot be read."),
    gettext_noop("Convert it to JPEG, PNG, WebP, BMP, TIFF or GIF and import it again."),
)
PROBLEMS.add(
    "svg",
    gettext_noop("This is an SVG drawing; only photographs and other pixel images can be imported."),
    gettext_noop("Export it as PNG and import that."),
)
PROBLEMS.add(
    "truncated",
    gettext_noop("The image data ends too early."),
    gettext_noop("The copy was cut short. Copy it again from the source."),
)
PROBLEMS.add(
    "damaged",
    gettext_noop("The image is damaged and cannot be read."),
    gettext_noop("Open it in an image viewer; if it shows there, save it again and import that."),
)
PROBLEMS.add(
    "too_many_pixels",
    gettext_noop("The image has %(pixels)s pixels; the limit is %(limit)s (MEKIKI_MAX_PIXELS)."),
    gettext_noop(
        "Cut it into parts or scale it down; or raise MEKIKI_MAX_PIXELS, start the platform again and import "
        "the image again."
    ),
)
PROBLEMS.add(
    "kills_worker",
    gettext_noop(
        "The worker ended unexpectedly, several times, while it read this file. The file was left out."
    ),
    gettext_noop(
        "Open it in an image viewer, save it again as PNG or JPEG, and import that file. If it is an ordinary"
        " image, the worker may have too little memory: tell the person who runs this installation."
    ),
)
PROBLEMS.add(
    "too_much_memory",
    gettext_noop(
        "Decoding this image needs %(needed)s of memory; the limit is %(limit)s (MEKIKI_DECODE_MEMORY_MB). "
        "The image was not stored."
    ),
    gettext_noop(
        "Cut it into parts, scale it down, or save it with 8 bits; or raise MEKIKI_DECODE_MEMORY_MB, start "
        "the platform again and import the image again."
    ),
    needed=as_size,
    limit=as_size,
)
PROBLEMS.add(
    "no_memory",
    gettext_noop("There is too little free memory to decode this image."),
    gettext_noop("Stop other programs or cut the image into parts, then import it again."),
)
PROBLEMS.add(
    "too_large",
    gettext_noop("The file is larger than %(limit)s."),
    gettext_noop("Scale it down or store it with compression, then import it again."),
    limit=as_size,
)
PROBLEMS.add(
    "unreadable",
    gettext_noop("The file could not be read from the disk."),
    gettext_noop("Let the platform's system user read it, then import again."),
)
PROBLEMS.add(
    "symlink",
    gettext_noop("This is a link to another file, and links are not followed."),
    gettext_noop("Put the file itself in its place."),
)
PROBLEMS.add(
    "linked_folder",
    gettext_noop(
        "This is a link to another folder, and links are not followed. No image was imported from it."
    ),
    gettext_noop("Import the other folder by itself, or mount it in this place."),
)
PROBLEMS.add(
    "broken_link",
    gettext_noop("This is a link to a file that does not exist."),
    gettext_noop("Put the file itself in its place, or remove the link."),
)
PROBLEMS.add(
    "special_file",
    gettext_noop("This is not a file but a %(format)s. It was not opened."),
    gettext_noop("Remove it from the folder, or put the file itself in its place."),
    format=KINDS_OF_FILE.render,
)
PROBLEMS.add(
    "unreadable_folder",
    gettext_noop("The folder could not be read from the disk. No image was imported from it."),
    gettext_noop("Let the platform's system user read it, then import again."),
)
PROBLEMS.add(
    "unreadable_upload",
    gettext_noop("The browser could not read this file or folder, so it was not sent."),
    gettext_noop("Check that it still exists and that you may read it, then send it again."),
)
PROBLEMS.add(
    "folder_passed_over",
    gettext_noop(
        "Folders of this kind belong to the system (recycle bin, snapshot, thumbnails, hidden). Files in them"
        " that were not imported: %(count)s."
    ),
    gettext_noop("If it holds images you need, rename the folder and import it."),
)
PROBLEMS.add(
    "system_files",
    gettext_noop("Files of this kind belong to the operating system and were not imported: %(count)s."),
    gettext_noop("No action is needed."),
)
PROBLEMS.add(
    "names_encoding",
    gettext_noop("Names that are not in UTF-8: %(count)s. They were read as %(format)s."),
    gettext_noop("If the names look wrong, convert them to UTF-8 and import again."),
)
PROBLEMS.add(
    "names_mixed",
    gettext_noop(
        "Names without a consistent encoding: %(count)s. Parts that are neither UTF-8 nor Shift-JIS are shown"
        " as bytes, such as <0x95>. The images were imported."
    ),
    gettext_noop("If the names matter, rename the files and import again."),
)
PROBLEMS.add(
    "name_repeated",
    gettext_noop("The zip holds this name %(count)s times. All of these files were imported."),
    gettext_noop("Check that they are different pictures, or give them different names."),
)
PROBLEMS.add(
    "unsafe_path",
    gettext_noop("The name leads out of the archive."),
    gettext_noop("Pack the folder again with an ordinary zip program."),
)
PROBLEMS.add(
    "encrypted",
    gettext_noop("The file is encrypted with a password."),
    gettext_noop("Pack it again without a password."),
)
PROBLEMS.add(
    "nested_archive",
    gettext_noop("This is an archive inside an archive."),
    gettext_noop("Unpack it and import its files, or import it by itself."),
)
PROBLEMS.add(
    "archive_kind",
    gettext_noop("%(format)s archives cannot be opened."),
    gettext_noop("Unpack it, then import the folder or a zip of it."),
)
PROBLEMS.add(
    "compression_unknown",
    gettext_noop("The file is compressed in a way that cannot be read (%(format)s)."),
    gettext_noop(
        "Make the zip again with ordinary compression (Deflate), or unpack it and import the folder."
    ),
)
PROBLEMS.add(
    "archive_cut",
    gettext_noop("The zip ends before its directory: the copy is incomplete. Nothing was imported from it."),
    gettext_noop("Copy it again from the source."),
)
PROBLEMS.add(
    "archive_split",
    gettext_noop("This is one part of a zip that is split over several files. Nothing was imported from it."),
    gettext_noop("Join the parts, or unpack them, then import the folder or one zip of it."),
)
PROBLEMS.add(
    "archive_damaged",
    gettext_noop("The zip is damaged and cannot be opened."),
    gettext_noop("Make it again, or copy it again from the source."),
)
PROBLEMS.add(
    "entry_damaged",
    gettext_noop("The zip holds this file only in damaged form."),
    gettext_noop("Make the zip again from the original files."),
)
PROBLEMS.add(
    "archive_empty", gettext_noop("The zip is empty."), gettext_noop("Pack the folder with the images again.")
)
PROBLEMS.add(
    "archive_too_big",
    gettext_noop("Unpacked, the zip would be larger than %(limit)s. Nothing was imported from it."),
    gettext_noop("Split it into several zips."),
    limit=as_size,
)
PROBLEMS.add(
    "archive_too_many",
    gettext_noop("The zip holds more than %(limit)s files. Nothing was imported from it."),
    gettext_noop("Split it into several zips."),
)
PROBLEMS.add(
    "archive_bomb",
    gettext_noop("The zip would unpack to far more data than images need. Nothing was imported from it."),
    gettext_noop("If it is genuine, unpack it yourself and import the folder."),
)
PROBLEMS.add(
    "frames_left_out",
    gettext_noop(
        "An animation of %(frames)s frames. Its still picture, as a rule the first frame, is the image."
    ),
    gettext_noop("To import other frames, save each frame as a separate file."),
)
PROBLEMS.add(
    "pages_left_out",
    gettext_noop("The file has %(pages)s pages. The largest, page %(page)s, is the image."),
    gettext_noop("To import all of them, import the file again with “Every page becomes an image”."),
)
PROBLEMS.add(
    "pictures_left_out",
    gettext_noop("%(pictures)s pictures in one JPEG file; the first is the image."),
    gettext_noop("To import the others, save each image as a separate file."),
)
PROBLEMS.add(
    "channels_left_out",
    gettext_noop("The image has channels that cannot be shown (%(channels)s); they are left out."),
    gettext_noop("To judge the channels, save each channel as a separate grey image."),
)
PROBLEMS.add(
    "profile_ignored",
    gettext_noop("Its colour profile is damaged or does not fit; colours are shown without it."),
    gettext_noop("If the colours look wrong, convert the image to sRGB and import it again."),
)
PROBLEMS.add(
    "values_clipped",
    gettext_noop(
        "%(share)s of the pixel values are darker than black (%(black)s) or brighter than white (%(white)s) "
        "and are cut off."
    ),
    gettext_noop("If it matters, change the pixel window in the settings of the dataset."),
    share=_share,
)
PROBLEMS.add(
    "no_values",
    gettext_noop("No pixel has a value (NaN or “no data”): the picture is black."),
    gettext_noop("Check the file in the program that wrote it. Reviewers can flag the image."),
)
PROBLEMS.add(
    "dataset_full_images",
    gettext_noop(
        "The dataset may hold %(limit)s images and is full. This one was not stored; images stored before "
        "are kept."
    ),
    _ASK_FOR_ROOM,
)
PROBLEMS.add(
    "dataset_full_bytes",
    gettext_noop(
        "The file has %(needed)s, and of the %(limit)s that the dataset may hold %(left)s are free. It was "
        "not stored; images stored before are kept."
    ),
    _ASK_FOR_ROOM,
    needed=as_size,
    limit=as_size,
    left=as_size,
)
PROBLEMS.add(
    "platform_full_images",
    gettext_noop(
        "The platform has reached the limit of all datasets together: %(limit)s images. This image was not"
        " stored; images stored before are kept."
    ),
    _ASK_FOR_ROOM,
)
PROBLEMS.add(
    "platform_full_bytes",
    gettext_noop(
        "The file has %(needed)s, and of the %(limit)s that all datasets together may hold %(left)s are "
        "free. It was not stored; images stored before are kept."
    ),
    _ASK_FOR_ROOM,
    needed=as_size,
    limit=as_size,
    left=as_size,
)
PROBLEMS.add(
    "dataset_waiting",
    gettext_noop(
        "The files of this dataset that wait for their import have reached the limit of %(limit)s. This file"
        " was not kept."
    ),
    _SEND_AGAIN,
    limit=as_size,
)
PROBLEMS.add(
    "platform_waiting",
    gettext_noop(
        "The files of this platform that wait for their import have reached the limit of %(limit)s. This file"
        " was not kept."
    ),
    _SEND_AGAIN,
    limit=as_size,
)
PROBLEMS.add(
    "no_image",
    gettext_noop("No image was found in it."),
    gettext_noop("Check that you chose the right folder or zip."),
)
PROBLEMS.add(
    "duplicate",
    when(
        lambda v: not v.get("others"),
        gettext_noop("The same picture is already stored under the name %(kept)s."),
    ),
    when("others", gettext_noop("The same picture is already stored under the names %(kept)s, %(others)s.")),
    gettext_noop("No action is needed. If the two folders stand for two labels, check which label is right."),
)
PROBLEMS.add(
    "more_not_listed",
    gettext_noop("Lines of this kind: %(count)s. The first %(limit)s are listed."),
    gettext_noop("Correct the files that are listed, then import the rest again."),
)
