"""Services for all writes to datasets, imports and images."""

from mekiki.datasets.services.datasets import (
    archive_dataset,
    change_address,
    create_dataset,
    update_settings,
)
from mekiki.datasets.services.imports import examined_files_of, import_folder, run_import
from mekiki.datasets.services.incoming import IncompleteError
from mekiki.datasets.services.lifecycle import (
    RESTORABLE,
    delete_dataset,
    purge_time,
    record_purge,
    request_due_purges,
    restore_dataset,
)
from mekiki.datasets.services.purging import images_to_purge, purge_images, purge_imports
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
    rebuild_old_pictures,
    rebuild_picture,
    reestimate_window,
    resume_window_change,
)

__all__ = [
    "RESTORABLE",
    "IncompleteError",
    "add_file",
    "add_files",
    "archive_dataset",
    "change_address",
    "change_window",
    "create_dataset",
    "delete_dataset",
    "discard_import",
    "estimate_window_again",
    "examined_files_of",
    "finish_upload",
    "images_to_purge",
    "import_folder",
    "purge_images",
    "purge_imports",
    "purge_time",
    "rebuild_old_pictures",
    "rebuild_picture",
    "record_purge",
    "reestimate_window",
    "relocate_uploads",
    "request_due_purges",
    "restore_dataset",
    "resume_window_change",
    "run_import",
    "set_dataset_limits",
    "set_platform_limits",
    "start_upload",
    "update_settings",
]
