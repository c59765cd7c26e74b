"""The services of overlap and adjudication with the users that they refuse (test_services_refuse.CASES)."""

import uuid
from typing import Any

from mekiki.accounts import services as accounts
from mekiki.review import services as review

KEY = uuid.UUID(int=8)

# Each case: the service, a role that is too low, and the arguments for a ServiceArguments.
ADJUDICATION: dict[str, Any] = {
    "accounts/services.py:set_adjudicator": (
        accounts.set_adjudicator,
        "reviewer",
        lambda w: {"dataset": w.dataset, "user": w.other, "adjudicator": True},
    ),
    "review/services/adjudicating.py:rule": (
        review.rule,
        "reviewer",
        lambda w: {
            "dataset": w.dataset,
            "item_id": w.leased.item.pk,
            "label_id": w.label.pk,
            "note": "x",
            "client_key": KEY,
        },
    ),
    "review/services/adjudicating.py:undo_ruling": (
        review.undo_ruling,
        "reviewer",
        lambda w: {"dataset": w.dataset, "client_key": KEY},
    ),
    "review/services/adjudicating.py:add_ruled_image_to_guideline": (
        review.add_ruled_image_to_guideline,
        "reviewer",
        lambda w: {"dataset": w.dataset, "decision_id": 1, "accepted": True},
    ),
    "review/services/adjudicating.py:recheck_doubted": (
        review.recheck_doubted,
        "reviewer",
        lambda w: {"dataset": w.dataset, "decision_id": 1, "image_ids": [1]},
    ),
    "review/services/overlap.py:set_overlaps": (
        review.set_overlaps,
        "reviewer",
        lambda w: {"dataset": w.dataset, "streams": {"audit": 2}, "labels": {}},
    ),
}
