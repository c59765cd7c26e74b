"""The commands of `mekiki` with subcommands: audit, key and quota."""

from gettext import gettext as _
from pathlib import Path
from typing import Any

import rich_click as click

from mekiki.config.cli.parts import AnyPath, Count, ExistingFile, Group


@click.group(cls=Group, help=_("Check that events and answers are as they were sealed."))
def audit() -> None: ...


@audit.command(
    "verify",
    help=_("Check every sealed row of the database, or of an exported FILE, and name what differs."),
    epilog=_("Exit status: 0 everything is as it was sealed, 1 something differs, 2 it cannot be read."),
)
@click.argument(
    "file", type=AnyPath, required=False, help=_("A file of “mekiki audit export” or “mekiki audit prove”.")
)
@click.option(
    "--key",
    "keys",
    type=ExistingFile,
    multiple=True,
    metavar="PEM",
    help=_("The public key that must have signed the newest seal, obtained outside the platform."),
)
@click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="NUMBER:ROOT",
    help=_("A head stored outside the platform; the seals must lead to it (mekiki audit head)."),
)
@click.option(
    "--tsa-ca",
    "roots",
    type=ExistingFile,
    metavar="PEM",
    help=_("Certificates that the time stamps of a FILE must lead to."),
)
@click.option("--json", "as_json", is_flag=True, help=_("Print the result as JSON."))
def audit_verify(**options: Any) -> None:
    from mekiki.config.cli import audits

    audits.verify(options.pop("file"), **options)


@audit.command("export", help=_("Write all sealed rows into one file that is checked without the platform."))
@click.argument("file", type=AnyPath, help=_("The file to write."))
@click.option("--json", "as_json", is_flag=True, help=_("Print the result as JSON."))
def audit_export(file: Path, as_json: bool) -> None:
    from mekiki.config.cli import audits

    audits.export(file, as_json=as_json)


@audit.command("head", help=_("Print the head of the newest seal. Store it outside the platform."))
@click.option("--json", "as_json", is_flag=True, help=_("Print the result as JSON."))
@click.option(
    "--mail",
    is_flag=True,
    help=_("Mail it to the addresses on the page of the seals instead of printing it."),
)
def audit_head(as_json: bool, mail: bool) -> None:
    from mekiki.config.cli import audits

    if mail:
        audits.mail_head(as_json=as_json)
    else:
        audits.head(as_json=as_json)


@audit.command(
    "prove",
    help=_(
        "Write a proof that single rows or older heads are part of the newest seal. The proof can be "
        "checked without the other rows."
    ),
    epilog=_("Check it: mekiki audit verify FILE --key PUBLIC_KEY.pem"),
)
@click.argument("file", type=AnyPath, help=_("The file to write (.json)."))
@click.option(
    "--event", "events", type=Count, multiple=True, metavar="ID", help=_("An event of the audit log.")
)
@click.option(
    "--decision", "decisions", type=Count, multiple=True, metavar="ID", help=_("A decision of a reviewer.")
)
@click.option(
    "--since",
    "heads",
    type=Count,
    multiple=True,
    metavar="NUMBER",
    help=_("A seal whose head was stored outside the platform: no row before it was changed."),
)
def audit_prove(
    file: Path, events: tuple[int, ...], decisions: tuple[int, ...], heads: tuple[int, ...]
) -> None:
    from mekiki.config.cli import audits

    audits.prove(
        file, rows=[("events", pk) for pk in events] + [("decisions", pk) for pk in decisions], heads=heads
    )


@audit.command("stamp-request", help=_("Write a request for a time stamp (RFC 3161) of the newest seal."))
@click.argument("file", type=AnyPath, help=_("The file to write (.tsq)."))
def audit_stamp_request(file: Path) -> None:
    from mekiki.config.cli import audits

    audits.request_stamp(file)


@audit.command("stamp-add", help=_("Keep the reply of a time-stamping authority with its seal."))
@click.argument("file", type=ExistingFile, help=_("The reply (.tsr)."))
@click.option(
    "--ca",
    "roots",
    type=ExistingFile,
    metavar="PEM",
    help=_("Certificates of the authority, obtained outside the platform."),
)
def audit_stamp_add(file: Path, roots: Path | None) -> None:
    from mekiki.config.cli import audits

    audits.add_stamp(file, roots=roots)


@click.group(cls=Group, help=_("Create, replace or list the keys that sign seals and label sets."))
def key() -> None: ...


@key.command("make", help=_("Create the platform’s first signing key, on the machine of the worker."))
@click.option("--if-none", is_flag=True, help=_("If a key exists, only check that it can sign."))
def key_make(if_none: bool) -> None:
    from mekiki.config.cli import audits

    audits.make_key(if_none=if_none)


@key.command("rotate", help=_("Replace the signing key. The previous key signs the new key."))
@click.option(
    "--lost", is_flag=True, help=_("The private key is permanently lost: it does not sign for the new key.")
)
def key_rotate(lost: bool) -> None:
    from mekiki.config.cli import audits

    audits.rotate_key(lost=lost)


@key.command("list", help=_("List the public keys, the one in use first."))
@click.option("--json", "as_json", is_flag=True, help=_("Print the result as JSON."))
def key_list(as_json: bool) -> None:
    from mekiki.config.cli import audits

    audits.show_keys(as_json=as_json)


@click.group(cls=Group, help=_("Show and change the storage limits of datasets and of the platform."))
def quota() -> None: ...


@quota.command("show", help=_("Print what a dataset, or the whole platform, stores and may store."))
@click.argument(
    "slug", required=False, default="", help=_("Address of the dataset; none: the whole platform.")
)
@click.option("--json", "as_json", is_flag=True, help=_("Print the result as JSON."))
def quota_show(slug: str, as_json: bool) -> None:
    from mekiki.config.cli import quotas

    quotas.show(slug, as_json=as_json)


@quota.command(
    "set",
    help=_(
        "Limit the storage of a dataset or of the whole platform. Nothing that is already stored is deleted."
    ),
)
@click.argument(
    "slug", required=False, default="", help=_("Address of the dataset; none: the whole platform.")
)
@click.option("--images", metavar="NUMBER", help=_("Most images, or “none”."))
@click.option("--gb", metavar="NUMBER", help=_("Most GB of original files, or “none”."))
@click.option("--json", "as_json", is_flag=True, help=_("Print the result as JSON."))
def quota_set(slug: str, images: str | None, gb: str | None, as_json: bool) -> None:
    from mekiki.config.cli import quotas

    quotas.change(slug, images=images, gb=gb, as_json=as_json)
