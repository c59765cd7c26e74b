"""Admins mark and end gold images for a selection of the gallery."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mekiki.review import services
from mekiki.review.errors import InvalidAnswerError
from mekiki.review.models import GoldImage
from mekiki.review.services import gold_selection
from tests.factories import ImageFactory
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


class Selection:
    """A dataset with an agreed image, an image that one reviewer decided, and an image without a label."""

    def __init__(self) -> None:
        self.station = Station(items=1, overlap=2)
        self.dataset = self.station.dataset
        self.admin = self.station.reviewer("admin")
        one, two = self.station.reviewer(), self.station.reviewer()
        for user in (one, two):
            self.station.answer(user, self.station.next(user)[0])
        self.agreed = self.station.items[0].image
        self.dataset.overlap = 1
        self.single = self.station.item().image
        self.station.answer(one, self.station.next(one)[0])
        self.unlabelled = ImageFactory(dataset=self.dataset)
        self.images = [self.agreed, self.single, self.unlabelled]
        self.client = Client()
        self.client.force_login(self.admin)

    def post(self, images: list[Any], act: str = "mark", status: int = 200, **more: str) -> str:
        reply = self.client.post(
            reverse("gallery-gold", args=[self.dataset.slug]),
            {"image": [getattr(one, "pk", one) for one in images], "act": act, **more},
        )
        assert reply.status_code == status
        return reply.content.decode()

    @property
    def gold(self) -> set[int]:
        return set(GoldImage.objects.filter(ended_at=None).values_list("image_id", flat=True))


def test_only_known_labels_are_taken_and_the_others_are_listed_with_their_reason():
    case = Selection()
    text = case.post(case.images)
    assert case.gold == {case.agreed.pk}
    assert "1 image is a gold image now" in text and "2 images were not taken" in text
    assert "Only one reviewer decided this label" in text and "has no confirmed label" in text
    assert case.single.name in text and case.agreed.name not in text


def test_admin_confirms_the_labels_and_ends_gold_images():
    case = Selection()
    case.post(case.images, expert="1")
    assert case.gold == {case.agreed.pk, case.single.pk}
    assert dict(GoldImage.objects.values_list("image", "source")) == {
        case.agreed.pk: "agreement",
        case.single.pk: "expert",
    }
    assert "already" in case.post([case.agreed], expert="1")
    text = case.post([case.single, case.unlabelled], act="end")
    assert case.gold == {case.agreed.pk}
    assert "1 gold image was ended" in text and "This image is no gold image" in text


def test_gallery_offers_the_selection_to_admins_only():
    case = Selection()
    address = reverse("images", args=[case.dataset.slug])
    assert "Select gold images" in case.client.get(address).content.decode()
    case.post([case.agreed])
    text = case.client.get(address, {"select": "gold", "confirmed": "some"}).content.decode()
    boxes = re.findall(r'name="image"\s+value="(\d+)"', text)
    assert {int(pk) for pk in boxes} == {case.agreed.pk, case.single.pk}
    reviewer = Client()
    reviewer.force_login(case.station.reviewer())
    for query in ({}, {"select": "gold"}):
        shown = reviewer.get(address, query).content.decode()
        assert "gold" not in shown.replace("select=gold", "").lower()  # the query in the address


def test_refused_selections_change_nothing(monkeypatch: pytest.MonkeyPatch):
    case, elsewhere = Selection(), Selection()
    case.post([], status=422)
    case.post(["x", "-1"], status=422)
    case.post([10**17], status=404)
    case.post([case.agreed, elsewhere.agreed], status=404)
    for role in ("reviewer", "viewer"):
        case.client.force_login(case.station.reviewer(role))
        case.post([case.agreed], status=403)
    monkeypatch.setattr(gold_selection, "MOST_AT_ONCE", 1)
    for act in (services.end_gold_of_selection, services.mark_selection_as_gold):
        more = {"expert": True} if act is services.mark_selection_as_gold else {}
        with pytest.raises(InvalidAnswerError, match="Select 1 to 1"):
            act(dataset=case.dataset, user=case.admin, image_ids=[1, 2], **more)
    assert not GoldImage.objects.exists()
