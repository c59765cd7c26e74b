"""The page of the grid review: who sees it, what it costs, and the links that lead to it."""

import html
import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.factories import ImageFactory, LabelFactory, UserFactory
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


def client_of(user: object) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)  # type: ignore[arg-type]
    return client


def test_reviewers_see_the_page_and_others_do_not():
    station = Station(items=1)
    address = reverse("review-grid", args=[station.dataset.slug])
    assert client_of(station.reviewer()).get(address).status_code == 200
    assert client_of(station.reviewer("viewer")).get(address).status_code == 403
    assert client_of(UserFactory()).get(address).status_code == 404
    assert Client().get(address).status_code == 302


def test_queries_of_the_page_do_not_grow_with_images_and_labels():
    counts = []
    for items, labels in ((1, 2), (40, 20)):
        station = Station(items=items, labels=labels)
        client = client_of(station.reviewer())
        address = reverse("review-grid", args=[station.dataset.slug])
        client.get(address)
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12


def test_page_holds_the_labels_with_their_keys():
    station = Station(items=0, labels=2)
    LabelFactory(dataset=station.dataset, name='a "quoted" <label>', position=12)
    page = client_of(station.reviewer()).get(reverse("review-grid", args=[station.dataset.slug]))
    match = re.search(r'data-labels="([^"]*)"', page.content.decode())
    assert match is not None
    labels = json.loads(html.unescape(match[1]))
    assert [(label["name"], label["key"]) for label in labels] == [
        (station.labels[0].name, 1),
        (station.labels[1].name, 2),
        ('a "quoted" <label>', None),
    ]


@pytest.mark.parametrize("name", ["review", "review-queue", "overview"])
def test_pages_of_the_review_link_to_the_grid(name: str):
    station = Station(items=1)
    page = client_of(station.reviewer("admin")).get(reverse(name, args=[station.dataset.slug]))
    assert reverse("review-grid", args=[station.dataset.slug]) in page.content.decode()


def test_grid_links_back_to_the_station():
    station = Station(items=1)
    page = client_of(station.reviewer()).get(reverse("review-grid", args=[station.dataset.slug]))
    assert f'href="{reverse("review", args=[station.dataset.slug])}"' in page.content.decode()


def test_page_preloads_the_scripts_that_it_imports():
    station = Station(items=1)
    page = client_of(station.reviewer()).get(reverse("review-grid", args=[station.dataset.slug]))
    preloaded = re.findall(r'rel="modulepreload" href="/static/[^"]*?(mekiki/[^"]+)"', page.content.decode())
    assert {"mekiki/js/review/grid/page.js", "mekiki/js/http.js", "mekiki/js/review/flag-reasons.js"} <= {
        *preloaded
    }
    assert len(set(preloaded)) == len(preloaded) >= 15


def test_first_page_holds_its_thumbnails():
    station = Station(items=1)
    image = ImageFactory(dataset=station.dataset, stored=True)
    station.item(image=image)
    client = client_of(station.reviewer())
    address = reverse("api:review-grid-next", args=[station.dataset.slug])
    reply = client.post(address, {"inline": True}, content_type="application/json").json()
    urls = {tile["image"]["sha256"]: tile["image"]["thumb_url"] for tile in reply["tiles"]}
    assert urls.pop(image.sha256).startswith("data:image/webp;base64,")
    (missing,) = urls.values()
    assert missing.startswith("/d/"), "a missing file is asked for by its address"
