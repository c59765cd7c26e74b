"""The next images of a reviewer, alone or after an answer in one request."""

import logging

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.datasets.models import Dataset
from mekiki.review.empty_queue import EmptyQueue, empty_queue_reason
from mekiki.review.selectors import waiting_count
from mekiki.review.services.grid import GridPage, next_page
from mekiki.review.services.leases import LeasedItem, next_items
from mekiki.review.services.queue import request_refill

logger = logging.getLogger(__name__)


def next_or_reason(*, dataset: Dataset, user: User, count: int) -> tuple[list[LeasedItem], EmptyQueue | None]:
    """Return the items of next_items, or the reason why there is none. A refill is then requested.

    Raises PermissionDenied if the user is not a reviewer.
    """
    require_role(user, dataset, Role.REVIEWER)
    leased = next_items(dataset=dataset, user=user, count=count)
    if leased:
        return leased, None
    request_refill(dataset=dataset, waiting=waiting_count(dataset, user))
    return [], empty_queue_reason(dataset, user)


def next_after_answer(
    *, dataset: Dataset, user: User, count: int
) -> tuple[list[LeasedItem], EmptyQueue | None] | None:
    """Return next_or_reason after an answer that is committed, or None if that fails.

    The sender must learn that its answer is kept, so an error here is logged and not raised. Raises
    PermissionDenied if the user is not a reviewer.
    """
    require_role(user, dataset, Role.REVIEWER)
    try:
        return next_or_reason(dataset=dataset, user=user, count=count)
    except Exception:
        logger.exception("After an answer in %s, no further images could be leased.", dataset.slug)
        return None


def page_after_answers(
    *, dataset: Dataset, user: User, label_id: int | None = None, count: int = 24
) -> GridPage | None:
    """Return the next page of the grid after answers that are committed, or None if that fails.

    The sender must learn that the answers are kept, so an error here is logged and not raised. Raises
    PermissionDenied if the user is not a reviewer.
    """
    require_role(user, dataset, Role.REVIEWER)
    try:
        return next_page(dataset=dataset, user=user, label_id=label_id, count=count)
    except Exception:
        logger.exception("After a page of the grid in %s, no further page could be leased.", dataset.slug)
        return None
