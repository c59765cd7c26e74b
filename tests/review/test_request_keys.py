"""A key of a request records one decision, and is refused for another request."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from mekiki.accounts.services import set_adjudicator
from mekiki.review import services
from mekiki.review.errors import ReviewError
from mekiki.review.models import Decision
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


def _acts(station: Station, user: Any) -> dict[str, Callable[[uuid.UUID], Any]]:
    """Return the acts that record a decision for a key. Each is possible at the same moment."""
    skipped = station.answer(user, station.next(user)[0], "skip")
    answered = station.answer(user, station.next(user)[0])
    (held,) = station.next(user)
    common = {"dataset": station.dataset, "user": user}
    label = station.labels[2]
    return {
        "answer": lambda key: station.answer(user, held, "confirm", client_key=key),
        "undo": lambda key: station.undo(user, key),
        "undo of a page": lambda key: services.undo_page(**common, client_key=key),
        "own correction": lambda key: services.correct_own_answer(
            **common, decision_id=answered.pk, label_id=label.pk, client_key=key
        ),
        "correction": lambda key: services.correct_label(
            **common, image_id=answered.image_id, label_id=label.pk, client_key=key,
            head_version=station.head.version,
        ),
        "answer of a skip": lambda key: services.answer_unresolved(
            **common, decision_id=skipped.pk, label_id=label.pk, client_key=key
        ),
        "ruling": lambda key: services.rule(
            **common, item_id=held.item.pk, label_id=label.pk, note="because", client_key=key
        ),
    }  # fmt: skip


ACTS = ["answer", "undo", "undo of a page", "own correction", "correction", "answer of a skip", "ruling"]


@pytest.mark.parametrize("act", ACTS)
def test_key_of_another_request_is_refused_and_the_earlier_answer_stays(act: str):
    station = Station(items=4)
    user = station.reviewer("admin")
    set_adjudicator(dataset=station.dataset, user=user, adjudicator=True, actor=user)
    acts = _acts(station, user)
    assert sorted(acts) == sorted(ACTS)
    used = Decision.objects.filter(kind="confirm" if "undo" in act else "skip").get()
    before = Decision.objects.count()
    with pytest.raises(ReviewError) as error:
        acts[act](used.client_key)
    assert error.value.code == "key_used"
    assert Decision.objects.count() == before


def test_key_of_a_request_sent_again_returns_its_decision():
    for act in set(ACTS) - {"undo of a page", "ruling"}:  # tests of the grid and of rulings have these
        station = Station(items=4)
        user = station.reviewer("admin")
        acts = _acts(station, user)
        key = uuid.uuid4()
        first = acts[act](key)
        before = Decision.objects.count()
        again = acts[act](key)
        assert (again, again.duplicate) == (first, True), act
        assert Decision.objects.count() == before
