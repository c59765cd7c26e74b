"""Services for all writes to datasets, imports and images."""

from mekiki.datasets.services.buckets import (
    end_watch,
    import_bucket,
    scan_watched_folder,
    start_due_scans,
    watch_folder,
)
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
from mekiki.datasets.services.manifests import allowed_folder, import_allowed_folder, import_manifest
from mekiki.datasets.services.metadata_fields import read_metadata_fields, set_metadata_type
from mekiki.datasets.services.purging import images_to_purge, purge_images, purge_imports
from mekiki.datasets.services.quotas import set_dataset_limits, set_platform_limits
from mekiki.datasets.services.undoing import request_undo, run_undo
from mekiki.datasets.services.uploads import (
    add_file,
    add_files,
    discard_import,
    finish_upload,
    import_files,
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
    "allowed_folder",
    "archive_dataset",
    "change_address",
    "change_window",
    "create_dataset",
    "delete_dataset",
    "discard_import",
    "end_watch",
    "estimate_window_again",
    "examined_files_of",
    "finish_upload",
    "images_to_purge",
    "import_allowed_folder",
    "import_bucket",
    "import_files",
    "import_folder",
    "import_manifest",
    "purge_images",
    "purge_imports",
    "purge_time",
    "read_metadata_fields",
    "rebuild_old_pictures",
    "rebuild_picture",
    "record_purge",
    "reestimate_window",
    "relocate_uploads",
    "request_due_purges",
    "request_undo",
    "restore_dataset",
    "resume_window_change",
    "run_import",
    "run_undo",
    "scan_watched_folder",
    "set_dataset_limits",
    "set_metadata_type",
    "set_platform_limits",
    "start_due_scans",
    "start_upload",
    "update_settings",
    "watch_folder",
]
