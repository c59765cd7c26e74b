"""Appearance of the `mekiki` commands, and the types of their parameters."""

from gettext import gettext as _
from pathlib import Path
from typing import Any

import rich_click as click

from mekiki.config.cli.errors import INTERRUPTED


class Formatter(click.RichHelpFormatter):
    """The formatter of rich-click, with a translation of the only text that no setting translates."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the usage line like click.HelpFormatter, with a translated prefix."""
        super().write_usage(prog, args, prefix or _("Usage:"))


class Context(click.RichContext):
    formatter_class = Formatter


class Command(click.RichCommand):
    context_class = Context

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command like click.Command.

        Ctrl-C ends it with the shell's exit status for an interrupt. The exit status of click would be 1.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(err=True)
            ctx.exit(INTERRUPTED)


class Group(click.RichGroup):
    context_class = Context
    command_class = Command
    group_class = type


class RegularFile(click.Path):
    """A parameter type for a regular file.

    A named pipe or a device could be read without end.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert the value like click.Path, and refuse anything except a regular file."""
        path = super().convert(value, param, ctx)
        if not Path(str(path)).is_file():
            self.fail(_("“%(path)s” is not a regular file.") % {"path": path}, param, ctx)
        return path


class ImportPath(click.Path):
    """A parameter type for an existing path of this machine, or for the address of a bucket (s3://…)."""

    def __init__(self) -> None:
        super().__init__(exists=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert a path like click.Path, and leave an address as it is."""
        if str(value).startswith("s3://"):
            return value
        return super().convert(value, param, ctx)


STYLE = click.RichHelpConfiguration(
    theme="default-box",
    arguments_panel_title=_("Arguments"),
    options_panel_title=_("Options"),
    commands_panel_title=_("Commands"),
    errors_panel_title=_("Error"),
    errors_suggestion=_(
        "“mekiki --help” lists the commands, “mekiki COMMAND --help” lists the options of a command."
    ),
    required_long_string=_("[required]"),
    default_string=_("[default: {}]"),
    max_width=100,
)
Port = click.IntRange(0, 65535)
Count = click.IntRange(min=1)
ExistingFile = RegularFile(exists=True, dir_okay=False, path_type=Path)
ExistingFolder = click.Path(exists=True, file_okay=False, path_type=Path)
AnyPath = click.Path(path_type=Path)
