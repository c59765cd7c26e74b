"""The decision that was recorded for the key of a request, so that a request sent again is recorded once."""

from collections.abc import Callable, Iterable
from uuid import UUID

from django.utils.translation import gettext as _

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset
from mekiki.review.errors import ReviewError
from mekiki.review.models import Decision
from mekiki.review.services.queries import ANSWER_OF_KEY


def decision_of_key(*, user: User, client_key: UUID, same: Callable[[Decision], bool]) -> Decision | None:
    """Return the decision that the user's key has recorded, with `duplicate` set, or None for a new key.

    same: returns whether the decision is what the present request asks for. Otherwise the key belongs to
    another request. Raises ReviewError then. The caller holds the reviewer's lock.
    """
    sent = ANSWER_OF_KEY.first(user=user.pk, key=client_key)
    if sent is None:
        return None
    if not same(sent):
        raise ReviewError(
            "key_used",
            _("This answer has the same key as an earlier answer. The earlier answer is kept; answer again."),
        )
    sent.duplicate = True
    return sent


def decisions_of_keys(dataset: Dataset, user: User, keys: Iterable[UUID]) -> list[Decision]:
    """Return the user's decisions in the dataset that these keys have recorded, with `duplicate` set."""
    sent = list(Decision.objects.filter(dataset=dataset, user=user, client_key__in=list(keys)))
    for decision in sent:
        decision.duplicate = True
    return sent
