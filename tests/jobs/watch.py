"""A sweeper without waiting."""

from mekiki.jobs.sweeping import Sweeper


class Watch(Sweeper):
    """A sweeper whose clock advances only in `after`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        super().__init__(lambda: self.seconds)

    def after(self, seconds: float) -> dict[str, int]:
        """Sweep every five seconds for this long and return the sums."""
        sums = self.sweep()
        while seconds > 0:
            self.seconds += min(5.0, seconds)
            seconds -= 5.0
            sums = {name: sums[name] + count for name, count in self.sweep().items()}
        return sums
