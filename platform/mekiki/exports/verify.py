"""Checks a label set without the platform: files, lineage and signature, from the zip alone.

Needs neither Django nor a database nor a network, and trusts nothing in the file: what is read is bounded by
the size of the zip itself. `python -m mekiki.exports.verify FILE` runs it alone; `mekiki verify FILE` runs it
in the language of the install.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mekiki.audit import signing
from mekiki.exports import format as form
from mekiki.exports.archive import NotOurArchiveError, open_checked
from mekiki.exports.format import gettext_noop
from mekiki.exports.rows import Books, row_faults

MAX_MANIFEST_BYTES = 1 << 29
MAX_SMALL_BYTES = 1 << 26
MAX_LINE_BYTES = 1 << 20
# A stream may unpack to this many times its packed size; label sets stay far below, bombs far above.
MAX_RATIO = 200
MAX_PROBLEMS = 50
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_IMAGE = re.compile(r"images/([0-9a-f]{64})\.[a-z]{3,4}\Z")


SENTENCES = {
    "unreadable": gettext_noop("The file cannot be read: %(why)s."),
    "not_ours": gettext_noop("This is not a label set as Mekiki wrote it: %(why)s."),
    "duplicate": gettext_noop("The zip holds %(name)s more than once."),
    "missing": gettext_noop("%(name)s is missing from the zip."),
    "extra": gettext_noop("%(name)s is in the zip, but the manifest does not name it."),
    "broken": gettext_noop("%(name)s cannot be unpacked: it is damaged."),
    "too_dense": gettext_noop("%(name)s would unpack to an implausible size and was not read."),
    "size": gettext_noop("%(name)s has %(found)s bytes; the manifest says %(expected)s."),
    "hash": gettext_noop("%(name)s was changed: its SHA-256 is not the one in the manifest."),
    "manifest": gettext_noop("The manifest is not valid: %(why)s."),
    "key": gettext_noop("The public key in the zip is not an Ed25519 key."),
    "signature": gettext_noop(
        "The signature does not fit the manifest: it was changed, or signed by another key."
    ),
    "other_key": gettext_noop(
        "The label set was signed by another key than the one you gave: its fingerprint is %(fingerprint)s."
    ),
    "contents": gettext_noop("%(name)s does not hold what it should: %(why)s."),
    "row": gettext_noop("Row %(row)s of labels.jsonl: %(why)s."),
    "order": gettext_noop("Row %(row)s of labels.jsonl is out of order, or its image occurs twice."),
    "table": gettext_noop("Row %(row)s of labels.csv does not agree with labels.jsonl."),
    "image": gettext_noop("Row %(row)s of labels.jsonl names an image file that is not in the zip."),
    "count": gettext_noop("The manifest says %(expected)s %(what)s, but there are %(found)s."),
    "more": gettext_noop("There are more problems; the first %(shown)s are shown."),
}

OPENING = {
    errno.ENOENT: gettext_noop("it does not exist"),
    errno.EACCES: gettext_noop("this user may not read it"),
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `code` names a sentence; `detail` fills it."""

    code: str
    detail: dict[str, str] = field(default_factory=dict)

    def sentence(self, translate: Callable[[str], str] = str) -> str:
        """The sentence for a person; control characters of a hostile file never reach the terminal."""
        told = {k: translate(v) if k == "why" and v else v for k, v in self.detail.items()}
        shown = {k: "".join(c if c.isprintable() else "�" for c in v[:300]) for k, v in told.items()}
        return translate(SENTENCES[self.code]) % shown

    def __str__(self) -> str:
        return self.sentence()


@dataclass
class VerifyReport:
    """What a verification found. `ok` only when there is no problem.

    summary (what the manifest says; only worth something when ok): dataset, version, frozen_at, frozen_by,
    counts, accuracy, fingerprint, pinned (was the key compared with one from elsewhere?).
    """

    problems: list[Problem] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True when nothing was found wrong."""
        return not self.problems


class _StopError(Exception):
    """Nothing further can be checked, or enough was found."""


class _Watched(io.RawIOBase):
    """An entry as it is read: hashed, counted, and cut off past the size it claims."""

    def __init__(self, source: Any, limit: int) -> None:
        self._source = source
        self._limit = limit
        self.size = 0
        self.hash = hashlib.sha256()

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As io.RawIOBase."""
        piece = self._source.read(min(len(buffer), self._limit + 1 - self.size))
        self.size += len(piece)
        self.hash.update(piece)
        buffer[: len(piece)] = piece
        return len(piece)


def verify(path: str | Path, *, public_key: bytes | None = None) -> VerifyReport:
    """Check a label set. Never raises for what is in the file: every fault is a problem in the report.

    public_key: PEM of the key the label set must be signed by; without it the key in the zip is believed,
    which shows that nothing changed since signing, not who signed. ValueError when it is no Ed25519 key.
    """
    if public_key is not None:
        signing.load_public(public_key)
    check = _Check(public_key)
    try:
        # Opening a pipe would wait for a writer that may never come.
        if Path(path).exists() and not Path(path).is_file():
            why = gettext_noop("it is a folder") if Path(path).is_dir() else gettext_noop("it is not a file")
            raise OSError(errno.EINVAL, why)
        with Path(path).open("rb") as file, open_checked(file) as archive:
            check.run(archive)
    except _StopError:
        pass
    except NotOurArchiveError as error:
        check.report.problems.append(Problem("not_ours", {"why": str(error)}))
    except zipfile.BadZipFile as error:
        check.report.problems.append(Problem("not_ours", {"why": str(error)}))
    except OSError as error:
        why = OPENING.get(error.errno or 0, error.strerror or str(error))
        check.report.problems.append(Problem("unreadable", {"why": why}))
    return check.report


class _Check:
    """One verification."""

    def __init__(self, public_key: bytes | None) -> None:
        self.report = VerifyReport()
        self.pinned = public_key

    def bad(self, code: str, **detail: object) -> None:
        """Note a problem; stop when there are too many to be worth more."""
        self.report.problems.append(Problem(code, {k: str(v) for k, v in detail.items()}))
        if len(self.report.problems) >= MAX_PROBLEMS:
            self.report.problems.append(Problem("more", {"shown": str(MAX_PROBLEMS)}))
            raise _StopError

    def run(self, archive: zipfile.ZipFile) -> None:
        """Everything, from the seal inwards."""
        self.archive = archive
        self.infos: dict[str, zipfile.ZipInfo] = {}
        for info in archive.infolist():
            if info.filename in self.infos:
                self.bad("duplicate", name=info.filename)
            self.infos[info.filename] = info
        manifest_bytes = self.seal()
        manifest = self.manifest(manifest_bytes)
        files = manifest["files"]
        for name in self.infos:
            if name not in files and name not in form.SEALING:
                self.bad("extra", name=name)
        books = Books()
        for name, what in files.items():
            if name in (form.ROWS, form.TABLE):
                continue
            contents = self.file(name, what, keep=name in (form.SCHEMA, form.HEADS))
            if contents is not None:
                self.book(books, name, contents)
        self.rows(books, manifest)

    def seal(self) -> bytes:
        """Signature and key over the manifest; returns the manifest's bytes."""
        parts = {}
        for name, limit in (
            (form.MANIFEST, MAX_MANIFEST_BYTES),
            (form.SIGNATURE, 1024),
            (form.PUBLIC_KEY, 4096),
        ):
            if name not in self.infos:
                self.bad("missing", name=name)
            elif self.infos[name].file_size > limit:
                self.bad("too_dense", name=name)
            elif (contents := self.read(name, self.infos[name].file_size)) is not None:
                parts[name] = contents
        if form.MANIFEST not in parts:
            raise _StopError
        if form.PUBLIC_KEY in parts and form.SIGNATURE in parts:
            pem = parts[form.PUBLIC_KEY]
            try:
                mark = signing.fingerprint(pem)
                genuine = signing.is_signed_by(pem, parts[form.SIGNATURE], parts[form.MANIFEST])
            except ValueError:
                self.bad("key")
            else:
                self.report.summary["fingerprint"] = mark
                if not genuine:
                    self.bad("signature")
                if signing.canonical_pem(pem) != pem:
                    self.bad("key")
                if self.pinned is not None and signing.fingerprint(self.pinned) != mark:
                    self.bad("other_key", fingerprint=mark)
        self.report.summary["pinned"] = self.pinned is not None
        return parts[form.MANIFEST]

    def manifest(self, contents: bytes) -> dict[str, Any]:
        """The manifest, with the shape the rest of the check relies on."""
        try:
            manifest = json.loads(contents)
            if form.canonical(manifest) != contents:
                self.bad("manifest", why=gettext_noop("it is not canonical JSON"))
            if manifest["format"] != form.FORMAT or manifest["format_version"] != form.FORMAT_VERSION:
                self.bad(
                    "manifest", why=gettext_noop("its format is unknown to this version of the verifier")
                )
                raise _StopError
            counts = {
                name: int(manifest["counts"][name]) for name in ("labels", "human", "machine", "images")
            }
            for name, what in manifest["files"].items():
                image = _IMAGE.match(name)
                if name not in form.LISTED and image is None:
                    self.bad("manifest", why=f"it names a file that no label set has, {name[:100]!r}")
                if not _HASH.match(what["sha256"]) or what["size"] < 0 or type(what["size"]) is not int:
                    self.bad("manifest", why=f"it does not describe {name[:100]!r}")
                if image is not None and image[1] != what["sha256"]:
                    self.bad("manifest", why=f"{name[:100]!r} is not named by its SHA-256")
            for name in form.LISTED:
                if name not in manifest["files"]:
                    self.bad("manifest", why=f"it does not name {name}")
            threshold = manifest["machine_threshold"]
            if threshold is not None and not 0 < threshold <= 1:
                self.bad("manifest", why=gettext_noop("its machine threshold is no probability"))
            self.report.summary.update(
                dataset=str(manifest["dataset"]["name"]),
                slug=str(manifest["dataset"]["slug"]),
                version=int(manifest["version"]),
                frozen_at=str(manifest["frozen_at"]),
                frozen_by=str(manifest["frozen_by"]),
                counts=counts,
                accuracy=manifest["accuracy"],
                once_critical=manifest.get("once_critical", []),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.bad("manifest", why=gettext_noop("it is not the JSON it should be"))
            raise _StopError from None
        return manifest

    def stream(self, name: str, limit: int) -> _Watched | None:
        """An entry opened for reading up to `limit` bytes; None, and a problem, when it must not be read."""
        info = self.infos[name]
        if info.file_size > MAX_RATIO * max(info.compress_size, 5000):
            self.bad("too_dense", name=name)
            return None
        try:
            return _Watched(self.archive.open(info), limit)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
            self.bad("broken", name=name)
            return None

    def read(self, name: str, limit: int) -> bytes | None:
        """A small entry whole."""
        stream = self.stream(name, limit)
        try:
            return io.BufferedReader(stream).read() if stream is not None else None
        except (zipfile.BadZipFile, zlib.error, EOFError):
            self.bad("broken", name=name)
            return None

    def file(self, name: str, what: dict[str, Any], *, keep: bool) -> bytes | None:
        """One listed file against the manifest; its contents when they are asked for and right."""
        if name not in self.infos:
            self.bad("missing", name=name)
            return None
        if keep and what["size"] > MAX_SMALL_BYTES:
            self.bad("too_dense", name=name)
            return None
        stream = self.stream(name, what["size"])
        if stream is None:
            return None
        kept = []
        reader = io.BufferedReader(stream, 1 << 20)
        try:
            while piece := reader.read(1 << 20):
                if keep:
                    kept.append(piece)
        except (zipfile.BadZipFile, zlib.error, EOFError):
            self.bad("broken", name=name)
            return None
        if not self.fits(name, what, stream):
            return None
        return b"".join(kept) if keep else None

    def fits(self, name: str, what: dict[str, Any], stream: _Watched) -> bool:
        """Does what was read have the size and hash that the manifest says?"""
        found = self.infos[name].file_size
        if found != what["size"] or stream.size != what["size"]:
            self.bad("size", name=name, found=found, expected=what["size"])
            return False
        if stream.hash.hexdigest() != what["sha256"]:
            self.bad("hash", name=name)
            return False
        return True

    def book(self, books: Books, name: str, contents: bytes) -> None:
        """Take in schema.json or heads.json, against which the rows are checked."""
        try:
            value = json.loads(contents)
            if form.canonical(value) != contents:
                self.bad("contents", name=name, why=gettext_noop("it is not canonical JSON"))
            books.take(name, value)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.bad("contents", name=name, why=gettext_noop("it is not the JSON it should be"))

    def rows(self, books: Books, manifest: dict[str, Any]) -> None:
        """labels.jsonl and labels.csv, row by row beside each other: one pass, flat memory."""
        files, streams = manifest["files"], {}
        for name in (form.ROWS, form.TABLE):
            if name not in self.infos:
                self.bad("missing", name=name)
            elif (stream := self.stream(name, files[name]["size"])) is not None:
                streams[name] = stream
        if len(streams) < 2:
            return
        lines = io.BufferedReader(streams[form.ROWS], 1 << 20)
        text = io.BufferedReader(streams[form.TABLE], 1 << 20)
        found = {"labels": 0, form.HUMAN: 0, form.MACHINE: 0, "images": 0}
        try:
            self.walk(lines, _table_rows(text), books, manifest, found)
            # What stands after the last row counts towards size and hash as well.
            for reader in (lines, text):
                while reader.read(1 << 20):
                    pass
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            self.bad("broken", name=f"{form.ROWS} / {form.TABLE} ({error})")
            return
        for name, stream in streams.items():
            self.fits(name, files[name], stream)
        for what, number in found.items():
            if number != manifest["counts"][what]:
                self.bad("count", what=what, expected=manifest["counts"][what], found=number)
        images = sum(name.startswith(form.IMAGES) for name in files)
        if images != found["images"]:
            self.bad("count", what="image files", expected=found["images"], found=images)

    def walk(
        self,
        lines: io.BufferedReader[Any],
        table: Iterator[list[str]],
        books: Books,
        manifest: dict[str, Any],
        found: dict[str, int],
    ) -> None:
        """Each row: canonical, complete, in order, consistent with the books, the same in the table."""
        if next(table, None) != list(form.COLUMNS):
            self.bad(
                "contents", name=form.TABLE, why=gettext_noop("its first line does not name the columns")
            )
        before = ""
        number = 0
        while line := lines.readline(MAX_LINE_BYTES):
            number += 1
            try:
                row = json.loads(line)
                if tuple(row) != form.FIELDS or form.row_line(row) != line:
                    raise ValueError
                faults = row_faults(row, books, manifest["machine_threshold"])
                cells = form.row_cells(row)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self.bad(
                    "row", row=number, why=gettext_noop("it does not have the fields of a row, in their form")
                )
                next(table, None)
                continue
            for why in faults:
                self.bad("row", row=number, why=why)
            if not before < row["image_sha256"]:
                self.bad("order", row=number)
            before = row["image_sha256"]
            if next(table, None) != cells:
                self.bad("table", row=number)
            found["labels"] += 1
            if row["source"] in (form.HUMAN, form.MACHINE):
                found[row["source"]] += 1
            if row["image_file"] is not None:
                found["images"] += 1
                if row["image_file"] not in manifest["files"]:
                    self.bad("image", row=number)
        if next(table, None) is not None:
            self.bad("table", row=number + 1)


def _table_rows(reader: io.BufferedReader[Any]) -> Iterator[list[str]]:
    """The rows of labels.csv. Ends early at what is no CSV: the comparison then fails."""
    csv.field_size_limit(MAX_LINE_BYTES)
    text = io.TextIOWrapper(reader, encoding="utf-8-sig", newline="")
    try:
        yield from csv.reader(text)
    except (csv.Error, UnicodeDecodeError):
        return
    finally:
        # The reader goes on being read by others.
        text.detach()


def main(arguments: list[str]) -> int:
    """`python -m mekiki.exports.verify FILE [KEY]`: print what was found; 0 when all is well, 1 otherwise."""
    if not 1 <= len(arguments) <= 2:
        print("usage: python -m mekiki.exports.verify FILE [PUBLIC_KEY.pem]", file=sys.stderr)
        return 2
    report = verify(arguments[0], public_key=Path(arguments[1]).read_bytes() if arguments[1:] else None)
    for problem in report.problems:
        print(problem)
    print(json.dumps({"ok": report.ok, **report.summary}, ensure_ascii=False, indent=2))
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
