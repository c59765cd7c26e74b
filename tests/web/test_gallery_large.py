"""The image in large over the gallery: its neighbours in the filter and order, and what it hides."""

import re
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.web.test_gallery import World, decide, wait

pytestmark = pytest.mark.django_db


def large(world: World, number: int, **query: str) -> dict[str, str]:
    """Return the data of the part of an image, and its text."""
    address = reverse("image-large", args=["world", world.images[number].sha256])
    reply = world.client.get(address, query)
    assert reply.status_code == 200
    text = unescape(reply.content.decode())
    return dict(re.findall(r'data-([\w-]+)="([^"]*)"', text)) | {"text": text}


def steps(world: World, begin: int, name: str, **query: str) -> list[int]:
    """Return the numbers of the images from one image on, by steps in one direction."""
    numbers, part = [begin], large(world, begin, **query)
    while address := part.get(name):
        path, _sign, rest = address.partition("?")
        numbers.append(int(path.split("/")[-2], 16))
        part = large(world, numbers[-1], **dict(one.split("=") for one in rest.split("&") if one))
        assert len(numbers) < 200
    return numbers


def test_steps_follow_filter_and_order_and_return_to_the_page_of_the_image() -> None:
    world = World(30)
    good = str(world.labels[0].pk)
    for query in (
        {"label": good},
        {"label": good, "sort": "unsure"},
        {"sort": "name"},
        {"metadata": "line=1"},
    ):
        expected = world.numbers(**query)
        query = {name: value.replace("=", "%3D") for name, value in query.items()}
        unquoted = {name: value.replace("%3D", "=") for name, value in query.items()}
        if "metadata" not in query:
            assert steps(world, expected[0], "next", **query) == expected
            assert steps(world, expected[-1], "prev", **query) == expected[::-1]
        # The page to which it returns begins with the image.
        page = world.client.get(large(world, expected[len(expected) // 2], **unquoted)["page"])
        assert int(page.context["images"][0].sha256, 16) == expected[len(expected) // 2]
    part = large(world, 5, label=good)
    assert "outside" not in part["text"] and "not in the results" in part["text"]  # it has the other label
    assert "page" in large(world, 29) and "3 of 30" in large(world, 27)["text"]
    assert world.client.get(reverse("image-large", args=["world", "0" * 63 + "g"])).status_code == 404


def test_it_shows_label_prediction_and_metadata_unless_the_image_is_blind() -> None:
    world = World(12)
    decide(world, 4, world.labels[1])
    text = large(world, 4)["text"]
    assert "✓ 傷" in text and "50.4 %" in text and "part 0004" in text and "<dt>line</dt>" in text
    assert "not confirmed" in large(world, 6)["text"]
    wait(world, 4, "audit")
    text = large(world, 4)["text"]
    for hidden in ("✓", "50.4 %", "part 0004", "<dt>line</dt>"):
        assert hidden not in text
    assert "has not been judged yet" in text and "image 00000000" in text


def test_step_in_a_large_dataset_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(12)
    monkeypatch.setattr("mekiki.web.gallery.large.COUNT_UP_TO", 5)
    with CaptureQueriesContext(connection) as queries:
        part = large(world, 5, sort="sure")
    assert " of 12" not in part["text"] and part["next"] and part["prev"]
    images = [entry["sql"] for entry in queries.captured_queries if 'FROM "datasets_image"' in entry["sql"]]
    assert not any("COUNT(" in sql for sql in images)
    # By key: each neighbour is the first row of an ordered scan.
    ordered = [sql for sql in images if "LIMIT 1" in sql and "ORDER BY" in sql]
    assert len(ordered) >= 2 and len(queries) <= 24
