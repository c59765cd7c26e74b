"""Files of an upload on disk, until its import is started.

HOME/incoming/<batch>/ (0700) holds numbered files and names.jsonl. Each line of names.jsonl is {"file",
"name", "size"}. The name that the client sent is written only into that line and never used as a path. The
number of a file is the offset of its line. It is therefore unique and ordered, and needs no counter.
"""

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mekiki.datasets.importing import names
from mekiki.datasets.importing.archives import HEAD_BYTES, is_zip, other_archive_kind
from mekiki.datasets.importing.entries import NAMES_FILE
from mekiki.datasets.problems import ProblemError

MANIFEST_FILE = "manifest"  # the file of a manifest in the folder of its import
_STEP = 1024 * 1024


class IncompleteError(ValidationError):
    """Error for a file that did not arrive completely because the connection ended.

    Nothing of the file is kept. It may be sent again.
    """


class Readable(Protocol):
    """A file open for reading bytes: Django's UploadedFile, an open file or BytesIO."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes."""
        ...


@dataclass(frozen=True)
class Received:
    """A file that arrived, with its bytes in `draft`, or a report line about a file that is not kept."""

    name: str
    size: int
    draft: Path | None = None
    problem: ProblemError | None = None

    def refused(self, problem: ProblemError) -> "Received":
        """Delete the draft, and return the report line that replaces the file."""
        self.discard()
        return Received(self.name, self.size, None, problem)

    def discard(self) -> None:
        """Delete the draft."""
        if self.draft is not None:
            with contextlib.suppress(OSError):
                self.draft.unlink()


def receive(
    folder: Path, name: str, file: Readable, size: int | None, *, limit: int | None = None
) -> Received:
    """Read a file into a draft. A file that is refused is read to the end and not kept.

    `limit`: bytes of the file. None: the limit of images or of archives. Raises IncompleteError if the file
    does not have `size` bytes. No draft is kept then.
    """
    handle, path = tempfile.mkstemp(dir=folder, prefix="draft-")
    received = Received(name, 0, Path(path))
    try:
        with os.fdopen(handle, "wb") as out:
            count, problem = _copy(file, out, limit)
        if size is not None and count != size:
            raise IncompleteError(_("The connection broke before the whole file had arrived. Send it again."))
    except BaseException:
        received.discard()
        raise
    received = Received(name, count, Path(path))
    return received if problem is None else received.refused(problem)


def append_files(folder: Path, files: Sequence[Received], *, marker: Path | None = None) -> bool:
    """Give the files their numbers and write their lines. All files are added, or none.

    If `marker` exists, the same part was added before: the files are not added, and the result is False.
    Otherwise the marker is created with them. Raises OSError if the disk is full.
    """
    # Unbuffered: a full disk is noticed at once, and nothing is written later.
    with (folder / NAMES_FILE).open("ab+", buffering=0) as lines:
        # Not a FileLock: the lock is on the open file that is written.
        fcntl.flock(lines, fcntl.LOCK_EX)
        if marker is not None and marker.exists():
            return False
        end = lines.seek(0, os.SEEK_END)
        text = b""
        if end:
            lines.seek(end - 1)
            if lines.read(1) != b"\n":  # a server was killed while it wrote the last line
                text = b"\n"
        placed: list[Path] = []
        try:
            for file in files:
                at = end + len(text)
                if file.draft is not None:
                    placed.append(folder / f"{at:012d}")
                    file.draft.replace(placed[-1])
                text += _line(at, file)
            while text:
                text = text[lines.write(text) :]
            if marker is not None:
                marker.touch(mode=0o600)
        except OSError:
            os.truncate(lines.fileno(), end)
            for path in placed:
                path.unlink(missing_ok=True)
            raise
    return True


def _line(at: int, file: Received) -> bytes:
    row = {"file": at, "name": names.readable_name(file.name), "size": file.size}
    if file.problem is not None:
        row["problem"] = {"code": file.problem.code, "detail": file.problem.detail}
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def too_big_problem(limit: int) -> ProblemError:
    """Return the problem of a file or an archive above its limit in bytes."""
    return ProblemError(
        "archive_too_big" if limit == settings.MAX_ARCHIVE_BYTES else "too_large", limit=limit
    )


def _copy(file: Readable, out: BinaryIO, given: int | None) -> tuple[int, ProblemError | None]:
    """Return (bytes read, problem). It always reads to the end, so that the client gets its answer."""
    size = 0
    limit = settings.MAX_FILE_BYTES if given is None else given
    problem = None
    while piece := file.read(_STEP):
        if not size and given is None and is_zip(piece[:4]):
            limit = settings.MAX_ARCHIVE_BYTES
        elif not size and (kind := other_archive_kind(piece[:HEAD_BYTES])):
            problem = ProblemError("archive_kind", format=kind)
        size += len(piece)
        if problem is None and size > limit:
            problem = too_big_problem(limit)
            out.truncate(0)
        if problem is None:
            out.write(piece)
    return size, problem
