"""What a worker has in its hands, stored before it looks at it: should the worker die, the next one knows the suspects.

An image can kill the process that decodes it (a fault in a decoder, more memory than there is). After such a death the
items that were in hand are suspects: they are done one at a time, each alone in the hands of its worker. One with which
a worker dies twice while it is alone is set aside, by name and reason, and the rest goes on.
"""

from collections.abc import Iterable

from mekiki.jobs.models import InHand

# A worker can be killed for other reasons at the very moment: once proves nothing.
DEATHS_ALONE = 2


class Hand:
    """The items of one scope (an import, a chunk of images …), for the one worker that works on it.

    Items are short texts. `suspects`: those that were in hand when an earlier worker died; they must be begun by
    `begin_alone`. `set_aside`: those that are not to be touched any more; `just_set_aside`: found by this very call.
    """

    def __init__(self, scope: str) -> None:
        row = InHand.objects.filter(scope=scope).first()
        self._stored = row is not None
        self._row = row or InHand(scope=scope)
        self._in_hand: set[str] = set()
        self.suspects: set[str] = set(self._row.items)
        self.just_set_aside: set[str] = set()
        if died_with := self._row.alone:
            times = self._row.deaths_alone.get(died_with, 0) + 1
            self._row.deaths_alone[died_with] = times
            self._row.alone = ""
            if times >= DEATHS_ALONE:
                self.just_set_aside = {died_with}
                self._row.set_aside = sorted({*self._row.set_aside, died_with})
                self.suspects.discard(died_with)
                del self._row.deaths_alone[died_with]
            self._write()

    @property
    def set_aside(self) -> set[str]:
        """Items with which workers died."""
        return set(self._row.set_aside)

    def begin(self, items: Iterable[str]) -> None:
        """Note that these are looked at from now on, together."""
        self._in_hand |= set(items)
        self._row.alone = ""
        self._write()

    def begin_alone(self, item: str) -> None:
        """Note that this one is looked at from now on, and nothing else is."""
        self._in_hand = {item}
        self._row.alone = item
        self._write()

    def done(self, items: Iterable[str]) -> None:
        """Note that these are behind us."""
        ended = set(items)
        self._in_hand -= ended
        self.suspects -= ended
        if self._row.alone in ended:
            self._row.alone = ""
        for item in ended & set(self._row.deaths_alone):
            del self._row.deaths_alone[item]
        self._write()

    def put_down(self, item: str) -> None:
        """Note that this one is not looked at now. It is not behind us: what was suspect stays so."""
        self._in_hand.discard(item)
        if self._row.alone == item:
            self._row.alone = ""
        self._write()

    def let_go(self) -> None:
        """Note an orderly stop in the middle: nothing is in hand. What was suspect stays so, and what was set aside."""
        self._in_hand = set()
        self._row.alone = ""
        self._write()

    def close(self) -> None:
        """Forget everything: the work of this scope is done."""
        InHand.objects.filter(scope=self._row.scope).delete()
        self._stored = False

    def _write(self) -> None:
        self._row.items = sorted(self.suspects | self._in_hand)
        if not (self._row.items or self._row.set_aside):
            if self._stored:
                self.close()
            return
        # One statement: two workers that were given the same message may both make the row.
        InHand.objects.bulk_create(
            [self._row],
            update_conflicts=True,
            unique_fields=["scope"],
            update_fields=["items", "alone", "deaths_alone", "set_aside"],
        )
        self._stored = True
