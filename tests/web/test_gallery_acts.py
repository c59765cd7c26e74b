"""Saved views of the gallery, and acts on selected images and on all images of a filter."""

import pytest
from django.test import Client
from django.urls import reverse

from mekiki.accounts.models import Membership, Role, User
from mekiki.audit.models import Event
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.services import claim
from mekiki.labeling.models import Label
from mekiki.review import services
from mekiki.review.errors import InvalidAnswerError
from mekiki.review.models import (
    BulkAct,
    ConfirmedLabel,
    Decision,
    ImageTag,
    QueueItem,
    SavedView,
    Stream,
    Tag,
)
from mekiki.review.services import bulk_acts
from tests.roles import set_fixed
from tests.web.test_gallery import World, decide, wait
from workers.runner import Report
from workers.stages import bulk_act

pytestmark = pytest.mark.django_db
GALLERY, ACT = reverse("images", args=["world"]), reverse("gallery-act", args=["world"])


class Selection(World):
    """A world with an admin, in which image 3 is in the audit reserve and image 8 waits."""

    def __init__(self) -> None:
        super().__init__(40)
        self.admin = User.objects.create_user("ada")
        Membership.objects.create(dataset=self.dataset, user=self.admin, role=Role.ADMIN)
        self.reviewer_client, self.client = self.client, Client(headers={"accept-language": "en"})
        self.client.force_login(self.admin)
        set_fixed(self.images[3], audit_key=0.1)
        wait(self, 8, "uncertain")

    def act(self, act: str, **data: object) -> str:
        reply = self.client.post(ACT, {"act": act, **data}, follow=True)
        assert reply.status_code == 200
        return reply.content.decode()

    def ids(self, *numbers: int) -> list[int]:
        return [self.images[number].pk for number in numbers]

    def rechecks(self) -> set[int]:
        items = QueueItem.objects.filter(stream=Stream.RECHECK, state=QueueItem.State.WAITING)
        return {int(item.image.sha256, 16) for item in items.select_related("image")}


def test_view_is_saved_opened_used_and_deleted() -> None:
    world = Selection()
    query = "metadata=line%3D1&low=52&sort=sure&after=0.5:1"
    save = reverse("gallery-view-save", args=["world"])
    page = world.client.post(save, {"name": "  線 1 ", "query": query}, follow=True)
    view = SavedView.objects.get()
    assert view.name == "線 1" and view.query == "low=52&metadata=line%3D1"
    text = page.content.decode()
    assert "View: 線 1" in text and "Delete this view" in text and "Save this view" not in text
    taken = world.client.post(save, {"name": "線 1", "query": "low=1"}, follow=True).content.decode()
    assert "Another view has this name" in taken and "Save this view" in taken
    for bad, problem in (
        ("", "Set a filter"),
        ("label=999", "does not exist"),
        ("text=a", "results of a search are"),
    ):
        reply = world.client.post(save, {"name": "n", "query": bad}, follow=True).content.decode()
        assert problem in reply, bad
    # All members open it, and only admins act on it.
    reviewer = world.reviewer_client
    opened = reviewer.get(reverse("gallery-view", args=["world", view.pk]), follow=True)
    assert "View: 線 1" in opened.content.decode() and "Send all" not in opened.content.decode()
    assert reviewer.post(ACT, {"act": "queue", "view": view.pk}).status_code == 403
    assert reviewer.post(reverse("gallery-view-delete", args=["world", view.pk])).status_code == 403
    expected = set(world.numbers(low="52", metadata="line=1"))
    assert 3 not in expected and len(expected) > 5
    text = world.act("queue", view=view.pk)
    assert f"{len(expected)} images wait first in the queue now" in text and world.rechecks() == expected
    event = Event.objects.get(kind="images.acted_on")
    assert event.data["view"] == "線 1" and event.data["changed"] == len(expected)
    world.client.post(reverse("gallery-view-delete", args=["world", view.pk]))
    assert not SavedView.objects.exists()
    stranger = Client()
    stranger.force_login(User.objects.create_user("sam"))
    assert stranger.get(reverse("gallery-view", args=["world", view.pk])).status_code == 404


def test_selected_images_are_sent_to_review_without_blind_ones() -> None:
    world = Selection()
    page = world.client.get(GALLERY, {"select": "images"}).content.decode()
    assert page.count("data-select\n") + page.count("data-select>") == 39  # not the hidden image
    assert "data-select" not in world.reviewer_client.get(GALLERY, {"select": "images"}).content.decode()
    text = world.act("queue", image=world.ids(2, 3, 8))
    assert world.rechecks() == {2}
    assert "1 image waits first in the queue now" in text and "For 1 image nothing changed" in text
    assert "1 image that must be judged blind was left out" in text
    assert "Select 1 to" in world.act("queue") and world.rechecks() == {2}
    assert world.client.post(ACT, {"act": "queue", "image": [10**9]}).status_code == 404
    assert "no such act" in world.act("explode", image=world.ids(2))


def test_number_of_sent_images_does_not_tell_which_images_are_tests() -> None:
    """A test is withdrawn, and an image of the audit sample is judged blind again."""
    world = Selection()
    for number in (4, 5):
        decide(world, number, world.labels[0])
    ConfirmedLabel.objects.filter(image=world.images[5]).update(stream=Stream.AUDIT, in_training=False)
    test = wait(world, 4, "gold")
    QueueItem.objects.filter(pk=wait(world, 6, "uncertain").pk).update(state=QueueItem.State.SET_ASIDE)
    text = world.act("queue", image=world.ids(4, 5, 6, 7))
    assert "3 images wait first in the queue now" in text and "For 1 image nothing changed" in text
    test.refresh_from_db()
    assert test.state == QueueItem.State.WITHDRAWN
    waiting = QueueItem.objects.filter(state=QueueItem.State.WAITING).exclude(image=world.images[8])
    waiting = waiting.order_by("position")
    assert [(int(item.image.sha256, 16), item.stream) for item in waiting] == [
        (4, "recheck"),
        (5, "audit"),
        (7, "recheck"),
    ]


def test_selected_labels_are_corrected_with_a_decision_for_each_image() -> None:
    world = Selection()
    good, scratch = world.labels
    for number in (2, 4, 5):
        decide(world, number, good if number < 5 else scratch)
    address = reverse("gallery-correct", args=["world"])
    data = {
        "image": world.ids(2, 3, 4, 5, 6),
        "label": scratch.pk,
        "head": world.heads[1].version,
        "client_key": "6f2f9a44-5d1b-4f0e-9d3c-6c1f8f6c1a11",
    }
    text = world.client.post(address, data, follow=True).content.decode()
    assert "Your answers for 2 images are recorded." in text
    assert "1 image: This image must be judged without seeing a prediction" in text
    assert "1 image: This image has no confirmed label" in text
    assert "1 image: The image has the label" in text
    labels = dict(ConfirmedLabel.objects.values_list("image_id", "label_id"))
    assert labels == dict.fromkeys(world.ids(2, 4, 5), scratch.pk)
    assert Decision.objects.filter(user=world.admin).count() == 2
    # The same request again repeats nothing.
    world.client.post(address, data)
    assert Decision.objects.filter(user=world.admin).count() == 2
    assert "Select 1 to 60" in world.client.post(address, data | {"image": []}, follow=True).content.decode()
    assert world.client.post(address, data | {"label": 10**9}).status_code == 404


def test_tags_are_added_filtered_counted_and_removed() -> None:
    world = Selection()
    assert "1 image has the tag “rework” now" in world.act("tag", image=world.ids(4), tag=" rework ")
    text = world.act("tag", image=world.ids(3, 4, 5), tag="Rework")
    assert "1 image has the tag" in text and "left out" in text
    tag = Tag.objects.get()
    assert world.numbers(tag=str(tag.pk)) == [5, 4]
    facets = world.client.get(reverse("image-facets", args=["world"])).context["facets"]
    (facet,) = [one for one in facets.facets if one.code == "tag"]
    assert [(value.name, value.count.n) for value in facet.values] == [("rework", 2)]
    # An image that must be judged blind later is not found by its tag.
    wait(world, 5, "audit")
    assert world.numbers(tag=str(tag.pk)) == [4]
    assert "No image has this tag" in world.act("untag", image=world.ids(4), tag="other")
    assert "was removed from 1 image" in world.act("untag", image=world.ids(4), tag="rework")
    assert ImageTag.objects.count() == 1
    assert "Write a name" in world.act("tag", image=world.ids(4), tag=" ")


def test_large_act_is_a_job_that_continues_after_its_worker_was_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Selection()
    monkeypatch.setattr(bulk_acts, "AT_ONCE", 5)
    monkeypatch.setattr(bulk_acts, "STEP", 4)
    good = str(world.labels[0].pk)
    expected = set(world.numbers(label=good)) - {8}
    text = world.act("queue", all="1", query=f"label={good}&select=images")
    assert "runs in the background" in text and not world.rechecks()
    act = BulkAct.objects.get()
    job = claim(str(Job.objects.get(kind=Kind.BULK_ACT).pk))
    assert job is not None and job.payload == {"act": act.pk}
    bulk_acts._do_step(act.pk)  # one step, after which the worker is killed
    world.add(4)  # images imported in the meantime are not acted on
    assert bulk_act.run(job, Report(job)) == {"changed": len(expected), "unchanged": 1, "left_out": 0}
    assert world.rechecks() == expected
    assert bulk_act.run(job, Report(job))["changed"] == len(expected)
    assert Event.objects.filter(kind="images.acted_on").count() == 1


def test_act_whose_filter_lost_its_value_is_refused_and_acts_on_no_other_image() -> None:
    world = Selection()
    good = world.labels[0]
    view = services.save_view(dataset=world.dataset, user=world.admin, name="v", query=f"label={good.pk}")
    Label.objects.filter(pk=good.pk).update(archived_at="2026-01-01T00:00:00Z")
    assert "does not exist (any more)" in world.act("queue", view=view.pk)
    assert not world.rechecks()
    with pytest.raises(InvalidAnswerError):
        services.start_bulk_act(
            dataset=world.dataset, user=world.admin, act="queue", images=services.ImageChoice(query="")
        )


def test_programs_save_views_and_act_on_them() -> None:
    world = Selection()
    views = reverse("api:views", args=["world"])
    made = world.client.post(views, {"name": "line 1", "query": "metadata=line%3D1"}, "application/json")
    assert made.status_code == 201
    (listed,) = world.client.get(views).json()
    assert listed["id"] == made.json()["id"] and listed["url"].endswith(f"/views/{listed['id']}/")
    acts = reverse("api:bulk-acts", args=["world"])
    reply = world.client.post(acts, {"act": "tag", "tag": "t", "view": listed["id"]}, "application/json")
    assert reply.status_code == 200 and reply.json()["finished"]
    assert reply.json()["changed"] == len(world.numbers(metadata="line=1"))
    one = reverse("api:bulk-act", args=["world", reply.json()["id"]])
    assert world.client.get(one).json() == reply.json()
    assert world.client.post(acts, {"act": "queue"}, "application/json").status_code == 422
    assert (
        world.reviewer_client.post(acts, {"act": "queue", "view": 1}, "application/json").status_code == 403
    )
    assert world.client.delete(reverse("api:view", args=["world", listed["id"]])).status_code == 204
