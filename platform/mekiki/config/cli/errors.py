"""Errors of commands: one sentence and an exit status, without a traceback.

Programming errors keep their traceback. MEKIKI_DEBUG=1 shows the traceback of every error.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable
from gettext import gettext as _

from mekiki.config import env
from mekiki.config.plain import UserError

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def run_and_report(command: Callable[[], object]) -> int:
    """Run a command, print its error if there is one, and return the exit status."""
    try:
        command()
        return 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return FAILED
        return end.code or 0
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # `mekiki … | head` closes its input early. Without this, Python would report the error again when it
        # closes the stream.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as problem:
        answer = message_and_status(problem)
        if answer is None or debugging():
            raise
        message, status = answer
        if message:
            print(message, file=sys.stderr)
        return status


def debugging() -> bool:
    """Return whether tracebacks are shown (MEKIKI_DEBUG)."""
    return env.flag("MEKIKI_DEBUG")


def message_and_status(problem: Exception) -> tuple[str, int] | None:
    """Return (message, exit status), or None for an unexpected error."""
    if isinstance(problem, UserError):
        return str(problem), problem.status
    if isinstance(problem, env.ConfigurationError):
        return str(problem), USAGE
    if isinstance(problem, OSError):
        return _file_message(problem), FAILED
    # Code that raises one of these errors has already imported Django.
    from django.core.exceptions import ValidationError
    from django.core.management.base import CommandError
    from django.db import OperationalError, ProgrammingError

    if isinstance(problem, CommandError):
        return str(problem), problem.returncode
    if isinstance(problem, ValidationError):
        return " ".join(problem.messages), FAILED
    if isinstance(problem, OperationalError):
        return _database_message(problem), FAILED
    if isinstance(problem, ProgrammingError) and "does not exist" in str(problem):
        return (
            _(
                "The database does not have the tables of this version of Mekiki. Nothing was changed. Start "
                "“mekiki up” once: it brings an older database up to date and says when one is newer."
            ),
            FAILED,
        )
    return None


def _file_message(problem: OSError) -> str:
    reasons = {
        errno.EACCES: _("this user may not read or write it"),
        errno.EPERM: _("this user may not read or write it"),
        errno.ENOENT: _("it does not exist"),
        errno.EISDIR: _("it is a folder"),
        errno.ENOTDIR: _("it is not a folder"),
        errno.ENOSPC: _("the disk is full"),
        errno.EDQUOT: _("the disk quota is used up"),
        errno.EROFS: _("the disk is read-only"),
    }
    reason = reasons.get(problem.errno or 0, problem.strerror or str(problem))
    if problem.filename is None:
        return _("The command stopped: %(why)s.") % {"why": reason}
    name = os.fsdecode(problem.filename) if isinstance(problem.filename, bytes) else problem.filename
    return _("%(path)s cannot be used: %(why)s.") % {"path": name, "why": reason}


def _database_message(problem: Exception) -> str:
    from django.conf import settings

    from mekiki.embedded.lock import is_held

    text = " ".join(str(problem).split())
    if env.text("DATABASE_URL"):
        return _(
            "The database of DATABASE_URL does not answer: %(problem)s. Check the address and that it runs."
        ) % {"problem": text.rstrip(".")}
    if is_held(settings.HOME):
        return _("The database reported a problem: %(problem)s. See %(log)s.") % {
            "problem": text.rstrip("."),
            "log": settings.HOME / "logs" / "postgres.log",
        }
    return not_running_message()


def not_running_message() -> str:
    """Return what to do when no platform runs on the home."""
    return _(
        "Mekiki is not running on %(home)s. Start it with “mekiki up” in another terminal, "
        "or point MEKIKI_HOME or DATABASE_URL at one that runs."
    ) % {"home": env.home()}
