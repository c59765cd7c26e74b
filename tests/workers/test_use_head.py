"""Promoting a head by hand: it predicts first, and known prompts do not replace it."""

from collections.abc import Callable
from typing import Any

import pytest

from mekiki.audit.models import Event
from mekiki.jobs.models import Job, Kind, State
from mekiki.labeling.services import archive_label, set_schema
from mekiki.learning.models import Champion, Head, Prediction
from mekiki.learning.services import request_promotion, store_predictions
from mekiki.review.models import QueueItem
from tests.workers.conftest import COLOURS, PROMPTS, add_image, picture
from workers.errors import StageError
from workers.steps import predictions

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]


def rewrite_prompts(dataset: Any, admin: Any, text: str) -> None:
    labels = [{"name": name, "prompts": [f"{text} {name}"]} for name in PROMPTS]
    set_schema(dataset=dataset, labels=labels, user=admin)


@pytest.fixture
def scene(coloured: Any, work: Work, answer_queue: Callable[..., int]) -> tuple[Any, Any]:
    """Create (dataset, admin): head 1 by the first prompts, head 2 by newer prompts, head 3 in use.

    Head 3 is trained.
    """
    admin = coloured.memberships.get(role="admin").user
    work(coloured, "encode")
    work(coloured, "predict")
    rewrite_prompts(coloured, admin, "a close view of something")
    work(coloured, "predict")
    answer_queue(coloured)
    work(coloured, "train")
    assert Champion.objects.get().head.version == 3
    Job.objects.filter(state=State.QUEUED).delete()
    return coloured, admin


def test_chosen_head_predicts_every_image_before_the_switch(
    scene: tuple[Any, Any], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, admin = scene
    first = Head.objects.get(version=1)
    predictions_in_use = []

    def store(**arguments: Any) -> int:
        stored = store_predictions(**arguments)
        in_use = Champion.objects.get().head
        predictions_in_use.append((in_use.version, Prediction.objects.filter(head=in_use).count()))
        return stored

    monkeypatch.setattr(predictions, "store_predictions", store)
    monkeypatch.setattr(predictions, "CHUNK", 10)
    request_promotion(dataset=dataset, head=first, user=admin)
    result = work(dataset, "predict")
    assert result["head"] == 1 and result["predicted"] == 30
    assert predictions_in_use == [(3, 30)] * 3, "the old predictions stay until the new ones are complete"
    assert Champion.objects.get().head == first
    assert Champion.objects.get().reason == {"code": "by_hand", "user": "admin", "prompts": 2}
    assert set(Prediction.objects.values_list("head__version", flat=True)) == {1}
    waiting = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    assert waiting.exists() and set(waiting.values_list("head__version", flat=True)) == {1}
    event = Event.objects.filter(kind="head.promoted").latest("pk")
    assert event.actor_name == "admin" and event.data["replaced"] == 3
    assert event.data["reason"]["code"] == "by_hand"
    assert not Job.objects.filter(kind=Kind.TRAIN, state=State.QUEUED).exists(), (
        "no training undoes the choice"
    )


def test_chosen_head_stays_for_new_images_but_not_for_new_prompts(scene: tuple[Any, Any], work: Work) -> None:
    dataset, admin = scene
    request_promotion(dataset=dataset, head=Head.objects.get(version=1), user=admin)
    work(dataset, "predict")
    add_image(dataset, picture(COLOURS["red"], 700), "red-700.png", 0.9)
    work(dataset, "encode")
    assert work(dataset, "predict")["predicted"] == 1
    assert Champion.objects.get().head.version == 1
    rewrite_prompts(dataset, admin, "yet another view of")
    work(dataset, "predict")
    champion = Champion.objects.get()
    assert champion.head.version == 4 and champion.reason["code"] == "new_prompts"
    assert Prediction.objects.filter(head=champion.head).count() == 31


def test_promotion_that_became_impossible_keeps_the_head_in_use(scene: tuple[Any, Any], work: Work) -> None:
    dataset, admin = scene
    request_promotion(dataset=dataset, head=Head.objects.get(version=1), user=admin)
    archive_label(label=dataset.labels.get(name="blue"), user=admin, confirmed=True)
    Job.objects.filter(state=State.QUEUED).exclude(payload__has_key="head").delete()
    with pytest.raises(StageError, match=r"The head in use stays\. .*“blue”"):
        work(dataset, "predict")
    assert Champion.objects.get().head.version == 3
    assert Prediction.objects.filter(head__version=3).count() == 30
