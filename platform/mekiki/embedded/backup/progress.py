"""Progress of long commands."""


class Progress:
    """A progress display that shows nothing. The command line has a subclass that draws a bar."""

    def begin(self, what: str, total: int | None = None) -> None:
        """Begin a new part of the work, of `total` bytes if known."""

    def advance(self, count: int) -> None:
        """Add `count` bytes to the progress."""
