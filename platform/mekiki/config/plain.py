"""An error whose message is written for the person at the terminal."""


class PlainError(RuntimeError):
    """Something a person can act on: the message says what happened, what was kept and what to do next.

    `status` is the exit status of the command (docs/reference/commands.md).
    """

    status = 1


class UnusableFileError(PlainError):
    """A file or folder named on the command line cannot be used."""

    status = 2
