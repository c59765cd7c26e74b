"""The keys of the labels on the keyboard.

A label keeps its key until a person changes it, because reviewers remember the keys.
"""

from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

KEYS = 9  # labels beyond these have no key; a reviewer finds them by typing


def key_of(position: int) -> int | None:
    """Return the key (1 … 9) of the label at this position, or None above 9."""
    return position if 1 <= position <= KEYS else None


def assign_positions(wanted: Sequence[tuple[int | None, int | None]], last: int) -> list[int]:
    """Return the positions of the labels of a schema, in the order of the list.

    `wanted` holds for each label the position that a person wrote and its present position, or None. `last`
    is the highest position in use. A written position is used as it is. Labels without a written position
    keep their present positions, but exchange them if the list has another order. New labels come after the
    last. Gaps stay.

    Raises ValidationError if one position is written twice.
    """
    written = [position for position, _own in wanted if position]
    repeated = next((p for p in written if written.count(p) > 1), None)
    if repeated is not None:
        raise ValidationError(
            _("Two labels have the key %(key)d. Give each label a different key.") % {"key": repeated},
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
