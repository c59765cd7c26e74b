"""Acts on a filter or a selection of the gallery: the numbers before an act, and what is left out."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from mekiki.audit.models import Event
from mekiki.exports import services as exports
from mekiki.exports.models import LabelSet, LabelSetEntry
from mekiki.exports.readme import readme
from mekiki.exports.snapshot import take_snapshot
from mekiki.learning.left_out import describe_images
from mekiki.learning.models import TrainingRun
from mekiki.learning.services import request_training
from mekiki.review.models import ConfirmedLabel, QueueItem, Stream
from mekiki.review.view_images import images_of_view
from tests.roles import set_fixed
from tests.web.test_gallery import decide, wait
from tests.web.test_gallery_acts import ACT, Selection

pytestmark = pytest.mark.django_db
USE, TRAIN = reverse("gallery-use", args=["world"]), reverse("gallery-train", args=["world"])
EXPORTS = reverse("exports", args=["world"])


class Chosen(Selection):
    """Images 4 to 7 and 10 have labels: 6 is audited, 7 is excluded. Image 3 is hidden, 8 and 9 wait."""

    def __init__(self) -> None:
        super().__init__()
        for number in (4, 5, 6, 7, 10):
            decide(self, number, self.labels[0])
        audited = ConfirmedLabel.objects.filter(image=self.images[6])
        audited.update(stream=Stream.AUDIT, in_training=False)
        self.act("exclude", image=self.ids(7), reason="blurred")
        wait(self, 9, "gold")  # measures a reviewer: the numbers must not tell

    def ask(self, act: str, *numbers: int, **query: Any) -> Any:
        """Return the page before an act on selected images, or on the images of a filter."""
        if numbers:
            return self.client.post(USE, {"act": act, "image": self.ids(*numbers), **query})
        return self.client.get(USE, {"act": act, **query})

    def ids_query(self, *numbers: int) -> str:
        return "ids=" + ".".join(str(pk) for pk in sorted(self.ids(*numbers)))


def test_numbers_before_an_act_are_those_of_the_act() -> None:
    world = Chosen()
    page = world.ask("queue", 3, 4, 6, 7, 8, 9, 20)
    text = page.content.decode()
    assert "4 images are put first in the queue." in text and "7 images were chosen." in text
    for sentence in (
        "1 image of the audit sample must be judged blind first.",
        "1 image is excluded.",
        "1 image waits already or is set aside.",
    ):
        assert sentence in text
    assert "7 images selected in the gallery" in text and world.images[3].name not in text
    query = page.context["query"]
    assert query == world.ids_query(3, 4, 6, 7, 8, 9, 20)
    text = world.client.post(ACT, {"act": "queue", "all": "1", "query": query}, follow=True).content.decode()
    assert "4 images wait first in the queue now" in text and "1 image that must be judged blind" in text
    waiting = QueueItem.objects.filter(state=QueueItem.State.WAITING).exclude(image=world.images[8])
    assert {int(item.image.sha256, 16) for item in waiting} == {4, 6, 9, 20}
    # A filter that compares hidden facts states how many images it cannot match.
    text = world.ask("queue", query="metadata=line%3D0").content.decode()
    assert "11 images are put first in the queue." in text  # of 14: 3 and 6 are hidden, 9 waits
    assert "2 images of the dataset must be judged blind first. They match no filter" in text
    # All images of the filter, from the form of the selection.
    page = world.client.post(USE, {"act": "queue", "all": "1", "query": "metadata=line%3D0&select=images"})
    assert page.context["chosen"].used == 11


def test_training_and_label_set_without_a_saved_view() -> None:
    world = Chosen()
    text = world.ask("train", 3, 4, 6, 7, 20).content.decode()
    for sentence in (
        "1 image is left out of one training.",
        "2 images are trained on.",
        "1 image is excluded and not trained on anyway.",
        "1 image of the audit sample is not trained on anyway.",
        "2 images have no label that heads are trained on.",
    ):
        assert sentence in text
    assert "No image to train on would be left" in world.ask("train", 4, 5, 10).content.decode()
    query = world.ids_query(3, 4, 6, 7, 20)
    plain = request_training(dataset=world.dataset, trigger="button", user=world.admin)
    text = world.client.post(TRAIN, {"query": query}, follow=True).content.decode()
    assert "A head is trained without 5 images selected in the gallery." in text
    assert "Trained without: 5 images selected in the gallery" in text
    run = TrainingRun.objects.exclude(pk=plain.pk).get()
    assert (run.without_view, run.without_query) == ("", query)
    assert Event.objects.filter(kind="training.requested").latest("pk").data["query"] == query
    chosen = images_of_view(world.dataset, world.admin, query)
    assert {int(image.sha256, 16) for image in chosen} == {3, 4, 6, 7, 20}
    # A label set of the same images: those with a label that are not excluded.
    page = world.ask("export", 3, 4, 6, 7, 20)
    text = page.content.decode()
    assert "2 images with a label of a person are exported." in text and "1 image is excluded." in text
    assert "2 images have no label of a person." in text and f'name="query" value="{query}"' in text
    text = world.client.post(EXPORTS, {"labels": "people", "query": "label=999"}).content.decode()
    assert "does not exist (any more)" in text and "Only images that were chosen" in text
    world.client.post(EXPORTS, {"labels": "people", "query": f"{query}&sort=sure"})
    label_set = take_snapshot(LabelSet.objects.get())
    taken = set(LabelSetEntry.objects.filter(label_set=label_set).values_list("image_id", flat=True))
    numbers = {number for number, image in enumerate(world.images) if image.pk in taken}
    assert numbers == {4, 6} and label_set.snapshot["view"] == {"name": "", "query": query}
    assert "holds only images that were chosen: 5 images selected in the gallery." in readme(label_set)
    event = Event.objects.get(kind="label_set.requested")
    assert event.data["query"] == query and "view" not in event.data
    view = world.client.post(
        reverse("gallery-view-save", args=["world"]), {"name": "v", "query": "low=1"}, follow=True
    ).context["current_view"]
    with pytest.raises(ValidationError, match="not both"):
        exports.freeze(dataset=world.dataset, user=world.admin, view=view, query=query)
    page = world.ask("export", view=view.pk)
    assert page.context["form"].initial == {"view": view.pk, "query": ""}


def test_wrong_choices_are_refused_and_change_nothing() -> None:
    world = Chosen()
    before = (TrainingRun.objects.count(), QueueItem.objects.count(), LabelSet.objects.count())
    for given in ({"act": "explode", "query": "label=1"}, {"query": "low=1"}, {"act": "queue", "view": 999}):
        assert world.client.get(USE, given).status_code == 404
    for query in ("", "text=a", "label=999", "ids=1.x", "ids=-1", "ids=" + "1." * 1000 + "1", "sort=sure"):
        for act in ("queue", "train", "export"):
            reply = world.client.get(USE, {"act": act, "query": query}, follow=True)
            assert "Nothing was changed" in reply.content.decode(), (act, query)
        reply = world.client.post(TRAIN, {"query": query}, follow=True)
        assert "Nothing was changed" in reply.content.decode()
    assert "Select images first" in world.client.post(USE, {"act": "train"}, follow=True).content.decode()
    # Ids of other datasets match nothing, and nobody but admins may ask.
    page = world.client.post(USE, {"act": "train", "image": ["999999999", "x"]})
    assert page.context["chosen"].matching == 0
    for address in (USE, TRAIN):
        given = {"act": "train", "query": "low=1"}
        assert world.reviewer_client.post(address, given).status_code == 403
    assert before == (TrainingRun.objects.count(), QueueItem.objects.count(), LabelSet.objects.count())
    # In words.
    assert describe_images("線 1", "low=1") == "the images of the saved view “線 1” (low=1)"
    words = describe_images("", "low=1&metadata=line%3DA")
    assert words == "the images of a filter of the gallery (low=1, metadata=line=A)"
    set_fixed(world.images[5], audit_key=0.1)  # judged already, so it hides nothing
    assert world.ask("queue", 5).context["chosen"].used == 1
