"""The page of skipped and flagged images: groups, pages, and the acts of an admin."""

import html
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from mekiki.datasets.models import Image
from mekiki.review import unresolved
from mekiki.review.models import ConfirmedLabel, Decision, QueueItem, Stream
from tests.factories import UserFactory
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


def client_of(user: Any) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def page(station: Station, user: Any, query: str = "") -> str:
    response = client_of(user).get(reverse("review-queue", args=[station.dataset.slug]) + query)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def act(station: Station, user: Any, **data: Any) -> Any:
    return client_of(user).post(reverse("review-queue-act", args=[station.dataset.slug]), data, follow=True)


def text_of(response: Any) -> str:
    return html.unescape(response.content.decode())


def skip_all(station: Station, user: Any, kind: str = "skip", **more: Any) -> list[Decision]:
    return [station.answer(user, leased, kind, **more) for leased in station.next(user, 5)]


def test_images_are_grouped_by_reason_with_pictures_and_notes():
    station = Station(items=4)
    user, admin = station.reviewer(), station.reviewer("admin")
    leased = station.next(user, 4)
    station.answer(user, leased[0], "skip", reason="unclear")
    station.answer(user, leased[1], "skip", reason="unclear", note="fog on the lens")
    flag = station.answer(user, leased[2], "flag", reason="duplicate")
    text = page(station, admin)
    assert "Skipped: unclear image (2)" in " ".join(text.split())
    assert "Flagged: duplicate (1)" in " ".join(text.split())
    assert "fog on the lens" in text and user.username in text
    assert reverse("image-thumb", args=[station.dataset.slug, leased[1].item.image.sha256]) in text
    flagged = page(station, admin, "?group=flag-duplicate")
    assert f'value="{flag.pk}"' in flagged and "fog on the lens" not in flagged


def test_page_without_such_images_says_what_to_do():
    station = Station(items=1)
    text = page(station, station.reviewer("admin"))
    assert "No image is skipped or flagged" in text and "A reviewer skips an image with S" in text


@pytest.mark.parametrize(
    "query", ["?group=none", "?group=skip-unclear&after=x", f"?after={2**80}", "?after=-1"]
)
def test_hostile_addresses_show_a_page(query: str):
    station = Station(items=2)
    skip_all(station, station.reviewer())
    page(station, station.reviewer("admin"), query)


def test_list_is_paged_by_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unresolved, "PAGE_SIZE", 2)
    station = Station(items=3)
    admin = station.reviewer("admin")
    skips = skip_all(station, station.reviewer())
    first = page(station, admin)
    assert [f'"decision-{skip.pk}"' in first for skip in skips] == [False, True, True]
    link = f"?group=skip-&after={skips[1].pk}"
    assert link in first
    second = page(station, admin, link)
    assert [f'"decision-{skip.pk}"' in second for skip in skips] == [True, False, False]


def test_number_of_queries_does_not_depend_on_the_number_of_images():
    counts = []
    for items in (1, 5):
        station = Station(items=items)
        user, admin = station.reviewer(), station.reviewer("admin")
        skip_all(station, user, note="a note")
        client = client_of(admin)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get(reverse("review-queue", args=[station.dataset.slug]))
        counts.append(len(queries))
    assert counts[0] == counts[1] < 30


def test_admin_answers_the_selected_images_once_if_the_form_is_sent_twice():
    station = Station(items=3)
    user, admin = station.reviewer(), station.reviewer("admin")
    skips = skip_all(station, user)
    form = {
        "act": "answer",
        "label": station.labels[2].pk,
        "decision": [skips[0].pk, skips[1].pk],
        "client_key": str(uuid.uuid4()),
        "group": "skip-",
    }
    assert "2 images were answered" in text_of(act(station, admin, **form))
    assert "2 images were answered" in text_of(act(station, admin, **form))
    assert ConfirmedLabel.objects.filter(label=station.labels[2]).count() == 2
    assert Decision.objects.filter(user=admin).count() == 2


def test_admin_sends_sets_aside_and_returns_images():
    station = Station(items=2)
    user, expert, admin = station.reviewer(), station.reviewer(), station.reviewer("admin")
    first, second = skip_all(station, user, reason="expert")
    reply = text_of(act(station, admin, act="send", reviewer=expert.pk, decision=first.pk))
    assert "1 image was sent" in reply
    assert f"Waits for {expert.username}" in " ".join(page(station, admin, "?group=sent").split())
    assert "1 image was set aside" in text_of(act(station, admin, one=f"set_aside:{second.pk}"))
    aside = page(station, admin, "?group=set_aside")
    assert "skipped: needs an expert" in " ".join(aside.split())
    assert f'value="set_aside:{second.pk}"' not in aside
    reply = text_of(act(station, admin, act="return", decision=[first.pk, second.pk]))
    assert "2 images were returned to the start of the queue" in reply
    assert "No image is skipped or flagged" in reply
    assert QueueItem.objects.filter(state="waiting", assigned_to=None).count() == 2


def test_refused_images_are_reported_and_the_others_are_done():
    station = Station(items=2)
    user, admin = station.reviewer(), station.reviewer("admin")
    first, second = skip_all(station, user)
    act(station, admin, act="answer", label=station.labels[0].pk, decision=first.pk)
    reply = text_of(act(station, admin, act="set_aside", decision=[first.pk, second.pk]))
    assert "1 image was set aside" in reply
    assert "This image was answered or returned to the queue in the meantime. Nothing was changed." in reply


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"act": "answer"}, "Choose a label or a reviewer first. Nothing was changed."),
        ({"act": "answer", "label": "x"}, "Choose a label or a reviewer first. Nothing was changed."),
        ({"act": "answer", "label": 10**9}, "This dataset has no such label. Nothing was recorded."),
        ({"act": "send"}, "Choose a label or a reviewer first. Nothing was changed."),
        ({"act": "send", "reviewer": 10**9}, "This user does not review the dataset. Nothing was changed"),
        ({"act": "delete"}, "Choose a label or a reviewer first. Nothing was changed."),
        ({"act": "set_aside", "decision": []}, "No image is selected. Nothing was changed"),
        ({"act": "set_aside", "decision": ["", "x"]}, "No image is selected. Nothing was changed"),
    ],
)
def test_incomplete_and_hostile_forms_change_nothing(form: dict[str, Any], sentence: str):
    station = Station(items=2)
    admin = station.reviewer("admin")
    skips = skip_all(station, station.reviewer())
    before = list(QueueItem.objects.order_by("pk").values())
    form = {"decision": [skip.pk for skip in skips], "client_key": "no key", **form}
    response = act(station, admin, **form)
    if response.status_code == 200:
        assert sentence in text_of(response)
    assert list(QueueItem.objects.order_by("pk").values()) == before
    assert Decision.objects.count() == 2


def test_members_who_are_no_admins_see_the_list_without_acts_and_strangers_nothing():
    station = Station(items=1)
    user = station.reviewer()
    (skip,) = skip_all(station, user, reason="unclear", note="fog on the lens")
    for member in (station.reviewer(), station.reviewer("viewer")):
        text = page(station, member)
        assert "fog on the lens" in text and "Set aside" not in text
        assert act(station, member, one=f"set_aside:{skip.pk}").status_code == 403
    stranger = UserFactory()
    assert act(station, stranger, one=f"set_aside:{skip.pk}").status_code == 404
    assert QueueItem.objects.get().state == "waiting"


def test_history_of_an_image_shows_the_reason():
    station = Station(items=1)
    (skip,) = skip_all(station, station.reviewer(), reason="expert")
    address = reverse("image", args=[station.dataset.slug, skip.image.sha256])
    text = text_of(client_of(station.reviewer("viewer")).get(address))
    assert "skipped: needs an expert" in text


def test_reason_and_note_of_a_blind_image_are_for_admins_and_their_writer():
    station = Station(items=0)
    station.item(stream=Stream.AUDIT)
    user, other, admin = station.reviewer(), station.reviewer(), station.reviewer("admin")
    skip_all(station, user, reason="not_in_list", note="looks like rust")
    for member, visible in ((admin, True), (user, False), (other, False)):
        for group in ("", "?group=skip-not_in_list", "?group=hidden"):
            text = page(station, member, group)
            assert ("not in the list of labels" in text) is visible
    image = Image.objects.get()
    for name, arguments in (("image", [image.sha256]), ("activity", [])):
        response = client_of(other).get(reverse(name, args=[station.dataset.slug, *arguments]))
        assert "not_in_list" not in text_of(response) and "not in the list" not in text_of(response)
    assert "looks like rust" in page(station, admin) and "judged blind" in page(station, admin)
    assert "looks like rust" in page(station, user)
    assert "looks like rust" not in page(station, other)
    assert "The reason and the note are for admins" in page(station, other)
