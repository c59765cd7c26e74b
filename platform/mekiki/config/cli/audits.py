"""Output and exit statuses of `mekiki audit …` and `mekiki key …`."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from gettext import gettext as _
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import progress as bars
from rich.console import Console

from mekiki.config.cli.bodies import load_django
from mekiki.config.plain import UnusableFileError, UserError
from mekiki.config.regular_files import read_regular

if TYPE_CHECKING:
    from mekiki.audit.models import Seal
    from verification.checking import Head
    from verification.findings import CheckReport

DIFFERENT, UNREADABLE = 1, 2


@contextmanager
def _row_progress(what: str) -> Iterator[Callable[[int], None]]:
    """Show the number of processed rows on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}"),
        bars.TextColumn("{task.completed:,.0f}"),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what)
        yield lambda done: bar.update(task, completed=done)


def verify(
    file: Path | None, *, keys: Sequence[Path], heads: Sequence[str], roots: Path | None, as_json: bool
) -> None:
    """Check the seals of the database, or of an exported file.

    The exit status is 0 if everything is as it was sealed, 1 if something differs, 2 if it could not be
    checked.
    """
    load_django()
    from mekiki.audit.time_stamps import check_stamp
    from mekiki.audit.verification import check_database, store_check
    from verification.audit_file import check_file
    from verification.checking import Stamp

    pems = [_public_key(path) for path in keys]
    wanted = [_head(text) for text in heads]
    given = _read(roots) if roots is not None else b""

    def check(stamp: Stamp, statement: bytes) -> str:
        return check_stamp(
            Stamp(stamp.seal, stamp.reply, given or stamp.roots_pem, stamp.authority), statement
        )

    with _row_progress(_("Rows checked")) as progress:
        if file is None:
            report = check_database(keys=pems, heads=wanted, progress=progress)
            store_check(report)
        else:
            report = check_file(file, keys=pems, heads=wanted, check_stamp=check, progress=progress)
    status = 0 if report.ok else DIFFERENT
    if any(finding.code == "unreadable" for finding in report.findings):
        status = UNREADABLE
    if as_json:
        _print_json(report)
    else:
        _print_report(report, pinned=bool(pems) or bool(wanted))
    sys.exit(status)


def _print_json(report: "CheckReport") -> None:
    from mekiki.audit.messages import FINDINGS

    answer: dict[str, Any] = {
        "ok": report.ok,
        "seals": report.seals,
        "rows": report.rows,
        "unsealed": report.unsealed,
        "time_stamps": report.time_stamps,
        "head": report.head,
        "findings": [{**f.as_json(), "text": FINDINGS.render(f.code, f.detail)} for f in report.findings],
    }
    print(json.dumps(answer, ensure_ascii=False, indent=2))


def _print_report(report: "CheckReport", *, pinned: bool) -> None:
    from mekiki.audit.messages import FINDINGS

    for finding in report.findings:
        print("✗ " + FINDINGS.render(finding.code, finding.detail), file=sys.stderr)
    if report.of_proof:
        _print_proof_report(report)
        return
    facts = {"seals": report.seals, "rows": report.rows, "unsealed": report.unsealed}
    print(
        _("%(seals)s seals over %(rows)s rows checked; %(unsealed)s rows are not sealed yet.") % facts,
        file=sys.stdout if report.ok else sys.stderr,
    )
    if report.ok and not report.seals:
        print(_nothing_sealed())
    elif report.ok:
        print("✓ " + _("Every sealed row is as it was sealed."))
        if not pinned:
            print(
                _(
                    "A person who controls both the database and the key could create all seals "
                    "again. Compare with a head or key stored outside the platform: --head, --key."
                )
            )


def _print_proof_report(report: "CheckReport") -> None:
    if report.ok:
        facts = {"rows": report.rows, "seal": report.seals}
        print("✓ " + _("The proof is valid: the head of seal %(seal)s covers %(rows)s rows.") % facts)
        if not report.pinned:
            print(_("The signer of the head was not checked: give the public key with --key."))


def export(file: Path, *, as_json: bool) -> None:
    """Write the sealed rows with their seals, keys and time stamps to one file."""
    load_django()
    from mekiki.audit.verification import export_file

    _newest_seal()
    with _row_progress(_("Rows written")) as progress:
        report = export_file(file, progress=progress)
    if as_json:
        print(json.dumps({"file": str(file), "seals": report.seals, "rows": report.rows}))
        return
    print(
        _("%(file)s holds %(seals)s seals over %(rows)s rows.")
        % {"file": file, "seals": report.seals, "rows": report.rows}
    )
    print(_("Check it anywhere: mekiki audit verify %(file)s --key PUBLIC_KEY.pem") % {"file": file})


def prove(file: Path, *, rows: Sequence[tuple[str, int]], heads: Sequence[int]) -> None:
    """Write a proof for single rows and older heads."""
    load_django()
    from mekiki.audit.proving import CannotProveError, make_proof

    if not rows and not heads:
        raise UnusableFileError(_("Name what to prove: --event ID, --decision ID or --since NUMBER."))
    try:
        proof = make_proof(rows=rows, heads=heads)
    except CannotProveError as error:
        raise UserError(str(error)) from None
    _write_new(file, proof)
    print(_("Check it anywhere: mekiki audit verify %(file)s --key PUBLIC_KEY.pem") % {"file": file})


def head(*, as_json: bool) -> None:
    """Print the head of the newest seal, to be stored elsewhere."""
    load_django()
    from mekiki.audit.sealing import signed_facts_of
    from verification.signing import grouped

    facts = signed_facts_of(_newest_seal())
    if as_json:
        print(json.dumps(facts.as_json(), indent=2))
        return
    print(_("Seal %(number)s, made %(at)s") % {"number": facts.number, "at": facts.sealed_at})
    print(_("Root over all seals: %(root)s") % {"root": grouped(facts.log_root.hex())})
    print(_("Key: %(fingerprint)s") % {"fingerprint": grouped(facts.key)})
    print(
        _("Compare it later: mekiki audit verify --head %(head)s")
        % {"head": f"{facts.number}:{facts.log_root.hex()}"}
    )


def mail_head(*, as_json: bool) -> None:
    """Mail the head of the newest seal. The exit status is 1 if a mail was not sent."""
    load_django()
    from mekiki.accounts import outbox
    from mekiki.accounts.models import OutgoingMail
    from mekiki.audit.head_mail import mail_head as put

    mails = put()
    outbox.send_waiting_mails(only=[mail.pk for mail in mails])
    rows = list(OutgoingMail.objects.filter(pk__in=[mail.pk for mail in mails]).order_by("pk"))
    if as_json:
        answer = [{"to": row.to, "sent": row.sent_at is not None, "problem": row.problem} for row in rows]
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    for row in () if as_json else rows:
        if row.sent_at is not None:
            print(_("Mailed to %(to)s.") % {"to": row.to})
        else:
            text = _("Not mailed to %(to)s: %(why)s. The sweeper tries again.")
            print(text % {"to": row.to, "why": row.problem}, file=sys.stderr)
    if any(row.sent_at is None for row in rows):
        sys.exit(DIFFERENT)


def request_stamp(file: Path) -> None:
    """Write a request for a time stamp of the newest seal."""
    load_django()
    from mekiki.audit.sealing import signed_facts_of
    from mekiki.audit.time_stamps import build_stamp_request

    seal = _newest_seal()
    _write_new(file, build_stamp_request(signed_facts_of(seal).statement()))
    print(
        _("%(file)s contains a time-stamp request for seal %(number)s.")
        % {"file": file, "number": seal.number}
    )
    print(_("Send it to an authority, then: mekiki audit stamp-add REPLY.tsr --ca AUTHORITY.pem"))


def add_stamp(file: Path, *, roots: Path | None) -> None:
    """Store the reply of a time-stamping authority, after checking which seal it belongs to."""
    load_django()
    from mekiki.audit.stamping import add_time_stamp

    stamp = add_time_stamp(reply=_read(file), roots_pem=_read(roots) if roots else b"")
    print(
        _("Seal %(number)s has a time stamp of %(at)s by %(authority)s.")
        % {"number": stamp.seal_id, "at": stamp.stamped_at.isoformat(), "authority": stamp.authority}
    )
    if not roots:
        print(_("The signer of the reply was not checked: give the certificate of the authority with --ca."))


def _write_new(file: Path, content: bytes) -> None:
    try:
        with file.open("xb") as target:
            target.write(content)
    except FileExistsError:
        raise UnusableFileError(
            _("%(path)s exists already; nothing was replaced.") % {"path": file}
        ) from None
    except OSError as error:
        raise UnusableFileError(
            _("%(path)s cannot be used: %(why)s.") % {"path": file, "why": error.strerror or error}
        ) from None


def _newest_seal() -> "Seal":
    from mekiki.audit.models import Seal

    seal = Seal.objects.select_related("key").order_by("-number").first()
    if seal is None:
        raise UserError(_nothing_sealed())
    return seal


def _nothing_sealed() -> str:
    return _("Nothing is sealed yet. The worker seals events and answers every ten minutes.")


def _head(text: str) -> "Head":
    from verification.checking import Head

    number, _colon, root = text.partition(":")
    try:
        head = Head(int(number), bytes.fromhex(root))
    except ValueError:
        head = Head(0, b"")
    if len(head.log_root) != 32 or head.seal < 1:
        raise UnusableFileError(
            _("“%(head)s” is not a head. A head is a number, a colon, and 64 hexadecimal digits.")
            % {"head": text}
        )
    return head


def _public_key(path: Path) -> bytes:
    from verification.signing import load_public

    pem = _read(path)
    try:
        load_public(pem)
    except ValueError as error:
        raise UnusableFileError(
            _("The key %(path)s cannot be used: %(why)s") % {"path": path, "why": error}
        ) from None
    return pem


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise UnusableFileError(
            _("%(path)s cannot be used: %(why)s.") % {"path": path, "why": error.strerror or error}
        ) from None


def make_key(*, if_none: bool) -> None:
    """Create the platform's signing key."""
    load_django()
    from mekiki.audit.private_key import make_first_key, settle_key
    from verification.signing import grouped

    key = settle_key() if if_none else make_first_key()
    print(_("Signing key: %(fingerprint)s") % {"fingerprint": grouped(key.fingerprint)})


def rotate_key(*, lost: bool) -> None:
    """Replace the platform's signing key."""
    load_django()
    from mekiki.audit.private_key import rotate_key as rotate
    from verification.signing import grouped

    key = rotate(lost=lost)
    print(_("New signing key: %(fingerprint)s") % {"fingerprint": grouped(key.fingerprint)})
    print(_("Earlier label sets and seals stay valid under the earlier keys."))


def show_keys(*, as_json: bool) -> None:
    """List the platform's keys, starting with the current key."""
    load_django()
    from mekiki.audit.keys import key_history
    from verification.signing import grouped

    keys = key_history()
    if as_json:
        listed = [
            {"fingerprint": k.fingerprint, "at": k.at.isoformat(), "act": k.act, "public_pem": k.public_pem}
            for k in keys
        ]
        print(json.dumps(listed, indent=2))
        return
    for key in keys:
        print(f"{key.at:%Y-%m-%d %H:%M:%S%z}  {grouped(key.fingerprint)}  {key.get_act_display()}")
    if not keys:
        print(
            _(
                "This platform has no signing key yet."
                " Create one on the machine of the worker: mekiki key make"
            )
        )
