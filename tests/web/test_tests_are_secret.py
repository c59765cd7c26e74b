"""No page, filter or API tells a member which images wait to measure a reviewer."""

import pytest
from django.test import Client
from django.urls import reverse

from mekiki.review.models import QueueItem
from tests.review.test_gold import Gold

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("role", ["reviewer", "viewer"])
def test_gallery_and_page_of_an_image_do_not_tell_that_it_waits_as_a_test(role: str):
    station = Gold(gold=1)
    tested = station.present()
    station.fill(20)
    image = station.known[0]
    if not station.tests().exists():
        QueueItem.objects.create(
            dataset=station.dataset, image=image, stream="gold", propensity=0.5, head=station.head,
            position=0.0, overlap=1, assigned_to=tested, gold=station.rows[0],
        )  # fmt: skip
    assert station.tests(state="waiting", image=image).exists()
    client = Client()
    client.force_login(station.reviewer(role))
    gallery = reverse("images", args=[station.dataset.slug])
    for query in ({"waiting": "waiting"}, {"waiting": "gold"}, {"waiting": "repeat"}):
        shown = client.get(gallery, {**query, "confirmed": "some"}).content.decode()
        wanted = query["waiting"] != "waiting"  # an unknown value filters nothing
        assert (image.sha256 in shown) == wanted, query
        assert 'value="gold"' not in shown and 'value="repeat"' not in shown
    page = client.get(reverse("image", args=[station.dataset.slug, image.sha256]))
    assert page.context["waiting"] is False
