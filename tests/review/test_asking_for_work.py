"""Work that cannot succeed or would change nothing is not requested: refills, predictions, trainings."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db.models import F
from django.test import Client
from django.utils import timezone

from mekiki.audit.models import Event
from mekiki.datasets.services import update_settings
from mekiki.jobs.models import Job, Kind, State
from mekiki.labeling.services import add_label, archive_label, set_schema
from mekiki.learning.models import Head, TrainingRun
from mekiki.learning.services import request_scheduled_training, request_training
from mekiki.review import services
from mekiki.review.models import Decision, QueueItem
from tests.factories import DatasetFactory, ImageFactory, LabelFactory, MembershipFactory, UserFactory
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


class Browser:
    """A reviewer with the station open."""

    def __init__(self, dataset: Any) -> None:
        self.user = UserFactory()
        MembershipFactory(dataset=dataset, user=self.user, role="reviewer")
        self.client = Client()
        self.client.force_login(self.user)
        self.url = f"/api/v1/datasets/{dataset.slug}/review/"

    def post(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = self.client.post(self.url + action, body, content_type="application/json")
        assert reply.status_code == 200, reply.content
        return reply.json()

    def poll(self) -> dict[str, Any]:
        return self.post("next", {"count": 3})


def finish(job: Job, state: State = State.SUCCEEDED, **more: Any) -> None:
    """Finish a job as a worker does: it started after everything that happened, and has ended."""
    now = timezone.now()
    fields = {"state": state, "started_at": now, "finished_at": now, **more}
    Job.objects.filter(pk=job.pk).update(**fields)


def make_exhausted_station() -> tuple[Station, Browser]:
    """Create a dataset of two answered images, for which a refill has found no more."""
    station = Station(items=2, queue_target=50)
    browser = Browser(station.dataset)
    for leased in station.next(browser.user, 2):
        station.answer(browser.user, leased)
    browser.poll()
    job = Job.objects.get(kind=Kind.REFILL)
    # Earlier than the pause between two refills allows.
    finish(job)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=1))
    return station, browser


def test_station_on_an_exhausted_dataset_creates_no_jobs_or_events():
    _station, browser = make_exhausted_station()
    jobs, events = Job.objects.count(), Event.objects.count()
    replies = [browser.poll() for _ in range(50)]
    assert (Job.objects.count(), Event.objects.count()) == (jobs, events)
    assert {reply["empty"]["code"] for reply in replies} == {"all_reviewed"}
    assert len({reply["empty"]["text"] for reply in replies}) == 1


def test_images_leased_to_others_cause_no_repeated_refill():
    station, browser = make_exhausted_station()
    station.item()
    other = Browser(station.dataset)
    assert other.poll()["items"]
    browser.poll()
    finish(Job.objects.latest("created_at"))
    Job.objects.update(created_at=F("created_at") - timedelta(minutes=1))
    jobs, events = Job.objects.count(), Event.objects.count()
    codes = {browser.poll()["empty"]["code"] for _ in range(50)}
    assert codes == {"held_by_others"}
    assert (Job.objects.count(), Event.objects.count()) == (jobs, events)


@pytest.mark.parametrize("change", ["image", "undo", "answer"])
def test_refill_is_requested_again_after_a_change(change: str):
    station, browser = make_exhausted_station()
    if change == "image":
        ImageFactory(dataset=station.dataset)
    elif change == "undo":
        browser.post("undo", {"client_key": str(uuid.uuid4())})
        browser.post("release", {"leases": list(browser.user.lease_set.values_list("pk", flat=True))})
        QueueItem.objects.filter(state="waiting").update(state="withdrawn")
    else:
        station.answer(browser.user, station.next(browser.user)[0] if station.item() else None)
    browser.poll()
    assert Job.objects.filter(kind=Kind.REFILL).count() == 2
    for _ in range(10):
        browser.poll()
    assert Job.objects.filter(kind=Kind.REFILL).count() == 2


@pytest.mark.parametrize("changes", [{"queue_target": 60}, {"audit_fraction": 0.4}])
def test_longer_queue_or_other_audit_share_requests_a_refill(changes: dict[str, Any]):
    station, _browser = make_exhausted_station()
    update_settings(dataset=station.dataset, user=station.reviewer("admin"), **changes)
    assert Job.objects.filter(kind=Kind.REFILL).count() == 2


@pytest.mark.parametrize("role", ["reviewer", "admin"])
def test_review_of_an_empty_dataset_requests_no_job(role: str):
    dataset = DatasetFactory()
    browser = Browser(dataset)
    page = browser.client.get(f"/d/{dataset.slug}/review/")
    assert page.status_code == 200
    for _ in range(5):
        assert browser.poll()["empty"]["code"] == "no_images"
    assert not Job.objects.exists()
    ImageFactory(dataset=dataset)
    LabelFactory(dataset=dataset)
    assert browser.poll()["empty"]["code"] == "no_predictions"
    assert not Job.objects.exists()
    del role


def test_failed_refill_is_tried_again_only_after_a_pause():
    station, browser = make_exhausted_station()
    job = Job.objects.get(kind=Kind.REFILL)
    finish(job, State.FAILED, error="no memory")
    for _ in range(20):
        browser.poll()
    assert Job.objects.count() == 1
    finish(job, State.FAILED, finished_at=timezone.now() - timedelta(minutes=11))
    for _ in range(20):
        browser.poll()
    assert Job.objects.count() == 2
    assert station.dataset.jobs.filter(state=State.QUEUED).count() == 1


def test_refill_without_changes_records_no_event():
    station = Station()
    fields = {"dataset": station.dataset, "head": station.head}
    services.fill_queue(**fields, image_ids=[], streams=[], propensities=[])
    assert not Event.objects.filter(kind="queue.filled").exists()
    image = ImageFactory(dataset=station.dataset)
    services.fill_queue(**fields, image_ids=[image.pk], streams=["audit"], propensities=[0.5])
    services.fill_queue(**fields, image_ids=[], streams=[], propensities=[])
    assert Event.objects.filter(kind="queue.filled").count() == 2  # added, withdrawn


def test_training_without_labelled_images_is_refused():
    user = UserFactory()
    dataset = DatasetFactory(admin=user)
    set_schema(dataset=dataset, labels=[{"name": "good", "prompts": ["good"]}], user=user)
    Job.objects.all().delete()
    with pytest.raises(ValidationError) as refused:
        request_training(dataset=dataset, trigger=TrainingRun.Trigger.BUTTON, user=user)
    assert refused.value.code == "nothing_confirmed"
    assert request_scheduled_training(dataset_id=dataset.pk) == "nothing to train"
    client = Client()
    client.force_login(user)
    page = client.post(f"/d/{dataset.slug}/models/train/", follow=True)
    assert b"no image outside the audit sample" in page.content
    assert not Job.objects.exists() and not TrainingRun.objects.exists()


def test_prediction_is_not_requested_while_a_label_has_no_prompt():
    user = UserFactory()
    dataset = DatasetFactory(admin=user)
    set_schema(dataset=dataset, labels=[{"name": "good", "prompts": ["good"]}], user=user)
    Job.objects.all().delete()
    add_label(dataset=dataset, name="scratch", user=user)
    other = add_label(dataset=dataset, name="dent", user=user)
    archive_label(label=other, user=user)
    assert not Job.objects.exists()
    assert not Head.objects.exists() and not Decision.objects.exists()
