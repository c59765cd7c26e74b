"""The declarations of the `mekiki` commands: names, parameters and help texts."""

from gettext import gettext as _
from pathlib import Path
from typing import Any

import rich_click as click

from mekiki.config.cli import groups
from mekiki.config.cli.bodies import run_command, run_django
from mekiki.config.cli.parts import (
    STYLE,
    AnyPath,
    Count,
    ExistingFile,
    ExistingFolder,
    Group,
    ImportPath,
    Port,
)


def _show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from mekiki.config.version import full_version

        click.echo(f"mekiki {full_version()}")
        context.exit()


@click.group(cls=Group, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.rich_config(STYLE)
@click.command_panel(_("Start"), commands=["up", "sweeper", "demo"])
@click.command_panel(_("Images and models"), commands=["import", "retrain", "certify", "replay"])
@click.command_panel(
    _("Keep and check"),
    commands=[
        "status",
        "backup",
        "restore",
        "verify",
        "audit",
        "key",
        "quota",
        "reset-second-factor",
        "user-admin",
        "user-password",
        "roles",
    ],
)
@click.command_panel(_("For developers"), commands=["manage"])
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help=_("Show the version and exit."),
)
@click.pass_context
def app(context: click.Context) -> None:
    # The help text is set below, because a docstring cannot be translated.
    if context.invoked_subcommand is None:
        from mekiki.config.cli.first_steps import show

        show()


app.help = _("Label images with a model that learns from the answers.")
app.epilog = _("Exit statuses and examples: docs/reference/commands.md")


@app.command(help=_("Run the platform on this machine until Ctrl-C."))
@click.option("--host", help=_("Address to listen on (default: MEKIKI_HOST)."))
@click.option("--port", type=Port, help=_("Port to listen on, 0 for a free one (default: MEKIKI_PORT)."))
@click.option("--no-web", is_flag=True, help=_("Serve no pages: only the servers and the worker."))
@click.option("--no-worker", is_flag=True, help=_("Start no worker: one runs elsewhere."))
@click.option("--no-beat", is_flag=True, help=_("Start no schedule and no sweeper: they run elsewhere."))
def up(**options: Any) -> None:
    run_command("up", options)


@app.command(
    help=_(
        "Resume stalled jobs every few seconds. “mekiki up” runs it; use this command if you run "
        "each part separately."
    )
)
def sweeper() -> None:
    run_command("sweeper", {})


@app.command(help=_("Create a sample dataset with a simulated reviewer and run the site."))
@click.option("--no-serve", is_flag=True, help=_("Stop everything at the end."))
@click.option("--json", type=AnyPath, help=_("Write the figures to this file."))
@click.option("--budget", type=Count, default=300, show_default=True, help=_("Number of answers to give."))
@click.option("--batch", type=Count, default=50, show_default=True, help=_("Answers between retrainings."))
@click.option("--images", type=Count, default=2400, show_default=True, help=_("Sample pictures to draw."))
@click.option("--seed", type=int, default=0, show_default=True, help=_("Seed of every random choice."))
@click.option("--port", type=Port, help=_("Port of the site (default: MEKIKI_PORT)."))
@click.option("--inside", hidden=True)
def demo(**options: Any) -> None:
    run_command("demo", options)


@app.command(
    "import",
    help=_("Import images from this machine's disk into a dataset."),
)
@click.argument("slug", help=_("Address of the dataset."))
@click.argument(
    "path",
    type=ImportPath(),
    help=_("Folder, zip, manifest or image that the worker can read, or s3://bucket/prefix."),
)
@click.option("--wait", is_flag=True, help=_("Show progress, and each file that was not imported."))
@click.option(
    "--every-page", is_flag=True, help=_("Every page of a TIFF becomes an image, not only the largest.")
)
@click.option(
    "--labels",
    type=click.Choice(["ignore", "compare", "train"]),
    default="ignore",
    help=_("Labels that come with the images: leave them out, compare them, or train heads on them."),
)
@click.option("--label-source", default="", help=_("Name under which these labels are shown."))
@click.option("--label-column", default="", help=_("Column of a table that has the labels."))
@click.option("--labels-from-folders", is_flag=True, help=_("The names of the folders are labels."))
@click.option("--exif", is_flag=True, help=_("Read capture metadata of the camera, without the place."))
@click.option("--place", is_flag=True, help=_("With --exif: also keep the place."))
@click.option(
    "--path-pattern", default="", help=_("Metadata from the path, such as {line}/{camera}/{date}_{*}.")
)
@click.option("--user", default="", help=_("Name of the user it is recorded under."))
@click.option("--json", is_flag=True, help=_("Print the result as JSON."))
def import_images(**options: Any) -> None:
    run_command("import", options)


@app.command(help=_("Train a new head of a dataset and show whether it was promoted."))
@click.argument("slug", required=False, default="", help=_("Address of the dataset, as in /d/SLUG/."))
@click.option(
    "--verify",
    metavar="HEAD",
    help=_(
        "Repeat the training of this head and compare the digests: its version (with SLUG), or its digest "
        "or the beginning of it (8 digits or more)."
    ),
)
@click.option("--no-wait", is_flag=True, help=_("Request it and return at once."))
def retrain(**options: Any) -> None:
    run_command("retrain", options)


@app.command(
    help=_("Plan, start or accept a certificate."),
    epilog=_(
        "Without --plan, --state or --accept it plans and starts. Reviewers then judge the audited images. "
        "Shares are numbers such as 0.02 for 2 %."
    ),
)
@click.argument("slug", help=_("Address of the dataset."))
@click.option(
    "--alpha",
    type=float,
    default=0.02,
    show_default=True,
    help=_("Largest share of wrong labels by machine."),
)
@click.option(
    "--delta", type=float, default=0.05, show_default=True, help=_("Risk that the statement is false.")
)
@click.option("--plan", is_flag=True, help=_("Print the plan only. Nothing is frozen."))
@click.option("--state", is_flag=True, help=_("Show the newest certificate."))
@click.option("--accept", is_flag=True, help=_("Accept the newest certificate: its labels are set."))
@click.option("--user", default="", help=_("Name of the admin who acts."))
@click.option("--limit", type=Count, help=_("Most images that people decide (default: as planned)."))
@click.option(
    "--first", type=float, help=_("First region, as a share of the candidates (default: as planned).")
)
@click.option(
    "--test",
    type=click.Choice(["watched", "planned"]),
    default="watched",
    show_default=True,
    help=_("watched: stop at any time; planned: a fixed number of audits."),
)
@click.option(
    "--overlap", type=click.IntRange(1, 3), default=1, show_default=True, help=_("Reviewers for each image.")
)
@click.option(
    "--critical-bound",
    type=float,
    help=_("People label images with a larger probability of a critical label."),
)
@click.option(
    "--label-alpha",
    multiple=True,
    metavar="NAME=SHARE",
    help=_("A stricter share for one label; may be repeated."),
)
@click.option("--import", "batch", type=Count, metavar="NUMBER", help=_("Only the images of this import."))
@click.option("--only-label", default="", metavar="NAME", help=_("Only images with this predicted label."))
@click.option("--only-metadata", default="", metavar="KEY=VALUE", help=_("Only images with this metadata."))
@click.option("--words", default="", help=_("Public words for the audit order, such as a lottery draw."))
@click.option("--note", default="", help=_("A note."))
@click.option("--json", is_flag=True, help=_("Print the result as JSON."))
def certify(**options: Any) -> None:
    run_command("certify", options)


@app.command(
    help=_("Estimate how many answers your sorted images would need."),
    epilog=_(
        "The names of the sub-folders are the hidden labels, and a simulated reviewer answers. The "
        "platform runs in a temporary home: your data is not changed."
    ),
)
@click.argument("folder", type=ExistingFolder, help=_("One sub-folder of images for each label."))
@click.option("--prompts", type=ExistingFile, help=_("JSON file: name of the sub-folder → list of prompts."))
@click.option("--budget", type=Count, default=300, show_default=True, help=_("Number of answers to give."))
@click.option("--batch", type=Count, default=30, show_default=True, help=_("Answers between retrainings."))
@click.option("--seed", type=int, default=0, show_default=True, help=_("Seed of every random choice."))
@click.option("--encoder", default="pocket", show_default=True, help=_("The encoder."))
@click.option(
    "--certify",
    metavar="ALPHA,DELTA",
    default="",
    help=_(
        "Run a certificate after the answers, such as 0.02,0.05, and count all answers to a finished pool."
    ),
)
@click.option(
    "--detail",
    type=click.Choice(["on", "off"]),
    help=_("Use the local detail of the images or not. By default as in a new dataset."),
)
@click.option("--json", type=AnyPath, help=_("Write the figures to this file."))
@click.option("--home", type=AnyPath, help=_("Keep the platform's data here instead of a temporary folder."))
@click.option("--inside", is_flag=True, hidden=True)
def replay(**options: Any) -> None:
    run_command("replay", options)


@app.command(
    "reset-second-factor",
    help=_("Remove the second factors of a user who has lost them, if no other admin can."),
)
@click.argument("name", help=_("Name of the user."))
def reset_second_factor(**options: Any) -> None:
    run_command("reset_second_factor", options)


@app.command(
    "user-admin", help=_("Give a user the rights of a platform admin, or remove them. The last admin stays.")
)
@click.argument("name", help=_("Name of the user."))
@click.option("--withdraw", is_flag=True, help=_("Remove the rights of an admin."))
def user_admin(**options: Any) -> None:
    run_command("user_admin", options)


@app.command(
    "user-password", help=_("Set a new password for a user who cannot log in, if no admin can help.")
)
@click.argument("name", help=_("Name of the user."))
def user_password(**options: Any) -> None:
    run_command("user_password", options)


@app.command(help=_("Check files, lineage and signature of a label set, offline."))
@click.argument("file", type=AnyPath, help=_("The zip of a label set."))
@click.option(
    "--key",
    type=ExistingFile,
    metavar="PEM",
    help=_("The public key it must be signed by, obtained elsewhere."),
)
@click.option("--json", is_flag=True, help=_("Print the result as JSON."))
def verify(**options: Any) -> None:
    run_command("verify", options)


for group in (groups.audit, groups.key, groups.quota):
    app.add_command(group)


@app.command(
    help=_("Copy the database, the files and the keys into one file."),
    epilog=_(
        "It holds secrets: the keys of the site and the password hashes of all users. Store it "
        "in a safe place."
    ),
)
@click.argument(
    "file", type=AnyPath, help=_("The file to write, or a folder for a file named after the current time.")
)
@click.option(
    "--without-keys", is_flag=True, help=_("Leave the keys out: nothing can be signed after a restore.")
)
@click.option("--without-models", is_flag=True, help=_("Leave the model folders in MEKIKI_HOME/models out."))
@click.option("--json", "as_json", is_flag=True, help=_("Print the result as JSON."))
def backup(file: Path, without_keys: bool, without_models: bool, as_json: bool) -> None:
    from mekiki.config.cli.backups import make

    make(file, keys=not without_keys, models=not without_models, as_json=as_json)


@app.command(
    help=_("Fill a new home from a backup."),
    epilog=_("Restore only a backup you trust: its database can run commands as the database's user."),
)
@click.argument("file", type=AnyPath, help=_("The file of a backup."))
@click.option("--home", type=AnyPath, required=True, metavar="DIR", help=_("The home to fill: empty or new."))
@click.option("--json", "as_json", is_flag=True, help=_("Print the result as JSON."))
def restore(file: Path, home: Path, as_json: bool) -> None:
    from mekiki.config.cli.backups import restore_backup

    restore_backup(file, home, as_json=as_json)


@app.command(help=_("Show what runs, since when, and what needs attention."))
@click.option("--json", "as_json", is_flag=True, help=_("Print the result as JSON."))
def status(as_json: bool) -> None:
    from mekiki.config.cli.status import show

    show(as_json=as_json)


@app.command(help=_("Check that the application's database role can do no more than it should."))
@click.option("--json", "as_json", is_flag=True, help=_("Print the result as JSON."))
def roles(as_json: bool) -> None:
    from mekiki.config.cli.roles import show

    show(as_json=as_json)


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
    help=_("Run a command of Django: “mekiki manage help” lists them."),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def manage(arguments: tuple[str, ...]) -> None:
    run_django("mekiki manage", arguments or ("help",))
