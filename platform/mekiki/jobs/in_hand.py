"""The items that a worker is processing, stored before it processes them.

An image can kill the process that decodes it, because of a fault in a decoder or too little memory. After
such a death, the items that the worker was processing are suspects. The next worker processes the suspects
one at a time. If a worker dies twice while it processes a single item alone, that item is set aside with its
name and the reason. The work continues with the other items.
"""

from collections.abc import Iterable

from mekiki.jobs.models import InHand

# A worker can be killed for another reason at the same moment, so one death is no proof.
DEATHS_ALONE = 2


class ItemsInHand:
    """The items of one scope (an import, a chunk of images, …) that one worker is processing.

    Items are short texts. `suspects` are the items that an earlier worker was processing when it died; they
    must be started with `begin_alone`. `set_aside` are the items that are not processed any more.
    `just_set_aside` are the items that this constructor call has set aside.
    """

    def __init__(self, scope: str) -> None:
        row = InHand.objects.filter(scope=scope).first()
        self._stored = row is not None
        self._row = row or InHand(scope=scope)
        self._in_hand: set[str] = set()
        self.suspects: set[str] = set(self._row.items)
        self.just_set_aside: set[str] = set()
        if item_of_dead_worker := self._row.alone:
            times = self._row.deaths_alone.get(item_of_dead_worker, 0) + 1
            self._row.deaths_alone[item_of_dead_worker] = times
            self._row.alone = ""
            if times >= DEATHS_ALONE:
                self.just_set_aside = {item_of_dead_worker}
                self._row.set_aside = sorted({*self._row.set_aside, item_of_dead_worker})
                self.suspects.discard(item_of_dead_worker)
                del self._row.deaths_alone[item_of_dead_worker]
            self._write()

    @property
    def set_aside(self) -> set[str]:
        """Return the items with which workers died."""
        return set(self._row.set_aside)

    def begin(self, items: Iterable[str]) -> None:
        """Store that the worker now starts to process these items together."""
        self._in_hand |= set(items)
        self._row.alone = ""
        self._write()

    def begin_alone(self, item: str) -> None:
        """Store that the worker now processes this item and no other item."""
        self._in_hand = {item}
        self._row.alone = item
        self._write()

    def done(self, items: Iterable[str]) -> None:
        """Store that these items are finished."""
        ended = set(items)
        self._in_hand -= ended
        self.suspects -= ended
        if self._row.alone in ended:
            self._row.alone = ""
        for item in ended & set(self._row.deaths_alone):
            del self._row.deaths_alone[item]
        self._write()

    def mark_unfinished(self, item: str) -> None:
        """Store that this item is not being processed now, although it is not finished.

        A suspect item stays a suspect.
        """
        self._in_hand.discard(item)
        if self._row.alone == item:
            self._row.alone = ""
        self._write()

    def release_all(self) -> None:
        """Store that the worker stops in an orderly way and is processing no item.

        Suspect items and items that were set aside stay so.
        """
        self._in_hand = set()
        self._row.alone = ""
        self._write()

    def close(self) -> None:
        """Delete the row, because the work of this scope is finished."""
        InHand.objects.filter(scope=self._row.scope).delete()
        self._stored = False

    def _write(self) -> None:
        self._row.items = sorted(self.suspects | self._in_hand)
        if not (self._row.items or self._row.set_aside):
            if self._stored:
                self.close()
            return
        # One statement, because two workers that received the same message may both create the row.
        InHand.objects.bulk_create(
            [self._row],
            update_conflicts=True,
            unique_fields=["scope"],
            update_fields=["items", "alone", "deaths_alone", "set_aside"],
        )
        self._stored = True
