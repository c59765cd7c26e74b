"""Decide which folders of a dataset are labels and which are parts of a split, for replay."""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from imaging.sniff import format_of
from mekiki.config.regular_files import open_regular
from mekiki.datasets.importing import metadata, names
from mekiki.datasets.importing.archives import HEAD_BYTES, is_zip, other_archive_kind
from mekiki.datasets.importing.entries import Folder
from mekiki.datasets.importing.folder_labels import is_split
from mekiki.datasets.models import ImportBatch
from mekiki.datasets.problems import explain
from mekiki.simulation.truth import TruthError

# Folders that hold files about the images if they lie beside "images". They are not labels.
_ANNOTATIONS = {"labels", "annotations", "masks", "annotation", "mask", "label", "ground_truth"}
_IMAGES = {"images", "image", "imgs", "img", "jpegimages", "画像"}
_SHOWN = 5

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """The labels of a folder, and remarks about its other levels."""

    images: Counter[str]  # label → number of files below it
    depth: int  # number of folders above the label
    remarks: list[str]  # sentences to show before the run

    @property
    def labels(self) -> list[str]:
        """Return the labels in order."""
        return sorted(self.images)

    def label_of(self, name: str) -> str | None:
        """Return the label of an image by its name, or None if it lies in no label's folder."""
        parts = _parts(name)
        return parts[self.depth] if len(parts) > self.depth + 1 else None


def read_layout(path: Path) -> Layout:
    """Read the layout of a folder before a run.

    Raises TruthError with the reason, and what to do, if the folder cannot be used.
    """
    folder = Folder(path)
    if not path.is_dir():
        raise TruthError(_("%(path)s is not a folder.") % {"path": folder.shown_path})
    files: list[Parts] = []
    remarks: list[str] = []
    for name, note in folder.notes():
        remarks.append(f"{name}: {explain(note.code, note.detail).what}")
    for name, file in folder.files():
        if not isinstance(file, Path):
            text = explain(file.code, file.detail)
            remarks.append(f"{names.readable_name(name)}: {text.what}")
        elif not names.is_skipped(name) and not metadata.is_table(name):
            parts = _parts(names.readable_name(name))
            head = _head(file)
            if is_zip(head) or other_archive_kind(head):
                raise TruthError(
                    _("%(name)s is an archive, but replay reads folders. Unpack it, then run replay again.")
                    % {"name": "/".join(parts)}
                )
            if len(parts) > 1 or format_of(head):
                files.append(parts)
    if len(remarks) > 4 * _SHOWN:
        more = len(remarks) - 4 * _SHOWN
        remarks = [
            *remarks[: 4 * _SHOWN],
            ngettext("… and %(n)d more", "… and %(n)d more", more) % {"n": more},
        ]
    try:
        depth, levels = _label_depth(folder, files)
        _check_no_loose_images(files, depth)
        images = Counter(parts[depth] for parts in files if len(parts) > depth + 1)
        _check_labels(folder, images)
    except TruthError as error:
        # A label may be missing because its folder is a link or was skipped.
        raise TruthError("\n".join([str(error), *remarks])) from None
    listed = ", ".join(f"{label} ({count})" for label, count in sorted(images.items()))
    empty = _empty_folders(folder, depth, images)
    return Layout(
        images,
        depth,
        [
            *levels,
            _("Labels and their files: %(labels)s.") % {"labels": listed},
            *(
                [_("Folders without a file, left out: %(names)s.") % {"names": _shortened_list(empty)}]
                if empty
                else []
            ),
            *_nested(files, depth),
            *remarks,
        ],
    )


def images_in_two_labels(layout: Layout, batch: ImportBatch) -> Iterator[str]:
    """Yield sentences about imported pictures that lie in the folders of two labels."""
    pairs = []
    for name, kept in batch.problems.filter(code="duplicate").values_list("name", "detail__kept"):
        if layout.label_of(name) != layout.label_of(kept):
            pairs.append(f"{kept} = {name}")
    if pairs:
        yield ngettext(
            "%(count)d picture is in the folders of two labels. The first name is used as the true "
            "label: %(names)s.",
            "%(count)d pictures are in the folders of two labels. The first name is used as the true "
            "label: %(names)s.",
            len(pairs),
        ) % {"count": len(pairs), "names": _shortened_list(pairs)}


def _parts(name: str) -> Parts:
    return tuple(unicodedata.normalize("NFC", name).split("/"))


def _head(path: Path) -> bytes:
    try:
        with open_regular(path, follow_links=False) as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def _label_depth(folder: Folder, files: list[Parts]) -> tuple[int, list[str]]:
    """Return (number of levels above the labels, sentences about these levels)."""
    depth, sentences = 0, []
    while True:
        below: dict[str, set[str]] = defaultdict(set)
        direct: Counter[str] = Counter()
        for parts in files:
            if len(parts) > depth + 2:
                below[parts[depth]].add(parts[depth + 1])
            elif len(parts) == depth + 2:
                direct[parts[depth]] += 1
        tops = sorted({*below, *direct})
        splits = [top for top in tops if is_split(top)]
        detail = {
            "path": folder.shown_path,
            "names": _shortened_list(tops),
            "splits": _shortened_list(splits),
        }
        if splits and len(splits) == len(tops):
            if any(direct.values()) or not below:
                raise TruthError(
                    _(
                        "In %(path)s the folders %(names)s look like the parts of a split, and they "
                        "contain images without a folder for their label. Sort the images into one "
                        "folder for each label."
                    )
                    % detail
                )
            sentences.append(_("Read as the parts of a split, not as labels: %(names)s.") % detail)
        elif any(below[top] and not direct[top] for top in splits):
            raise TruthError(
                _(
                    "In %(path)s the folders %(splits)s look like the parts of a split, but the "
                    "folders beside them do not (all: %(names)s). Replay does not guess which "
                    "folders are labels: separate them."
                )
                % detail
            )
        elif _has_annotations(tops):
            raise TruthError(
                _(
                    "In %(path)s the folders %(names)s look like images with annotations in separate "
                    "files. Replay reads one folder of images for each label."
                )
                % detail
            )
        elif len(tops) == 1 and below and not direct:
            sentences.append(_("The labels are below the only folder, %(names)s.") % detail)
        else:
            return depth, sentences
        depth += 1


def _has_annotations(tops: list[str]) -> bool:
    """Return whether folders of images (or parts of a split) lie beside folders of annotations."""
    folded = {metadata.fold_text(top) for top in tops}
    return bool(folded & _ANNOTATIONS) and (bool(folded & _IMAGES) or any(map(is_split, tops)))


def _check_no_loose_images(files: list[Parts], depth: int) -> None:
    loose = ["/".join(parts) for parts in files if len(parts) <= depth + 1]
    if loose:
        raise TruthError(
            ngettext(
                "%(count)d image is not in the folder of any label (%(names)s). Move it into the "
                "folder of its label, or remove it.",
                "%(count)d images are not in the folder of any label (%(names)s). Move them into the "
                "folders of their labels, or remove them.",
                len(loose),
            )
            % {"count": len(loose), "names": _shortened_list(loose)}
        )


def _check_labels(folder: Folder, images: Counter[str]) -> None:
    if len(images) < 2:
        raise TruthError(
            _(
                "%(path)s needs at least two folders with images in them, one for each label; it has "
                "%(count)s%(names)s."
            )
            % {
                "path": folder.shown_path,
                "count": len(images),
                "names": f" ({_shortened_list(list(images))})" if images else "",
            }
        )
    alike: dict[str, list[str]] = defaultdict(list)
    for label in sorted(images):
        alike[metadata.fold_text(label)].append(label)
    for same in alike.values():
        if len(same) > 1:
            raise TruthError(
                _(
                    "The folders %(names)s differ only in case or width. If they are one label, give them "
                    "one name; "
                    "if not, give them different names."
                )
                % {"names": _shortened_list(same)}
            )


def _empty_folders(folder: Folder, depth: int, images: Counter[str]) -> list[str]:
    """Return the folders on the level of the labels that hold no file."""
    top = Path(os.path.realpath(folder.path))
    empty = []
    for place, below, files in os.walk(top):
        parts = Path(place).relative_to(top).parts
        below[:] = [name for name in below if not names.is_system_folder(name)]
        if len(parts) > depth:
            label = _parts(names.readable_name(folder.encoding.text(parts[depth])))[0]
            if label not in images and not files and not below:
                empty.append(label)
    return sorted(set(empty))


def _nested(files: list[Parts], depth: int) -> Iterator[str]:
    nested = sorted({parts[depth] for parts in files if len(parts) > depth + 2})
    if nested:
        yield _("These labels have folders inside; all images in them are used: %(names)s.") % {
            "names": _shortened_list(nested)
        }


def _shortened_list(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
