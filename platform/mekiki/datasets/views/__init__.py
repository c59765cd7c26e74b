"""Pages for settings and imports of datasets, and the files of images."""

from mekiki.datasets.views.datasets import address, archive, settings
from mekiki.datasets.views.files import display, original, thumb
from mekiki.datasets.views.import_reports import import_batch, import_report
from mekiki.datasets.views.imports import (
    import_bucket,
    import_discard,
    import_files,
    import_finish,
    import_folder,
    import_manifest,
    import_page,
    import_start,
    import_undo,
    watch_end,
)
from mekiki.datasets.views.lifecycle import archived, delete, delete_archived, restore
from mekiki.datasets.views.quotas import dataset_limits, site_storage
from mekiki.datasets.views.windows import rebuild, window, window_go_on

__all__ = [
    "address",
    "archive",
    "archived",
    "dataset_limits",
    "delete",
    "delete_archived",
    "display",
    "import_batch",
    "import_bucket",
    "import_discard",
    "import_files",
    "import_finish",
    "import_folder",
    "import_manifest",
    "import_page",
    "import_report",
    "import_start",
    "import_undo",
    "original",
    "rebuild",
    "restore",
    "settings",
    "site_storage",
    "thumb",
    "watch_end",
    "window",
    "window_go_on",
]
