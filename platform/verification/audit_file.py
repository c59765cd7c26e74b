"""Format and check of the file of `mekiki audit export`: a zip of seals, rows, keys and time stamps.

The check does not trust the file: the lengths of lines and the sizes of numbers are limited before they are
used.
`python -m verification.audit_file FILE [KEY]` runs the check alone.
"""

import base64
import io
import json
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from verification.canonical import canonical
from verification.checking import Head, Stamp, check_seals
from verification.findings import CheckReport, Finding
from verification.key_list import PublicKey, read_keys
from verification.proof_file import MAX_BYTES, NotAProofError, check_proof
from verification.sentences import gettext_noop
from verification.signing import load_public
from verification.statements import SealFacts

FORMAT = "mekiki-audit"
README = "README.txt"
KEYS = "keys.json"
SEALS = "seals.jsonl"
LEAVES = "leaves.bin"
STAMPS = "time_stamps.jsonl"
README_TEXT = """\
Mekiki audit file: every sealed row of a platform, with the seals, the public keys and the time stamps.
Check it without the platform:  mekiki audit verify FILE --key mekiki-public-key.pem
Format: docs/reference/seals.md

Mekiki 監査ファイル：封印されたすべての行と、その封印、公開鍵、タイムスタンプ。
プラットフォームなしで検証できます：  mekiki audit verify FILE --key mekiki-public-key.pem
"""

MAX_LINE = 1 << 24
MAX_SMALL = 1 << 24
MAX_ROWS = 1 << 20  # under one seal
# The exceptions that reading a damaged file can raise.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
)


class NotAnAuditFileError(Exception):
    """An error for a file that `mekiki audit export` did not write. The text gives the reason."""


def rows_name(table: str) -> str:
    """Return the name of the file in the zip that holds the rows of a table."""
    return f"{table}.jsonl"


class FileSource:
    """The seals and rows of an audit file. Implements checking.Source."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._leaves: io.BufferedReader | None = None
        self._open: dict[str, Iterator[tuple[int, bytes]]] = {}
        self._ahead: dict[str, tuple[int, bytes]] = {}  # the first row of the next seal

    def public_keys(self) -> list[PublicKey]:
        """Implement checking.Source.public_keys."""
        with self._archive.open(KEYS) as file:
            value = json.loads(file.read(MAX_SMALL))
        if value["format"] != FORMAT or value["version"] != 1:
            raise NotAnAuditFileError("it is of another version")
        return read_keys(value["keys"])

    def _lines(self, name: str) -> Iterator[bytes]:
        with self._archive.open(name) as raw:
            file = io.BufferedReader(raw, 1 << 20)  # type: ignore[type-var]
            while line := file.readline(MAX_LINE):
                if not line.endswith(b"\n"):
                    raise NotAnAuditFileError(f"a line of {name} is too long or has no end")
                yield line[:-1]

    def seals(self) -> Iterator[SealFacts]:
        """Implement checking.Source.seals."""
        for line in self._lines(SEALS):
            yield SealFacts.from_json(json.loads(line))

    def leaves(self, seal: SealFacts) -> tuple[bytes, bytes] | None:
        """Implement checking.Source.leaves. The file holds the leaves in the order of the seals."""
        if not 0 < seal.rows <= MAX_ROWS:
            return None
        if self._leaves is None:
            self._leaves = io.BufferedReader(self._archive.open(LEAVES), 1 << 20)  # type: ignore[arg-type]
        return self._leaves.read(8 * seal.rows), self._leaves.read(32 * seal.rows)

    def _rows(self, table: str) -> Iterator[tuple[int, bytes]]:
        for line in self._lines(rows_name(table)):
            pk = json.loads(line)["id"]
            if type(pk) is not int:
                raise NotAnAuditFileError(f"a row of {table} has no id")
            yield pk, line

    def rows(self, table: str, after: int | None, upto: int) -> Iterator[tuple[int, bytes]] | None:
        """Implement checking.Source.rows: yield the next rows of the file with ids up to `upto`."""
        if table not in self._open:
            if rows_name(table) not in self._archive.namelist():
                return None
            self._open[table] = self._rows(table)
        return self._until(table, upto)

    def _until(self, table: str, upto: int) -> Iterator[tuple[int, bytes]]:
        row = self._ahead.pop(table, None) or next(self._open[table], None)
        while row is not None:
            if row[0] > upto:
                self._ahead[table] = row
                return
            yield row
            row = next(self._open[table], None)

    def rest(self, table: str, after: int | None) -> Iterable[int]:
        """Implement checking.Source.rest: yield the ids in the file after the last sealed row."""
        if table in self._ahead:
            yield self._ahead.pop(table)[0]
        for pk, _line in self._open.get(table, iter(())):
            yield pk

    def unsealed(self, last: dict[str, int]) -> int:
        """Implement checking.Source.unsealed. The result is 0, because a file holds only sealed rows."""
        return 0

    def stamps(self) -> Iterator[Stamp]:
        """Implement checking.Source.stamps."""
        for line in self._lines(STAMPS):
            value: dict[str, Any] = json.loads(line)
            yield Stamp(
                int(value["seal"]),
                base64.b64decode(value["reply"]),
                value["roots_pem"].encode(),
                str(value["authority"]),
            )


def is_proof(path: Path) -> bool:
    """Return whether a file is a proof of `mekiki audit prove`, judged by its first byte.

    Raises OSError if the file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(1) == b"{"


def check_file(
    path: Path,
    *,
    keys: Sequence[bytes] = (),
    heads: Sequence[Head] = (),
    check_stamp: Callable[[Stamp, bytes], str] | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> CheckReport:
    """Check an exported audit file or a proof. The arguments are those of check_seals.

    The contents of the file never cause an exception: problems are in the report. Raises ValueError if one of
    `keys` is no public key in PEM form.
    """
    for pem in keys:
        load_public(pem)
    report = CheckReport()
    try:
        if not path.is_file():
            raise OSError(gettext_noop("it does not exist, or is not a regular file"))
        if is_proof(path):
            with path.open("rb") as file:
                return check_proof(file.read(MAX_BYTES), keys=keys, heads=heads)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != len(set(names)) or not {KEYS, SEALS, LEAVES, STAMPS} <= set(names):
                raise NotAnAuditFileError("a part is missing or there twice")
            report = check_seals(
                FileSource(archive), keys=keys, heads=heads, check_stamp=check_stamp, progress=progress
            )
            # The checks above stop before the end of an entry if they need no more of it.
            if (damaged := archive.testzip()) is not None:
                raise NotAnAuditFileError(f"{damaged[:100]!r} is damaged")
            sealed = {rows_name(table) for table in _tables(archive)}
            for name in sorted(set(names) - sealed - {README, KEYS, SEALS, LEAVES, STAMPS}):
                report.findings.append(Finding("not_ours", {"why": f"it holds {name[:100]!r}"}))
    except OSError as error:
        report.findings.append(Finding("unreadable", {"why": error.strerror or str(error)}))
    except (NotAnAuditFileError, NotAProofError) as error:
        report.findings.append(Finding("not_ours", {"why": str(error)}))
    except _DAMAGE as error:
        report.findings.append(Finding("not_ours", {"why": f"{type(error).__name__}: {error}"}))
    return report


def _tables(archive: zipfile.ZipFile) -> set[str]:
    return {seal.table for seal in FileSource(archive).seals()}


def main(arguments: list[str]) -> int:
    """Run `python -m verification.audit_file FILE [KEY…]`: print the findings and the result.

    Return 0 if there are no findings, 1 if there are some, and 2 if the arguments are wrong or a key cannot
    be used.
    """
    if not arguments:
        print("usage: python -m verification.audit_file FILE [PUBLIC_KEY.pem …]", file=sys.stderr)
        return 2
    keys = []
    for name in arguments[1:]:
        try:
            keys.append(Path(name).read_bytes())
            load_public(keys[-1])
        except (OSError, ValueError) as error:
            print(f"{name}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
            return 2
    report = check_file(Path(arguments[0]), keys=keys)
    for finding in report.findings:
        print(finding.sentence())
    print(canonical({"ok": report.ok, "seals": report.seals, "rows": report.rows}).decode())
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
