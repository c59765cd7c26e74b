"""Functions that higher apps register: where labels of images are stored, and which images must stay."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mekiki.accounts.models import User
from mekiki.datasets.importing.manifests.rows import RowLabel
from mekiki.datasets.models import ImportBatch
from mekiki.datasets.problems import ReportLine


@dataclass(frozen=True)
class LabelledImage:
    """An image with the labels that came with it. `where` names its file in the report."""

    image: int
    where: str
    labels: tuple[RowLabel, ...]


StoreLabels = Callable[[ImportBatch, Sequence[LabelledImage]], list[tuple[str, ReportLine]]]
CloseImport = Callable[[ImportBatch, "User | None"], None]
KeptImages = Callable[[list[int]], set[int]]
_STORES: list[StoreLabels] = []
_CLOSING: list[CloseImport] = []
_KEEPING: list[KeptImages] = []
_DELETING: list[Callable[[list[int]], None]] = []
_UNDOING: list[Callable[[ImportBatch], None]] = []


def register_label_store(store: StoreLabels) -> None:
    """Register the function that stores labels with their images. Called when an app is ready."""
    _STORES.append(store)


def store_labels(batch: ImportBatch, images: Sequence[LabelledImage]) -> list[tuple[str, ReportLine]]:
    """Store the labels of images and return report lines."""
    return [line for store in _STORES for line in store(batch, images)] if images else []


def register_import_end(close: CloseImport) -> None:
    """Register a function to call in the transaction that ends an import. Called when an app is ready."""
    _CLOSING.append(close)


def run_import_end(batch: ImportBatch, user: "User | None") -> None:
    """Call the registered functions for an import that ends."""
    for close in _CLOSING:
        close(batch, user)


def register_kept_images(kept: KeptImages) -> None:
    """Register a function that returns which images may not be deleted. Called when an app is ready."""
    _KEEPING.append(kept)


def kept_images(ids: list[int]) -> set[int]:
    """Return the ids of the images that a registered function keeps."""
    return set().union(*(kept(ids) for kept in _KEEPING))


def register_undo_hook(act: Callable[[ImportBatch], None]) -> None:
    """Register a function to call after an import was taken back. Called when an app is ready."""
    _UNDOING.append(act)


def run_undo_hooks(batch: ImportBatch) -> None:
    """Call the registered functions for an import that was taken back."""
    for act in _UNDOING:
        act(batch)


def register_image_dependents(delete: Callable[[list[int]], None]) -> None:
    """Register a function that deletes what an app derived from images, before they are deleted.

    Called when an app is ready.
    """
    _DELETING.append(delete)


def delete_dependents(ids: list[int]) -> None:
    """Delete what all apps derived from these images."""
    for delete in _DELETING:
        delete(ids)
