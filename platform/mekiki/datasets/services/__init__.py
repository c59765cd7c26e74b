"""Services for all writes to datasets, imports and images."""

from mekiki.datasets.services.datasets import (
    archive_dataset,
    change_address,
    create_dataset,
    update_settings,
)
from mekiki.datasets.services.imports import hand_of, import_folder, run_import
from mekiki.datasets.services.incoming import IncompleteError
from mekiki.datasets.services.quotas import set_dataset_limits, set_platform_limits
from mekiki.datasets.services.uploads import (
    add_file,
    add_files,
    discard_import,
    finish_upload,
    relocate_uploads,
    start_upload,
)
from mekiki.datasets.services.windows import (
    change_window,
    estimate_window_again,
    go_on_with_window,
    rebuild_old_pictures,
    rebuild_picture,
    set_estimate,
)

__all__ = [
    "IncompleteError",
    "add_file",
    "add_files",
    "archive_dataset",
    "change_address",
    "change_window",
    "create_dataset",
    "discard_import",
    "estimate_window_again",
    "finish_upload",
    "go_on_with_window",
    "hand_of",
    "import_folder",
    "rebuild_old_pictures",
    "rebuild_picture",
    "relocate_uploads",
    "run_import",
    "set_dataset_limits",
    "set_estimate",
    "set_platform_limits",
    "start_upload",
    "update_settings",
]
