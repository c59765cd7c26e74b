"""The seals of a label set's decisions, and the hashes that lead from the rows to the signed roots."""

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from mekiki.audit.models import Seal, SealLeaves, SigningKey
from mekiki.audit.sealing import last_sealed_id, seal_new_rows, signed_facts_of
from mekiki.exports.models import LabelSet
from verification import merkle

DECISIONS, EVENTS = "decisions", "events"


def horizons(label_set: LabelSet) -> dict[str, int]:
    """Return table → largest id that the label set names, for the tables of which it names rows."""
    record = label_set.snapshot.get("certificate") or {}
    decisions = [label_set.snapshot["decision_horizon"], record.get("decision_horizon")]
    newest = {
        DECISIONS: max((pk for pk in decisions if pk is not None), default=None),
        EVENTS: record.get("event_horizon"),
    }
    return {table: pk for table, pk in newest.items() if pk is not None}


class NotSealedError(ValidationError):
    """An error for decisions that are not sealed, because others write to their table for a long time."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "Not every decision could be sealed yet, because other work on this platform is recording "
                "decisions. Nothing was written. Freeze the label set again in a moment."
            )
        )


def seal_decisions(label_set: LabelSet, *, patience: float = 60.0, progress: Callable[[], None]) -> None:
    """Seal every decision and event that a label set names.

    Raises NotSealedError if other transactions write for longer than `patience` seconds, and SigningKeyError
    if the signing key cannot be used.
    """
    named = horizons(label_set)
    if _are_sealed(named):
        return
    seal_new_rows(progress=lambda _done, _total: progress(), patience=patience)
    if not _are_sealed(named):
        raise NotSealedError


def _are_sealed(named: dict[str, int]) -> bool:
    return all((last_sealed_id(table) or 0) >= pk for table, pk in named.items())


class SealIndex:
    """The positions of rows under the seals, with a record of the positions that were requested.

    It uses 8 bytes of memory for each row under a seal of which a position was requested.
    """

    def __init__(self, newest: dict[str, int]) -> None:
        """Read the seals. `newest` maps a table to the largest id that will be requested."""
        self._seals: dict[str, list[Seal]] = {}
        self._last: dict[str, list[int]] = {}
        for table, horizon in newest.items():
            seals = Seal.objects.filter(table=table, first_id__lte=horizon).order_by("number")
            self._seals[table] = list(seals.defer("log_peaks"))
            self._last[table] = [seal.last_id for seal in self._seals[table]]
        self._ids: dict[int, array[int]] = {}
        self._asked: dict[int, bytearray] = {}

    def place_of(self, pk: int, table: str = DECISIONS) -> tuple[int, int]:
        """Return (number of the seal, index under it) of a row.

        Raises NotSealedError if no seal covers the row.
        """
        last = self._last.get(table, [])
        at = bisect_left(last, pk)
        if at == len(last):
            raise NotSealedError
        number = self._seals[table][at].number
        ids = self._ids.get(number)
        if ids is None:
            kept = SealLeaves.objects.only("ids").get(seal_id=number)
            ids = self._ids[number] = array("q", bytes(kept.ids))
            if sys.byteorder == "little":  # ids are stored with the high byte first
                ids.byteswap()
            self._asked[number] = bytearray(len(ids))
        index = bisect_left(ids, pk)
        if index == len(ids) or ids[index] != pk:
            raise NotSealedError
        self._asked[number][index] = 1
        return number, index

    def proofs(self) -> Iterator[dict[str, Any]]:
        """Yield each seal with a requested row, and the hashes of everything that was not requested.

        "before" holds the hashes of the seals between the previous seal of the list and this seal. "gaps"
        holds the hashes of the rows of this seal that were not requested.
        """
        wanted = sorted(self._asked)
        if not wanted:
            return
        hashes = [
            bytes(stored)
            for stored in Seal.objects.filter(number__lte=wanted[-1])
            .order_by("number")
            .values_list("hash", flat=True)
        ]
        facts = {
            seal.number: signed_facts_of(seal)
            for seal in Seal.objects.filter(number__in=wanted).select_related("key")
        }
        done = 0
        for number in wanted:
            yield {
                "seal": facts[number].as_json(),
                "before": _hex(hashes, done, number - 1),
                "gaps": self._gaps(number),
            }
            done = number

    def _gaps(self, number: int) -> str:
        kept = bytes(SealLeaves.objects.only("hashes").get(seal_id=number).hashes)
        leaves = [leaf for (leaf,) in struct.iter_unpack("32s", kept)]
        return "".join(_hex(leaves, start, stop) for start, stop in gaps_of(self._asked[number]))

    def keys(self) -> list[dict[str, str]]:
        """Return the public keys that signed the seals with requested rows, the oldest first."""
        used = Seal.objects.filter(number__in=list(self._asked)).values("key_id")
        return [
            {"fingerprint": key.fingerprint, "public_pem": key.public_pem}
            for key in SigningKey.objects.filter(pk__in=used).order_by("pk")
        ]


def gaps_of(present: bytearray) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of each run of zeros."""
    start = present.find(0)
    while start >= 0:
        stop = present.find(1, start)
        stop = len(present) if stop < 0 else stop
        yield start, stop
        start = present.find(0, stop)


def _hex(leaves: list[bytes], start: int, stop: int) -> str:
    """Return the hashes of the subtrees that cover the leaves start … stop - 1, in hexadecimal digits."""
    return "".join(
        merkle.root_of(leaves[at : at + (1 << level)]).hex() for at, level in merkle.subtrees(start, stop)
    )
