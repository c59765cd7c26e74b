"""Services that start an import from a manifest that was sent, or from a folder that the server allows."""

from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.config.disk import require_disk_space
from mekiki.datasets import quotas
from mekiki.datasets.importing import names
from mekiki.datasets.importing.archives import is_zip, other_archive_kind
from mekiki.datasets.importing.folders import to_location
from mekiki.datasets.importing.manifests import choosing
from mekiki.datasets.models import Dataset, ImportBatch
from mekiki.datasets.options import DEFAULTS, ImportOptions
from mekiki.datasets.services.imports import import_folder
from mekiki.datasets.services.incoming import MANIFEST_FILE, Readable, receive
from mekiki.datasets.services.uploads import discard_import, enqueue_import, with_folder
from mekiki.jobs.models import Job


def import_manifest(
    *,
    dataset: Dataset,
    user: User,
    name: str,
    file: Readable,
    folder: str = "",
    options: ImportOptions = DEFAULTS,
) -> Job:
    """Import the images that a manifest names. `name` is the name of the manifest as it was sent.

    `folder`: a folder of MEKIKI_IMPORT_FOLDERS or a folder below one, from which the paths of the rows start.
    Empty: rows may only have addresses. Raises PermissionDenied unless the user is an admin of the dataset.
    Raises ValidationError if the manifest is too large, if its format is unknown, if the folder is not
    allowed, or if an option is not valid. Raises NoRoomError if the disk is nearly full.
    """
    require_role(user, dataset, Role.ADMIN)
    shown = names.readable_name(name.replace("\\", "/").rpartition("/")[2])
    columns = options.columns(shown)
    root = to_location(allowed_folder(folder)) if folder else ""
    require_disk_space()
    batch = with_folder(
        ImportBatch(
            dataset=dataset, source=ImportBatch.Source.MANIFEST, created_by=user, root=root, **columns
        )
    )
    try:
        received = receive(Path(batch.location), shown, file, None, limit=settings.MAX_ARCHIVE_BYTES)
        if received.draft is None:
            raise ValidationError(_("The manifest is too large or is an archive. Nothing was imported."))
        _check_format(received.draft, shown)
        received.draft.replace(Path(batch.location) / MANIFEST_FILE)
        quotas.add_pending_bytes(batch, received.size)
        with transaction.atomic():
            return enqueue_import(batch=batch, user=user)
    except BaseException:
        discard_import(batch=batch, user=user)
        raise


def _check_format(path: Path, name: str) -> None:
    """Raise ValidationError if a file cannot be a manifest, before a job is started."""
    with path.open("rb") as file:
        head = file.read(512)
    if not head.strip():
        raise ValidationError(_("“%(name)s” is empty. Nothing was imported."), params={"name": name})
    if not choosing.is_manifest(name, head) or is_zip(head) or other_archive_kind(head):
        raise ValidationError(
            _(
                "“%(name)s” is no manifest. Nothing was imported. Send a CSV, JSONL, JSON or Parquet file "
                "that names the images."
            ),
            params={"name": name},
        )


def import_allowed_folder(
    *, dataset: Dataset, user: User, path: str, options: ImportOptions = DEFAULTS
) -> Job:
    """Import a folder, zip, manifest or image below a folder of MEKIKI_IMPORT_FOLDERS.

    Raises PermissionDenied unless the user is an admin of the dataset, and ValidationError if the path is not
    allowed or cannot be imported.
    """
    require_role(user, dataset, Role.ADMIN)
    return import_folder(dataset=dataset, path=allowed_folder(path), user=user, options=options)


def allowed_folder(path: str) -> Path:
    """Return a path of the server below a folder of MEKIKI_IMPORT_FOLDERS. All links are resolved.

    Raises ValidationError if it lies elsewhere or does not exist.
    """
    refused = ValidationError(
        _(
            "This path is not in a folder that the server allows for imports. Nothing was imported. Choose "
            "one of the folders that are listed, or ask an admin of the platform."
        ),
        code="folder_not_allowed",
    )
    if not path.startswith("/") or "\0" in path:
        raise refused
    try:
        place = Path(path).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        raise refused from None
    for allowed in settings.IMPORT_FOLDERS:
        if place.is_relative_to(Path(allowed).resolve()):
            return place
    raise refused
