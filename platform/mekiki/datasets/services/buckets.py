"""Services that import from a bucket, and that watch a folder of the server."""

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.importing.folders import Folder, from_location, to_location
from mekiki.datasets.importing.watched_source import scan
from mekiki.datasets.models import Dataset, ImportBatch, WatchedFolder
from mekiki.datasets.options import DEFAULTS, ImportOptions
from mekiki.datasets.services.manifests import allowed_folder
from mekiki.datasets.services.uploads import enqueue_import
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind
from mekiki.jobs.payloads import WatchFolderPayload
from mekiki.jobs.services import enqueue

MINUTES = (1, 1440)


def import_bucket(
    *, dataset: Dataset, user: User | None, address: str, options: ImportOptions = DEFAULTS
) -> Job:
    """Import the new and changed objects of a bucket below one of MEKIKI_IMPORT_BUCKETS.

    `address`: s3://bucket/prefix. `user` is None on the command line. Raises PermissionDenied unless the user
    is an admin of the dataset, and ValidationError if the address is not allowed or an option is not valid.
    """
    if user is not None:
        require_role(user, dataset, Role.ADMIN)
    address = address.strip()
    if len(address) > 500 or not any(_is_below(address, allowed) for allowed in settings.IMPORT_BUCKETS):
        raise ValidationError(
            _(
                "The server does not allow imports from this bucket. Nothing was imported. Choose one of the "
                "buckets that are listed, or ask an admin of the platform."
            ),
            code="bucket_not_allowed",
        )
    with transaction.atomic():
        batch = ImportBatch.objects.create(
            dataset=dataset,
            source=ImportBatch.Source.BUCKET,
            location=address,
            created_by=user,
            **options.columns(address),
        )
        return enqueue_import(batch=batch, user=user)


def _is_below(address: str, allowed: str) -> bool:
    allowed = allowed.rstrip("/")
    is_named = address == allowed or address.startswith(f"{allowed}/")
    return is_named and ".." not in address.split("/") and address.isprintable()


@transaction.atomic
def watch_folder(
    *, dataset: Dataset, user: User, path: str, minutes: int = 5, options: ImportOptions = DEFAULTS
) -> WatchedFolder:
    """Watch a folder below one of MEKIKI_IMPORT_FOLDERS: its new files are imported as they settle.

    `minutes`: minutes between two scans. Raises PermissionDenied unless the user is an admin of the dataset.
    Raises ValidationError if the path is not allowed or no folder, if the dataset watches it already, or if a
    value is not valid.
    """
    require_role(user, dataset, Role.ADMIN)
    place = allowed_folder(path)
    if not place.is_dir():
        raise ValidationError({"path": _("Only a folder can be watched.")})
    if not MINUTES[0] <= minutes <= MINUTES[1]:
        raise ValidationError({"minutes": _("A folder is scanned every 1 to 1,440 minutes.")})
    options.columns(place.name)
    location = to_location(place)
    if len(location) > 500:
        raise ValidationError({"path": _("The path is too long.")})
    try:
        with transaction.atomic():
            watch = WatchedFolder.objects.create(
                dataset=dataset, location=location, minutes=minutes, options=asdict(options), created_by=user
            )
    except IntegrityError:
        raise ValidationError({"path": _("This folder is watched already.")}) from None
    record(
        kind="folder.watched",
        actor=user,
        dataset=dataset,
        target=watch,
        data={"folder": Folder(place).shown_path, "minutes": minutes},
    )
    _enqueue_scan(watch)
    return watch


@transaction.atomic
def end_watch(*, watch: WatchedFolder, user: User) -> None:
    """Watch a folder no longer. Its images stay.

    Raises PermissionDenied unless the user is an admin of the dataset.
    """
    require_role(user, watch.dataset, Role.ADMIN)
    if WatchedFolder.objects.filter(pk=watch.pk, ended_at__isnull=True).update(ended_at=clock.now()):
        shown = Folder(from_location(watch.location)).shown_path
        record(
            kind="folder.watch_ended", actor=user, dataset=watch.dataset, target=watch, data={"folder": shown}
        )


def scan_watched_folder(watch: WatchedFolder) -> dict[str, Any]:
    """Scan a watched folder once, and start an import of the files that have settled.

    A worker calls it; the permission was checked when the folder was watched. A folder that cannot be read
    is stated on the import page, and the next scan tries again.
    """
    if watch.ended_at is not None:
        return {"settled": 0}
    place = from_location(watch.location)
    settled, problem = 0, ""
    try:
        if not place.is_dir():
            problem = "unreadable"
        elif allowed_folder(str(place)) == place:
            settled = scan(watch, Folder(place))
        else:
            problem = "moved"
    except ValidationError:
        problem = "not_allowed"
    except OSError:
        problem = "unreadable"
    WatchedFolder.objects.filter(pk=watch.pk).update(scanned_at=clock.now(), problem=problem)
    if settled:
        _import_settled(watch, place)
    return {"settled": settled}


@transaction.atomic
def _import_settled(watch: WatchedFolder, place: Path) -> None:
    row = WatchedFolder.objects.select_for_update().get(pk=watch.pk)
    open_imports = ImportBatch.objects.filter(
        dataset=row.dataset_id,
        source=ImportBatch.Source.WATCHED,
        location=row.location,
        finished_at__isnull=True,
    )
    batch = open_imports.first()
    if batch is None:
        batch = ImportBatch.objects.create(
            dataset=row.dataset,
            source=ImportBatch.Source.WATCHED,
            location=row.location,
            created_by=row.created_by,
            **ImportOptions(**row.options).columns(Folder(place).label),
        )
    enqueue_import(batch=batch, user=row.created_by)


def start_due_scans() -> dict[str, int]:
    """Start the scans of watched folders that are due. The sweeper calls it once a minute."""
    now = clock.now()
    started = 0
    for watch in WatchedFolder.objects.filter(ended_at__isnull=True, dataset__archived_at__isnull=True):
        due = watch.scanned_at is None or clock.has_passed(
            timedelta(minutes=watch.minutes), watch.scanned_at, at=now
        )
        busy = Job.objects.filter(key=_scan_key(watch), state__in=ACTIVE_STATES).exists()
        if due and not busy:
            _enqueue_scan(watch)
            started += 1
    return {"started": started}


def _scan_key(watch: WatchedFolder) -> str:
    return f"{Kind.WATCH_FOLDER}:{watch.pk}"


def _enqueue_scan(watch: WatchedFolder) -> None:
    enqueue(
        kind=Kind.WATCH_FOLDER,
        dataset=watch.dataset,
        key=_scan_key(watch),
        payload=WatchFolderPayload(watch=watch.pk).as_json(),
    )
