"""The page of an image: its neighbours, the correction of its label, and its figures."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mekiki.labeling.models import Label
from mekiki.review.models import ConfirmedLabel, Decision
from tests.pages import without_gaps
from tests.web.test_gallery import World, decide, wait
from tests.web.test_search import Fan, direction_at

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return World(30)


def text_of(world: World, number: int, query: str = "", **headers: str) -> str:
    url = reverse("image", args=["world", world.images[number].sha256]) + query
    return without_gaps(world.client.get(url, headers=headers).content.decode())


def number_at(page: str, rel: str) -> int | None:
    link = re.search(rf'rel="{rel}" href="/d/\w+/images/([0-9a-f]+)/', page)
    return int(link[1], 16) if link else None


def walk(world: World, query: str, rel: str = "next") -> list[int]:
    """Return the images in the order of the page's links, from the first image of the gallery."""
    first = world.numbers(**dict(part.split("=") for part in query.split("&")))
    number: int | None = first[0] if rel == "next" else first[-1]
    visited = []
    while number is not None:
        visited.append(number)
        page = text_of(world, number, f"?{query}")
        assert f"{len(visited)} of {len(first)}" in page or rel == "prev"
        number = number_at(page, rel)
    return visited


@pytest.mark.parametrize("sort", ["sure", "unsure"])
def test_next_and_previous_follow_the_filter_and_the_order(world: World, sort: str) -> None:
    query = f"label={world.labels[0].pk}&sort={sort}"
    expected = world.numbers(label=str(world.labels[0].pk), sort=sort)
    assert len(expected) == 15
    assert walk(world, query) == expected
    assert walk(world, query, "prev") == expected[::-1]


def test_image_page_keeps_the_filter_and_links_back(world: World) -> None:
    listed = world.client.get("/d/world/images/", {"metadata": "line=1"}).content.decode()
    assert f"/d/world/images/{world.images[28].sha256}/?metadata=line%3D1" in listed
    page = text_of(world, 28, "?metadata=line%3D1")
    assert number_at(page, "next") == 25 and "1 of 10" in page
    assert 'href="/d/world/images/?metadata=line%3D1"' in page and "Back to these images" in page


def test_neighbours_without_a_filter_are_all_images(world: World) -> None:
    page = text_of(world, 20)
    assert (number_at(page, "prev"), number_at(page, "next")) == (21, 19) and "10 of 30" in page


def test_page_of_an_image_outside_the_filter_shows_a_notice(world: World) -> None:
    page = text_of(world, 20, "?q=nothing")
    assert "not in the results of the filter" in page and number_at(page, "next") is None
    page = text_of(world, 20, "?metadata=line%3D1&sort=sure")
    assert "not in the results of the filter" in page and number_at(page, "next") == 19
    for query in ("?low=abc", "?sort=nonsense", "?label=999999", "?metadata=x", "?after=1:2:3", "?label=%00"):
        assert (
            world.client.get(reverse("image", args=["world", world.images[3].sha256]) + query).status_code
            == 200
        ), query


def test_neighbours_after_a_search_are_ordered_by_similarity() -> None:
    fan = Fan(12)
    url = reverse("image", args=["fan", fan.images[3].sha256])
    page = fan.client.get(url, {"text": "scratch"}).content.decode()
    assert fan.images[4].sha256 in page and fan.images[2].sha256 in page and "4 of 12" in page
    assert "/d/fan/images/?text=scratch" in page
    page = fan.client.get(url, {"like": fan.images[3].sha256}).content.decode()
    assert "not in the results of the filter" in page
    assert fan.client.get(url, {"like": "0" * 64}).status_code == 404
    assert direction_at(0) == [1.0, 0.0]


def test_uncalibrated_confidences_are_marked_in_notice_and_at_each_figure(world: World) -> None:
    gallery = world.client.get("/d/world/images/").content.decode()
    notice, grid = gallery.index("Confidences are not calibrated"), gallery.index('class="grid')
    assert notice < grid and without_gaps(gallery).count('class="uncalibrated" title="Not calibrated:') == 30
    page = text_of(world, 3)
    assert page.count('class="uncalibrated"') == 1 and "The confidence is not calibrated" in page
    shown = {"label_name": "傷", "confidence": 0.61, "calibrated": True, "head": 2, "stream": "uncertain"}
    decide(world, 3, world.labels[0], shown=shown)
    page = text_of(world, 3)
    assert page.count('class="uncalibrated"') == 1, "the prediction of that time was calibrated"
    assert "未較正" in text_of(world, 3, **{"accept-language": "ja"})


def test_history_shows_how_the_picture_was_adjusted(world: World) -> None:
    shown = {"stream": "uncertain", "propensity": 1.0, "blind": False}
    decide(world, 3, world.labels[0], shown=shown)
    assert "adjusted view" not in text_of(world, 3)
    view = {"brightness": 1.25, "gamma": 0.8, "invert": True, "channel": "red"}
    decide(world, 4, world.labels[0], shown=shown | {"view": view})
    page = text_of(world, 4)
    assert "adjusted view" in page
    assert "brightness 125 %, gamma 0.80, inverted, red channel" in page


class TestCorrection:
    @pytest.fixture
    def judged(self, world: World) -> World:
        decide(world, 3, world.labels[0])
        return world

    def post(self, world: World, action: str, number: int = 3, query: str = "", **fields: Any) -> Any:
        url = reverse(f"image-{action}", args=["world", world.images[number].sha256])
        return world.client.post(url + query, fields)

    def form(self, world: World, number: int = 3) -> dict[str, str]:
        page = text_of(world, number)
        return dict(re.findall(r'name="(client_key|head)" value="([^"]*)"', page))

    def test_correct_and_undo_with_the_history(self, judged: World) -> None:
        fields = self.form(judged)
        assert fields["head"] == "2"
        response = self.post(
            judged, "correct", query="?sort=sure", label=judged.labels[1].pk, note="hm", **fields
        )
        assert response.status_code == 302 and response.url.endswith("/?sort=sure")
        page = text_of(judged, 3)
        assert "The confirmed label is “傷” now." in page and page.count("in use") == 1
        assert ConfirmedLabel.objects.get().label == judged.labels[1] and Decision.objects.count() == 2
        assert "Undo your correction" in page
        assert self.post(judged, "take-back").status_code == 302
        page = text_of(judged, 3)
        assert "The previous label is restored." in page and "Undo your correction" not in page
        assert "undone later" in page and ConfirmedLabel.objects.get().label == judged.labels[0]

    def test_confirmed_image_is_sent_to_review_again(self, judged: World) -> None:
        assert self.post(judged, "ask-again").status_code == 302
        page = text_of(judged, 3)
        assert "was returned to the start of the queue" in page and "Ask again…" not in page
        assert judged.numbers(waiting="recheck") == [3]

    def test_refused_corrections_are_shown_on_the_page(self, judged: World) -> None:
        fields = self.form(judged)
        for status, more in (
            (409, {"label": judged.labels[0].pk}),
            (409, {}),
            (409, {"label": "x"}),
            (409, {"label": judged.labels[1].pk, "client_key": "nonsense"}),
            (409, {"label": judged.labels[1].pk, "head": "1"}),
            (404, {"label": 10**30}),
            (422, {"label": judged.labels[1].pk, "note": "x" * 3000}),
        ):
            reply = self.post(judged, "correct", **{**fields, **more})
            assert reply.status_code in {status, 409 if status == 404 else status}, more
            if reply.status_code != 404:
                assert 'role="alert"' in reply.content.decode(), more
        assert self.post(judged, "correct", 4, label=judged.labels[1].pk, **fields).status_code == 409
        assert Decision.objects.count() == 1
        assert (
            judged.client.get(reverse("image-correct", args=["world", judged.images[3].sha256])).status_code
            == 405
        )

    def test_viewers_see_no_form_and_may_not_post(self, judged: World) -> None:
        judged.dataset.memberships.update(role="viewer")
        assert "Correct the label" not in text_of(judged, 3)
        for act in ("correct", "take-back", "ask-again"):
            assert self.post(judged, act, label=judged.labels[1].pk).status_code == 403
        stranger = Client()
        url = reverse("image-ask-again", args=["world", judged.images[3].sha256])
        assert stranger.post(url).status_code == 302  # to the login

    def test_an_audited_image_shows_which_label_counts(self, judged: World) -> None:
        ConfirmedLabel.objects.update(
            stream="audit",
            audit_label=judged.labels[0],
            audited_at=judged.images[3].created_at,
            in_training=False,
        )
        assert "The accuracy uses this label." in text_of(judged, 3)
        self.post(judged, "correct", label=judged.labels[1].pk, **self.form(judged))
        ConfirmedLabel.objects.update(label=judged.labels[1], audit_label=judged.labels[0], stream="audit",
                                      audited_at=judged.images[3].created_at, in_training=False)  # fmt: skip
        assert "The accuracy uses “good”: the first answer" in text_of(judged, 3)

    def test_an_unjudged_image_has_no_form(self, world: World) -> None:
        wait(world, 5, "uncertain")
        assert "Correct the label" not in text_of(world, 5)
        Label.objects.all()
