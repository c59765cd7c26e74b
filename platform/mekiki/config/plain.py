"""Errors with a message for the person at the terminal."""


class UserError(RuntimeError):
    """An error that a person can act on.

    The message says what happened, what was kept and what to do next. `status` is the exit status of the
    command (docs/reference/commands.md).
    """

    status = 1


class UnusableFileError(UserError):
    """A file or folder from the command line cannot be used."""

    status = 2
