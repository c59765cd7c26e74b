"""The activity page: jobs and events, by key."""

import re

import pytest
from django.test import Client

from mekiki.audit.services import record
from mekiki.web import events
from tests.factories import DatasetFactory, JobFactory, UserFactory

pytestmark = pytest.mark.django_db


def get(user, dataset, query: str = "") -> str:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    response = client.get(f"/d/{dataset.slug}/activity/{query}")
    assert response.status_code == 200
    return response.content.decode()


def test_a_stranger_sees_404():
    client = Client()
    client.force_login(UserFactory())
    assert client.get(f"/d/{DatasetFactory().slug}/activity/").status_code == 404


def test_events_say_who_did_what_in_this_dataset():
    user = UserFactory(username="hanako")
    dataset, other = DatasetFactory(viewer=user), DatasetFactory()
    record(kind="label.added", actor=user, dataset=dataset, data={"name": "scratch"})
    record(kind="label.added", actor=user, dataset=other, data={"name": "foreign label"})
    record(kind="something.new", dataset=dataset)
    text = get(user, dataset)
    assert "hanako" in text and "Label added" in text and "scratch" in text
    assert "foreign label" not in text
    assert "something.new" in text, "an event nobody gave words to is shown all the same"


def test_older_events_are_reached_by_key_without_gap_or_overlap(django_assert_max_num_queries):
    user = UserFactory()
    dataset = DatasetFactory(viewer=user)
    for n in range(120):
        record(kind="label.added", actor=user, dataset=dataset, data={"name": f"name{n:03}"})
    seen: list[str] = []
    query = ""
    for _ in range(3):
        text = get(user, dataset, query)
        seen += re.findall(r"name\d{3}", text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        query = following.group(1).replace("&amp;", "&") if following else ""
    assert seen == [f"name{n:03}" for n in reversed(range(120))]
    assert not query


def test_the_filter_keeps_its_kind():
    user = UserFactory()
    dataset = DatasetFactory(viewer=user)
    record(kind="label.added", dataset=dataset, data={"name": "scratch"})
    record(kind="member.role_set", dataset=dataset, data={"user": "taro", "role": "viewer"})
    text = get(user, dataset, "?show=people")
    assert "taro is viewer now" in text and "Label added" not in text
    assert "Label added" in get(user, dataset, "?show=nonsense&before=x")


def test_running_jobs_are_shown_with_a_way_to_stop_for_admins_only():
    admin, viewer = UserFactory(), UserFactory()
    dataset = DatasetFactory(admin=admin, viewer=viewer)
    job = JobFactory(dataset=dataset, running=True)
    assert f"/jobs/{job.pk}/cancel/" in get(admin, dataset)
    assert f"/jobs/{job.pk}/cancel/" not in get(viewer, dataset)


def test_every_group_of_the_filter_has_words():
    assert all(events.group_label(code) for code in events.GROUPS)
