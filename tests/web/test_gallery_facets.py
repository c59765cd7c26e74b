"""The facets of the gallery: their numbers are those of the gallery, and estimates are marked."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.urls import reverse
from django.utils import timezone

from mekiki.accounts.models import Membership, Role, User
from mekiki.datasets.importing.filling import fill_fields
from mekiki.datasets.models import Image, ImportBatch, MetadataField
from mekiki.review.facets import Facets, counting
from mekiki.review.models import BulkAct, ExcludedImage
from tests.roles import set_fixed
from tests.web.test_gallery import World, decide, wait

pytestmark = pytest.mark.django_db
ADDRESS = reverse("image-facets", args=["world"])


def facets_of(world: World, **query: Any) -> Facets:
    response = world.client.get(ADDRESS, query)
    assert response.status_code == 200, response.content
    return response.context["facets"]


def counts(facets: Facets, title: str) -> dict[str, int]:
    (facet,) = [one for one in facets.facets if one.title == title]
    return {value.name: value.count.n for value in facet.values}


def create_world() -> World:
    """Return a world with hidden images, decisions, waiting items, two imports, and images of last month."""
    world = World(90)
    other = User.objects.create_user("otto")
    Membership.objects.create(dataset=world.dataset, user=other, role=Role.REVIEWER)
    for number in range(5, 15):
        set_fixed(world.images[number], audit_key=0.1)  # the audit reserve
    for number in (20, 21, 22):
        decide(world, number, world.labels[number % 2])
    wait(world, 5, "audit")
    wait(world, 30, "uncertain")
    wait(world, 31, "gold")
    batches = [ImportBatch.objects.create(dataset=world.dataset, source="upload") for _ in range(2)]
    Image.objects.filter(pk__lte=world.images[40].pk).update(batch=batches[0])
    Image.objects.filter(pk__gt=world.images[40].pk).update(batch=batches[1])
    month_ago = timezone.now() - timedelta(days=31)
    for number in range(10):
        set_fixed(world.images[number], created_at=month_ago)
    # Numbers of visible and hidden images, and texts that are none.
    for number in range(10, 90, 10):
        weight = "?" if number in (10, 70) else f"{number / 4}"
        Image.objects.filter(pk=world.images[number].pk).update(metadata={"line": "1", "weight": weight})
    Image.objects.filter(pk=world.images[60].pk).update(metadata={"line": "1", "camera": "<b>"})
    MetadataField.objects.create(dataset=world.dataset, key="weight", type="number", is_complete=False)
    fill_fields(world.dataset)
    act = BulkAct.objects.create(
        dataset=world.dataset, act="exclude", reason="blurred", created_by=world.user, through=0
    )
    for number in (12, 33, 34):  # 12 is hidden
        ExcludedImage.objects.create(image=world.images[number], act=act)
    return world


@pytest.mark.parametrize("role", ["admin", "reviewer", "viewer"])
def test_every_number_is_that_of_the_gallery(role: str) -> None:
    world = create_world()
    Membership.objects.filter(user=world.user).update(role=role)
    good = str(world.labels[0].pk)
    seen = set()
    # The role changes which facets are offered, and not how they are counted.
    filters = [{"label": good}, {"metadata": ["line=1"]}, {"confirmed": "none", "low": "51"}]
    for query in ({}, *(filters if role == "reviewer" else ())):
        response = world.client.get(ADDRESS, query)
        facets = response.context["facets"]
        assert facets.matches.n == len(world.numbers(**query)) and not facets.is_estimated
        for facet, links, _kept in response.context["links"]:
            if facet.range is not None:
                ends = {"from.weight": facet.range.least, "to.weight": facet.range.greatest}
                assert facet.range.count.n == len(world.numbers(**query, **ends)) > 0
            for link in links:
                # The link adds the value to the filters, or removes it.
                parameters = parse_qs(urlsplit(link.url).query)
                assert link.value.chosen == (not set(link.value.filters) <= set(parameters))
                asked = {key: value for key, value in query.items() if key not in link.value.filters}
                asked |= link.value.filters
                assert link.value.count.n == len(world.numbers(**asked)), (query, facet.title, link)
                seen.add(facet.title)
        bucket = {key: value for key, value in query.items() if key != "low"} | {"low": "50", "high": "54.99"}
        assert facets.histogram[10].n == len(world.numbers(**bucket))
    expected = {
        "State",
        "Confirmed label",
        "Predicted label",
        "Labelled by",
        "Queue",
        "Imported on",
        "Exclusion",
        "line",
        "camera",
        "weight",
    }
    expected |= {"Import"} if role == "admin" else set()
    expected |= {"Label given by"} if role != "viewer" else set()
    assert seen == expected
    # An item that measures a reviewer is in no number.
    assert counts(facets_of(world), "Queue") == {"waiting": 2, "model unsure": 1, "audit sample": 1}


def test_members_see_only_their_own_number_of_labels() -> None:
    world = create_world()
    other = User.objects.get(username="otto")
    assert counts(facets_of(world), "Label given by") == {"gia": 3}
    world.client.force_login(other)
    assert "Label given by" not in {facet.title for facet in facets_of(world).facets}
    # A value that is not offered is no filter.
    assert len(world.numbers(reviewer=str(world.user.pk))) == 90
    Membership.objects.filter(user=other).update(role=Role.ADMIN)
    assert counts(facets_of(world), "Label given by") == {"gia": 3}
    assert world.numbers(reviewer=str(world.user.pk)) == [22, 21, 20]


def test_filters_by_day_and_import_and_several_values() -> None:
    world = create_world()
    today, then = timezone.localdate(), timezone.localdate() - timedelta(days=31)
    assert world.numbers(until=str(today - timedelta(days=1))) == list(range(9, -1, -1))
    assert world.numbers(since=str(then), until=str(then), metadata="line=0") == [3, 0]  # 6 and 9 are hidden
    assert world.numbers(since="9999-12-31") == [] and len(world.numbers(until="9999-12-31")) == 90
    assert world.numbers(metadata=["line=1", "camera=<b>"]) == [60]
    assert len(world.numbers(metadata=["line=1", "line=2"])) == len(world.numbers(metadata=["line=1"])) + len(
        world.numbers(metadata=["line=2"])
    )
    batch = str(ImportBatch.objects.order_by("pk")[0].pk)
    assert len(world.numbers(batch=batch)) == 90, "imports are for admins"
    Membership.objects.filter(user=world.user).update(role=Role.ADMIN)
    assert world.numbers(batch=batch) == [*range(40, 14, -1), *range(4, -1, -1)]  # without hidden images
    page = world.client.get("/d/world/images/", {"metadata": ["line=1", "camera=<b>"]}).content.decode()
    assert page.count('name="metadata"') == 2 and 'value="camera=&lt;b&gt;"' in page
    body = world.client.get(ADDRESS, {"metadata": ["line=1", "camera=<b>"]}).content.decode()
    assert "<b>" not in body and body.count('aria-current="true"') == 2
    # The page of an image keeps both values.
    image = reverse("image", args=["world", world.images[60].sha256])
    page = world.client.get(image, {"metadata": ["line=1", "camera=<b>"]}).content.decode()
    assert "metadata=line%3D1&amp;metadata=camera%3D%3Cb%3E" in page and "1 of 1" in page


def test_large_datasets_have_estimates_that_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    world = create_world()
    monkeypatch.setattr(counting, "EXACT_UP_TO", 10)
    monkeypatch.setattr(counting, "EXACT_MATCHES", 20)
    monkeypatch.setattr(counting, "SAMPLE", 45)
    # The hashes of this test begin with zeros, so all images are in the sample.
    facets = facets_of(world)
    assert facets.is_estimated and facets.matches == counting.Count(90)  # the total is known
    (state,) = [one for one in facets.facets if one.title == "State"]
    some, none = (value.count for value in state.values)
    assert some == counting.Count(3)  # few matches are counted
    assert none == counting.Count(170, exact=False)  # 87 of the sample, of half of the images
    (date,) = [one for one in facets.facets if one.title == "Imported on"]
    assert [value.count.n for value in date.values] == [160, 20]
    (line,) = [one for one in facets.facets if one.title == "camera"]
    assert line.values[0].count == counting.Count(0, exact=False, few=True)
    text = world.client.get(ADDRESS).content.decode()
    assert "Numbers with ≈ are estimates" in text and re.search(
        r"≈</span>.{0,80}about</span>\s*170", text, re.S
    )
    exact = facets_of(world, metadata="camera=<b>")
    assert exact.matches == counting.Count(1)


def test_api_returns_the_facets() -> None:
    world = create_world()
    address = reverse("api:image-facet-counts", args=["world"])
    reply = world.client.get(address, {"metadata": ["line=1", "line=2"]}).json()
    assert reply["matches"]["exact"] and reply["matches"]["n"] == len(
        world.numbers(metadata=["line=1", "line=2"])
    )
    assert {facet["code"] for facet in reply["facets"]} >= {"confirmed", "label", "metadata-line"}
    assert len(reply["histogram"]) == 20
    assert world.client.get(address, {"metadata": "line"}).status_code == 422
    world.client.logout()
    assert world.client.get(address).status_code == 401
