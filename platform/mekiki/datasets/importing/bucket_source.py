"""Entries of a bucket with the protocol of S3. Only objects that are new or changed are fetched.

Only workers have obstore.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mekiki.datasets.importing import metadata, names
from mekiki.datasets.importing.archives import HEAD_BYTES, Limits, is_zip, other_archive_kind
from mekiki.datasets.importing.entries import Entry
from mekiki.datasets.importing.folder_labels import FolderLabels, all_folders
from mekiki.datasets.models import ImportBatch, SeenFile
from mekiki.datasets.problems import ProblemError, ReportLine

PAGE = 1000  # objects of one answer of the server
_TIMEOUT = "30s"


class BucketError(Exception):
    """Error for a bucket that cannot be listed. The text is that of the server."""


@dataclass(frozen=True)
class Bucket:
    """A bucket and a prefix, with how to reach the server. `address` is s3://bucket/prefix."""

    address: str
    endpoint: str = ""
    region: str = ""
    key_id: str = ""
    secret_key: str = ""

    @property
    def name(self) -> str:
        """Return the name of the bucket."""
        return self.address.removeprefix("s3://").partition("/")[0]

    @property
    def prefix(self) -> str:
        """Return the prefix of the objects."""
        return self.address.removeprefix("s3://").partition("/")[2]

    @cached_property
    def store(self) -> Any:
        """Return the store of obstore."""
        from obstore.store import S3Store

        options: dict[str, Any] = {"endpoint": self.endpoint} if self.endpoint else {}
        if self.key_id:
            options |= {"access_key_id": self.key_id, "secret_access_key": self.secret_key}
        else:
            options["skip_signature"] = True
        return S3Store(
            self.name,
            region=self.region or "us-east-1",
            client_options={"timeout": _TIMEOUT, "allow_http": self.endpoint.startswith("http://")},
            retry_config={"max_retries": 3},
            **options,
        )

    def pages(self) -> Iterator[list[Any]]:
        """Yield the objects below the prefix in pages, in the order of the server.

        Raises BucketError if the bucket cannot be listed.
        """
        import obstore
        from obstore.exceptions import BaseError

        try:
            yield from obstore.list(self.store, self.prefix or None, chunk_size=PAGE)
        except (BaseError, OSError, ValueError) as error:
            raise BucketError(_first_line(error)) from None

    def read(self, key: str, limit: int) -> bytes:
        """Return the bytes of an object. Raises ProblemError too_large or object_unreadable."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            answer = obstore.get(self.store, key)
            if answer.meta["size"] > limit:
                raise ProblemError("too_large", limit=limit)
            return bytes(answer.bytes())
        except (BaseError, OSError, ValueError, FileNotFoundError) as error:
            raise ProblemError("object_unreadable", reason=_first_line(error)) from None


class BucketReader:
    """One walk over the objects of a bucket, as an entries.Reader."""

    def __init__(self, bucket: Bucket, batch: ImportBatch, limits: Limits) -> None:
        self._bucket, self._batch, self._limits = bucket, batch, limits
        self.tables: list[metadata.Tables] = []
        self._unchanged = 0

    def close(self) -> None:
        """Do nothing: each request is closed at its end."""

    @cached_property
    def total(self) -> int:
        """Return the number of objects that are not known yet."""
        return sum(len(page) for page in self._new())

    def __iter__(self) -> Iterator[Entry]:
        """Yield an entry for every object that is new or changed."""
        folders = self._folders()
        self._unchanged = 0
        for page in self._new():
            for stored in page:
                yield self._entry(stored, folders)
        if self._unchanged:
            detail = {"count": self._unchanged}
            yield Entry(self._bucket.address, problem=ReportLine("objects_unchanged", "skipped", detail))
        if folders is not None and (missing := folders.note()) is not None:
            yield Entry(self._bucket.address, problem=missing)

    def _new(self) -> Iterator[list[Any]]:
        """Yield the objects that no import of the dataset has taken as they are now."""
        rows = SeenFile.objects.filter(
            dataset=self._batch.dataset_id, place=self._batch.location, state=SeenFile.State.TAKEN
        ).exclude(batch=self._batch)
        for page in self._bucket.pages():
            objects = [one for one in page if not one["path"].endswith("/")]
            known = dict(
                rows.filter(name__in=[_text(one["path"]) for one in objects]).values_list("name", "mark")
            )
            fresh = [one for one in objects if known.get(_text(one["path"])) != mark_of(one)]
            self._unchanged += len(objects) - len(fresh)
            yield fresh

    def _folders(self) -> FolderLabels | None:
        if not self._batch.folder_labels:
            return None
        return all_folders(one["path"] for page in self._bucket.pages() for one in page)

    def _entry(self, stored: Any, folders: FolderLabels | None) -> Entry:
        key = stored["path"]
        name = names.readable_name(key)
        where = f"s3://{self._bucket.name}/{name}"
        try:
            if stored["size"] > self._limits.file_bytes:
                raise ProblemError("too_large", limit=self._limits.file_bytes)
            data = self._bucket.read(key, self._limits.file_bytes)
            head = data[:HEAD_BYTES]
            if kind := "zip" if is_zip(head) else other_archive_kind(head):
                raise ProblemError("archive_kind", format=kind)
        except ProblemError as problem:
            mark = None if problem.code == "object_unreadable" else (_text(key), mark_of(stored))
            return Entry(name, problem=problem, where=where, mark=mark)
        labels = folders.labels_of(key) if folders is not None else ()
        return Entry(name, data, where=where, labels=labels, mark=(_text(key), mark_of(stored)))


def mark_of(stored: Any) -> str:
    """Return the mark of an object: its ETag, or its size and time where the server has no ETag."""
    return str(stored.get("e_tag") or f"{stored['size']} {stored['last_modified'].isoformat()}")[:200]


def _text(key: str) -> str:
    return names.escape_unprintable(key)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
