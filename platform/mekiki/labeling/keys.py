"""The keys of the labels. A label keeps its key until a person gives it another: reviewers answer by heart."""

from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

KEYS = 9  # labels beyond these have no key of their own: they are found by typing


def key_of(position: int) -> int | None:
    """The key 1 … 9 that gives the label at this position; None above 9."""
    return position if 1 <= position <= KEYS else None


def assign_positions(wanted: Sequence[tuple[int | None, int | None]], last: int) -> list[int]:
    """The positions of the labels of a schema, in the order they are listed.

    wanted: of each label the position a person wrote, and the one it has; None where there is none. last: the highest
    position in use. A position that was written counts. Labels without one keep theirs, exchanged among themselves
    where the list has them in another order. New labels come after the last; gaps stay.

    ValidationError: one position is written twice.
    """
    written = [position for position, _own in wanted if position]
    repeated = next((p for p in written if written.count(p) > 1), None)
    if repeated is not None:
        raise ValidationError(
            _("Two labels have the key %(key)d. Give each label a key of its own.") % {"key": repeated},
            code="duplicate_key",
        )
    taken = set(written)
    own = iter(sorted(own for position, own in wanted if not position and own))
    last = max([last, *written])
    positions = []
    for position, before in wanted:
        place = position or (next(own) if before else None)
        if place is None or (not position and place in taken):
            place = last = last + 1
        taken.add(place)
        positions.append(place)
    return positions
