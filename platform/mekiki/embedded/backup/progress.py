"""What a long command shows while it works."""


class Progress:
    """Shows nothing; the command line has one that draws a bar."""

    def begin(self, what: str, total: int | None = None) -> None:
        """A new part of the work, of `total` bytes where that is known."""

    def advance(self, count: int) -> None:
        """So many more bytes were done."""
