"""The check of the seals in the database, and the export of a file that is checked without it."""

import base64
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from django.utils.translation import gettext as _

from mekiki.audit.keys import broken_links
from mekiki.audit.models import Seal, SealCheck, SealLeaves, SealTimeStamp, SigningKey
from mekiki.audit.proving import key_list
from mekiki.audit.sealed_tables import sealed_table, sealed_tables
from mekiki.audit.sealing import signed_facts_of
from mekiki.audit.services import record
from mekiki.audit.time_stamps import check_stamp
from verification import audit_file
from verification.canonical import canonical
from verification.checking import Head, Stamp, check_seals
from verification.findings import CheckReport
from verification.key_list import PublicKey
from verification.statements import SealFacts


class DatabaseSource:
    """The seals and rows of this platform. Implements checking.Source."""

    def __init__(self) -> None:
        self._keys = list(SigningKey.objects.order_by("pk"))
        self._fingerprints = {key.pk: key.fingerprint for key in self._keys}

    def public_keys(self) -> list[PublicKey]:
        """Implement checking.Source.public_keys."""
        return public_keys(self._keys)

    def seals(self) -> Iterator[SealFacts]:
        """Implement checking.Source.seals."""
        number = -1
        while page := list(Seal.objects.filter(number__gt=number).order_by("number")[:500]):
            for seal in page:
                yield signed_facts_of(seal, self._fingerprints[seal.key_id])
            number = page[-1].number

    def leaves(self, seal: SealFacts) -> tuple[bytes, bytes] | None:
        """Implement checking.Source.leaves."""
        kept = SealLeaves.objects.filter(seal_id=seal.number).first()
        return (bytes(kept.ids), bytes(kept.hashes)) if kept else None

    def rows(self, table: str, after: int | None, upto: int) -> Iterator[tuple[int, bytes]] | None:
        """Implement checking.Source.rows."""
        source = sealed_table(table)
        return source.rows(after=after, upto=upto) if source else None

    def rest(self, table: str, after: int | None) -> Iterable[int]:
        """Implement checking.Source.rest. The result is empty, because new rows wait for the next seal."""
        return ()

    def unsealed(self, last: dict[str, int]) -> int:
        """Implement checking.Source.unsealed."""
        return sum(table.count_after(last.get(table.name)) for table in sealed_tables())

    def stamps(self) -> Iterator[Stamp]:
        """Implement checking.Source.stamps."""
        for stamp in SealTimeStamp.objects.order_by("pk"):
            yield Stamp(stamp.seal_id, bytes(stamp.reply), stamp.roots_pem.encode(), stamp.authority)


def public_keys(rows: Sequence[SigningKey]) -> list[PublicKey]:
    """Return the keys in the form that check_seals needs. `rows` are sorted oldest first."""
    broken = {key.pk for key in broken_links(list(rows))}
    return [
        PublicKey(
            key.fingerprint,
            key.public_pem.encode(),
            key.pk not in broken,
            key.act == SigningKey.Act.ROTATED and key.pk not in broken,
        )
        for key in rows
    ]


def check_database(
    *,
    keys: Sequence[bytes] = (),
    heads: Sequence[Head] = (),
    progress: Callable[[int], None] = lambda rows: None,
) -> CheckReport:
    """Check every sealed row of the database against its seal. The arguments are those of check_seals."""
    return check_seals(DatabaseSource(), keys=keys, heads=heads, check_stamp=check_stamp, progress=progress)


def store_check(report: CheckReport) -> SealCheck:
    """Store the result of a check for the pages, and record an event if something differs."""
    check = SealCheck.objects.create(
        ok=report.ok,
        seals=report.seals,
        rows=report.rows,
        unsealed=report.unsealed,
        findings=[finding.as_json() for finding in report.findings],
    )
    if not report.ok:
        record(kind="seals.differ", data={"findings": len(report.findings)})
    return check


def export_file(path: Path, *, progress: Callable[[int], None] = lambda rows: None) -> CheckReport:
    """Write the sealed rows, seals, keys and time stamps into one file; return the counts.

    The rows are written in their present state, and the reader of the file checks them against the seals. The
    file gets its name only when it is complete. Raises FileExistsError if the file exists.
    """
    if path.exists():
        raise FileExistsError(17, _("it exists already; nothing was replaced"), str(path))
    draft = path.with_name(f".{path.name}.part")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            report = _write(archive, progress)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return report


def _write(archive: zipfile.ZipFile, progress: Callable[[int], None]) -> CheckReport:
    source = DatabaseSource()
    report = CheckReport()
    archive.writestr(audit_file.README, audit_file.README_TEXT)
    archive.writestr(
        audit_file.KEYS, canonical({"format": audit_file.FORMAT, "version": 1, "keys": key_list()})
    )
    last: dict[str, int] = {}
    rows: dict[int, int] = {}  # number of the seal → its number of rows
    with archive.open(audit_file.SEALS, "w") as file:
        for seal in source.seals():
            file.write(canonical(seal.as_json()) + b"\n")
            last[seal.table] = seal.last_id
            rows[seal.number] = seal.rows
            report.seals += 1
            report.head = seal.as_json()
    with archive.open(audit_file.LEAVES, "w", force_zip64=True) as file:
        for number, count in rows.items():
            leaves = SealLeaves.objects.filter(seal_id=number).first()
            ids, hashes = (bytes(leaves.ids), bytes(leaves.hashes)) if leaves else (b"", b"")
            if len(ids) != 8 * count or len(hashes) != 32 * count:
                # Leaves that do not fit are written as zeros: the reader finds those of each seal by the
                # numbers of rows before it.
                ids, hashes = bytes(8 * count), bytes(32 * count)
            file.write(ids + hashes)
    for table, upto in sorted(last.items()):
        sealed_rows = sealed_table(table)
        with archive.open(audit_file.rows_name(table), "w", force_zip64=True) as raw:
            file = io.BufferedWriter(raw, 1 << 20)  # type: ignore[arg-type]
            for _pk, content in sealed_rows.rows(after=None, upto=upto) if sealed_rows else ():
                file.write(content + b"\n")
                report.rows += 1
                if report.rows % 2000 == 0:
                    progress(report.rows)
            file.flush()
            file.detach()
    with archive.open(audit_file.STAMPS, "w") as file:
        for stamp in source.stamps():
            line = {
                "seal": stamp.seal,
                "authority": stamp.authority,
                "reply": base64.b64encode(stamp.reply).decode(),
                "roots_pem": stamp.roots_pem.decode(),
            }
            file.write(json.dumps(line).encode() + b"\n")
            report.time_stamps += 1
    return report
