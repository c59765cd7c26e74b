"""The check of a label set without the platform: files, lineage and signature, from the zip alone.

The check does not trust the file: the size of the zip limits what is read.
`python -m verification.label_set FILE` runs it alone. `mekiki verify FILE` runs it in the language of the
installation.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verification import signing
from verification.label_set import format as form
from verification.label_set.archive import NotOurArchiveError, open_checked
from verification.label_set.certificate import CertificateCheck
from verification.label_set.messages import OPENING
from verification.label_set.problems import MAX_PROBLEMS, EnoughError, Problem, VerifyReport
from verification.label_set.proofs import Proofs
from verification.label_set.reading import DAMAGE, Entries
from verification.label_set.rows import Books, Rules, row_faults
from verification.sentences import gettext_noop

MAX_MANIFEST_BYTES = 1 << 29
MAX_LINE_BYTES = 1 << 20
# A line of seals.jsonl holds up to 2 MB of hashes.
MAX_SEAL_BYTES = 1 << 24
_BOOKS = (form.SCHEMA, form.HEADS, form.KEYS, form.CERTIFICATE)
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_IMAGE = re.compile(r"images/([0-9a-f]{64})\.[a-z]{3,4}\Z")


def verify(path: str | Path, *, public_key: bytes | None = None) -> VerifyReport:
    """Check a label set. A fault of the file never causes an exception: it is a problem in the report.

    `public_key` is the PEM key that must have signed the label set. Without it, the key in the zip is used.
    This shows that nothing changed since signing, but not who signed. Raises ValueError if `public_key` is no
    Ed25519 key.
    """
    if public_key is not None:
        signing.load_public(public_key)
    check = _Check(public_key)
    try:
        # Opening a named pipe could wait for a writer forever.
        if Path(path).exists() and not Path(path).is_file():
            why = gettext_noop("it is a folder") if Path(path).is_dir() else gettext_noop("it is not a file")
            raise OSError(errno.EINVAL, why)
        with Path(path).open("rb") as file, open_checked(file) as archive:
            check.run(archive)
    except EnoughError:
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
    """The state of one verification."""

    def __init__(self, public_key: bytes | None) -> None:
        self.report = VerifyReport()
        self.pinned = public_key
        self.rules = Rules()
        self.certificate: dict[str, Any] | None = None  # the contents of certificate.json
        self.check: CertificateCheck | None = None
        self.keys: dict[str, bytes] = {}  # the keys that signed seals

    def bad(self, code: str, **detail: object) -> None:
        """Add a problem. Raises EnoughError after MAX_PROBLEMS problems."""
        self.report.problems.append(Problem(code, {k: str(v) for k, v in detail.items()}))
        if len(self.report.problems) >= MAX_PROBLEMS:
            self.report.problems.append(Problem("more", {"shown": str(MAX_PROBLEMS)}))
            raise EnoughError

    def run(self, archive: zipfile.ZipFile) -> None:
        """Check everything, the signature first."""
        self.entries = Entries(archive, self.bad)
        self.infos = self.entries.infos
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
            contents = self.entries.file(name, what, keep=name in _BOOKS)
            if contents is not None:
                self.book(books, name, contents)
        with Proofs() as self.proofs:
            if self.version > 1:
                self.take_seals()
            if self.certificate is not None:
                self.take_certificate(self.certificate)
            self.rows(books, manifest)
            self.place_record()
            if self.version > 1:
                self.check_seals()

    @property
    def version(self) -> int:
        """The format version."""
        return self.rules.version

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a file whose hash was checked before."""
        stream = self.entries.stream(name, self.infos[name].file_size) if name in self.infos else None
        if stream is None:
            return
        reader = io.BufferedReader(stream, 1 << 20)
        while line := reader.readline(MAX_LINE_BYTES):
            yield line

    def take_certificate(self, book: dict[str, Any]) -> None:
        """Check the certificate: its events, decisions and test."""
        check = CertificateCheck(self.bad, lambda: self.lines(form.POOL))
        try:
            check.take(book, self.lines(form.AUDIT))
            if check.number != self.rules.certificate:
                raise ValueError
        except (*DAMAGE, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            self.bad(
                "contents", name=form.CERTIFICATE, why=gettext_noop("it is not JSON of the expected form")
            )
            return
        self.check = check
        self.report.summary["certificate"] = check.summary

    def place_record(self) -> None:
        """Store the leaves of the events and decisions of the certificate at their positions."""
        for place in self.check.places if self.check is not None else ():
            if not self.proofs.put_leaf(place.table, place.seal, place.index, place.leaf, repeated=True):
                self.bad("certificate_unsealed", id=place.row, table=place.table)

    def seal(self) -> bytes:
        """Check the signature of the manifest and its key; return the bytes of the manifest."""
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
            elif (contents := self.entries.read(name, self.infos[name].file_size)) is not None:
                parts[name] = contents
        if form.MANIFEST not in parts:
            raise EnoughError
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
        """Return the manifest after a check of the structure that the later checks rely on."""
        try:
            manifest = json.loads(contents)
            if form.canonical(manifest) != contents:
                self.bad("manifest", why=gettext_noop("it is not canonical JSON"))
            if manifest["format"] != form.FORMAT or manifest["format_version"] not in form.VERSIONS:
                self.bad(
                    "manifest", why=gettext_noop("its format is unknown to this version of the verifier")
                )
                raise EnoughError
            self.rules = Rules.from_manifest(manifest)
            listed = form.listed(self.version, certified=self.rules.certificate is not None)
            counts = {
                name: int(manifest["counts"][name]) for name in ("labels", "human", "machine", "images")
            }
            for name, what in manifest["files"].items():
                image = _IMAGE.match(name)
                if name not in listed and image is None:
                    self.bad("manifest", why=f"it names a file that no label set has, {name[:100]!r}")
                if not _HASH.match(what["sha256"]) or what["size"] < 0 or type(what["size"]) is not int:
                    self.bad("manifest", why=f"it does not describe {name[:100]!r}")
                if image is not None and image[1] != what["sha256"]:
                    self.bad("manifest", why=f"{name[:100]!r} is not named by its SHA-256")
            for name in listed:
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
            if self.version > 3:
                statement = manifest["machine_labels"]["statement"]
                self.report.summary["machine_labels"] = {
                    "kind": self.rules.kind,
                    "certificate": self.rules.certificate,
                    "statement": {language: str(statement[language]) for language in ("en", "ja")},
                }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.bad("manifest", why=gettext_noop("it is not JSON of the expected form"))
            raise EnoughError from None
        return manifest

    def book(self, books: Books, name: str, contents: bytes) -> None:
        """Read a small file that rows, seals or the certificate are compared with."""
        try:
            value = json.loads(contents)
            if form.canonical(value) != contents:
                self.bad("contents", name=name, why=gettext_noop("it is not canonical JSON"))
            if name == form.KEYS:
                self.keys = {key["fingerprint"]: key["public_pem"].encode() for key in value["keys"]}
                if any(signing.key_id(pem) != mark for mark, pem in self.keys.items()):
                    raise ValueError
            elif name == form.CERTIFICATE:
                self.certificate = dict(value)
            else:
                books.take(name, value)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.bad("contents", name=name, why=gettext_noop("it is not JSON of the expected form"))

    def seal_lines(self) -> Iterator[bytes]:
        """Yield the lines of seals.jsonl. Its hash was checked before."""
        stream = self.entries.stream(form.SEALS, self.infos[form.SEALS].file_size)
        if stream is None:
            return
        reader = io.BufferedReader(stream, 1 << 20)
        while line := reader.readline(MAX_SEAL_BYTES):
            yield line

    def take_seals(self) -> None:
        """Read the seals of the decisions."""
        try:
            if form.SEALS in self.infos:
                self.proofs.take(self.seal_lines())
        except (*DAMAGE, ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError):
            self.bad("seals", why=gettext_noop("it is not JSON of the expected form"))
            raise EnoughError from None

    def place(self, row: dict[str, Any], number: int) -> None:
        """Store the leaf of a row's decision at its position under its seal."""
        try:
            placed = self.proofs.put(row)
        except (ValueError, KeyError, TypeError, RecursionError):
            placed = False
        if not placed:
            self.bad("unsealed", row=number)

    def check_seals(self) -> None:
        """Check that the decisions of the rows, with the hashes of all others, give the signed seals."""
        if form.SEALS not in self.infos:
            return
        head = self.proofs.check(self.seal_lines(), self.keys, lambda seal, code: self.bad(code, seal=seal))
        if head is not None:
            self.report.summary["head"] = f"{head.number}:{head.log_root.hex()}"

    def rows(self, books: Books, manifest: dict[str, Any]) -> None:
        """Check labels.jsonl and labels.csv together, row by row, in one pass with little memory."""
        files, streams = manifest["files"], {}
        for name in (form.ROWS, form.TABLE):
            if name not in self.infos:
                self.bad("missing", name=name)
            elif (stream := self.entries.stream(name, files[name]["size"])) is not None:
                streams[name] = stream
        if len(streams) < 2:
            return
        lines = io.BufferedReader(streams[form.ROWS], 1 << 20)
        text = io.BufferedReader(streams[form.TABLE], 1 << 20)
        counts = {"labels": 0, form.HUMAN: 0, form.MACHINE: 0, "images": 0}
        try:
            self.walk(lines, _table_rows(text), books, manifest, counts)
            # Size and hash also cover the bytes after the last row.
            for reader in (lines, text):
                while reader.read(1 << 20):
                    pass
        except DAMAGE as error:
            self.bad("broken", name=f"{form.ROWS} / {form.TABLE} ({error})")
            return
        for name, stream in streams.items():
            self.entries.fits(name, files[name], stream)
        for what, number in counts.items():
            if number != manifest["counts"][what]:
                self.bad("count", what=what, expected=manifest["counts"][what], found=number)
        images = sum(name.startswith(form.IMAGES) for name in files)
        if images != counts["images"]:
            self.bad("count", what="image files", expected=counts["images"], found=images)

    def walk(
        self,
        lines: io.BufferedReader[Any],
        table: Iterator[list[str]],
        books: Books,
        manifest: dict[str, Any],
        counts: dict[str, int],
    ) -> None:
        """Check that each row is canonical, complete, in order and consistent with `books` and the table."""
        if next(table, None) != list(form.columns(self.version)):
            self.bad(
                "contents", name=form.TABLE, why=gettext_noop("its first line does not name the columns")
            )
        before = ""
        number = 0
        follower = self.check.follow() if self.check is not None else None
        while line := lines.readline(MAX_LINE_BYTES):
            number += 1
            try:
                row = json.loads(line)
                if tuple(row) != form.fields(self.version) or form.row_line(row) != line:
                    raise ValueError
                faults = row_faults(row, books, self.rules)
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
            counts["labels"] += 1
            if self.version > 1 and row["source"] == form.HUMAN and not faults:
                self.place(row, number)
            if row["source"] in (form.HUMAN, self.rules.kind):
                counts[form.HUMAN if row["source"] == form.HUMAN else form.MACHINE] += 1
            if follower is not None and not faults:
                follower.row(row, number)
            if row["image_file"] is not None:
                counts["images"] += 1
                if row["image_file"] not in manifest["files"]:
                    self.bad("image", row=number)
        if follower is not None:
            follower.end()
        if next(table, None) is not None:
            self.bad("table", row=number + 1)


def _table_rows(reader: io.BufferedReader[Any]) -> Iterator[list[str]]:
    """Yield the rows of labels.csv. Invalid CSV ends the iteration early, so that the comparison fails."""
    limit_of_the_process = csv.field_size_limit(MAX_LINE_BYTES)
    text = io.TextIOWrapper(reader, encoding="utf-8-sig", newline="")
    try:
        yield from csv.reader(text)
    except (csv.Error, UnicodeDecodeError):
        return
    finally:
        csv.field_size_limit(limit_of_the_process)
        # The caller continues to read from the reader, so it must not be closed.
        text.detach()


def main(arguments: list[str]) -> int:
    """Run `python -m verification.label_set FILE [KEY]`: print the problems and the result.

    Return 0 if there are no problems, 1 if there are some, and 2 if the arguments are wrong.
    """
    if not 1 <= len(arguments) <= 2:
        print("usage: python -m verification.label_set FILE [PUBLIC_KEY.pem]", file=sys.stderr)
        return 2
    report = verify(arguments[0], public_key=Path(arguments[1]).read_bytes() if arguments[1:] else None)
    for problem in report.problems:
        print(problem)
    print(json.dumps({"ok": report.ok, **report.summary}, ensure_ascii=False, indent=2))
    return 0 if report.ok else 1
