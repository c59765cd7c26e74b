"""Every write to datasets, their imports and images."""

from mekiki.datasets.services.datasets import archive_dataset, create_dataset, update_settings
from mekiki.datasets.services.imports import import_folder, run_import
from mekiki.datasets.services.uploads import (
    IncompleteError,
    add_file,
    add_files,
    discard_import,
    finish_upload,
    start_upload,
)

__all__ = [
    "IncompleteError",
    "add_file",
    "add_files",
    "archive_dataset",
    "create_dataset",
    "discard_import",
    "finish_upload",
    "import_folder",
    "run_import",
    "start_upload",
    "update_settings",
]
