"""Events of answers by name, groups, days, and files of events."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from mekiki.accounts import site
from mekiki.audit import selectors
from mekiki.audit.models import Event
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from tests.factories import ConfirmedLabelFactory, DatasetFactory, ImageFactory, LabelFactory, UserFactory
from tests.roles import made_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def client_of(user, language: str = "en") -> Client:
    client = Client(headers={"accept-language": language})
    client.force_login(user)
    return client


def answer(
    dataset: Dataset, user, image: Image, label: Label, *, at: datetime = NOW, kind: str = "correct"
) -> Event:
    """Create an event as review records it, with a given time."""
    return made_at(
        Event,
        at,
        "at",
        kind="decision.recorded",
        actor_id=user.pk,
        actor_name=user.username,
        dataset_id=dataset.pk,
        data={"kind": kind, "image": image.sha256, "label": label.pk},
    )


class Setup:
    """A dataset without an audit reserve, one member of each kind, an image and a label."""

    def __init__(self, audit_fraction: float = 0.0) -> None:
        self.admin, self.reviewer = UserFactory(username="aiko"), UserFactory(username="hanako")
        self.dataset = DatasetFactory(
            admin=self.admin, reviewer=self.reviewer, audit_fraction=audit_fraction, name="Parts"
        )
        self.image = ImageFactory(dataset=self.dataset, name="scratch/part 7.png", audit_key=0.1)
        self.label = LabelFactory(dataset=self.dataset, name="dent")

    def page(self, query: str = "", user=None) -> str:
        response = client_of(user or self.reviewer).get(reverse("activity", args=[self.dataset.slug]) + query)
        assert response.status_code == 200
        return response.content.decode()

    def file(self, form: str, query: str = "", user=None) -> str:
        address = reverse("activity-download", args=[self.dataset.slug, form]) + query
        response = client_of(user or self.reviewer).get(address)
        assert response.status_code == 200 and response.streaming
        return b"".join(response.streaming_content).decode()


def test_answer_event_links_to_its_image_and_names_the_label() -> None:
    s = Setup()
    answer(s.dataset, s.reviewer, s.image, s.label)
    page = s.page()
    assert "dent" in page and "scratch/part 7.png" in page
    assert f'href="{reverse("image", args=[s.dataset.slug, s.image.sha256])}"' in page
    page = client_of(UserFactory(is_superuser=True)).get(reverse("platform-activity")).content.decode()
    assert "scratch/part 7.png" in page and reverse("image", args=[s.dataset.slug, s.image.sha256]) in page


def test_events_hide_images_of_the_audit_reserve_until_judged() -> None:
    s = Setup(audit_fraction=0.5)
    answer(s.dataset, s.reviewer, s.image, s.label, kind="confirm")
    texts = [s.page(user=u) for u in (s.reviewer, s.admin)]
    texts += [s.file(form) for form in ("csv", "jsonl")]
    platform = client_of(UserFactory(is_superuser=True))
    texts.append(platform.get(reverse("platform-activity")).content.decode())
    for form in ("csv", "jsonl"):
        response = platform.get(reverse("platform-activity-download", args=[form]))
        texts.append(b"".join(response.streaming_content).decode())
    for text in texts:
        text = text.split("<tbody>")[-1].split("</tbody>")[0]
        assert "scratch" not in text and "dent" not in text and "onfirm" not in text
        assert s.image.sha256 in text
    ConfirmedLabelFactory(dataset=s.dataset, image=s.image, label=s.label)
    assert "scratch/part 7.png" in s.page() and "dent" in s.file("csv")


def test_event_of_an_image_queued_again_is_shown_without_its_label() -> None:
    s = Setup(audit_fraction=0.5)
    data = {"image": s.image.sha256, "label": s.label.pk, "stream": "audit"}
    record(kind="queue.asked_again", actor=s.reviewer, dataset=s.dataset, data=data)
    record(kind="queue.put_back", actor=s.admin, dataset=s.dataset, data=data)
    for text in (s.page(), s.file("csv")):
        text = text.split("<tbody>")[-1].split("</tbody>")[0]
        assert "New review requested for an image" in text and "returned to the queue" in text
        assert "Answer" not in text and "dent" not in text and "scratch/part" not in text


@pytest.mark.parametrize("day_text", ["20261129", "2026-W48-7"])
def test_filter_form_shows_the_days_in_use(day_text: str) -> None:
    s = Setup()
    page = s.page(f"?since={day_text}&until={day_text}")
    assert page.count('value="2026-11-29"') == 2 and "since=2026-11-29" in page


def test_answers_are_grouped_and_can_be_listed() -> None:
    s = Setup()
    other = UserFactory(username="taro")
    images = [ImageFactory(dataset=s.dataset, name=f"image{n:03}.png", audit_key=0.9) for n in range(60)]
    for n, image in enumerate(images):  # two users at the same time
        answer(s.dataset, s.reviewer, image, s.label, at=NOW + timedelta(seconds=2 * n))
        answer(s.dataset, other, image, s.label, at=NOW + timedelta(seconds=2 * n + 1))
    answer(s.dataset, s.reviewer, images[0], s.label, at=NOW + timedelta(hours=3))
    page = s.page()
    assert page.count("<summary>60 answers</summary>") == 2 and page.count("image000.png") == 1
    assert not re.search(r'rel="next"', page)
    link = re.search(r'<a href="([^"]+)">Show each', page)
    assert link
    names, query = [], link.group(1).replace("&amp;", "&")
    while query:
        text = s.page(query)
        names += re.findall(r">(image\d{3}\.png)<", text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        query = following.group(1).replace("&amp;", "&") if following else ""
    assert names == [f"image{n:03}.png" for n in reversed(range(60))], (
        "the answers of one user, without the later answer"
    )


def test_pages_of_groups_contain_every_event_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "SCAN", 40)
    s = Setup()
    for n in range(130):
        if n % 7 == 0:
            record(kind="label.changed", actor=s.admin, dataset=s.dataset)
        answer(s.dataset, s.reviewer if n % 3 else s.admin, s.image, s.label, at=NOW + timedelta(minutes=n))
    rows = Event.objects.filter(dataset_id=s.dataset.pk)
    total, before, pages = 0, None, 0
    while True:
        groups, last = selectors.grouped_page(
            rows if before is None else selectors.older_than(rows, before), size=10
        )
        total, pages = total + sum(group.count for group in groups), pages + 1
        assert groups == sorted(groups, key=lambda g: (g.newest.at, g.newest.pk), reverse=True)
        if last is None:
            break
        before = last
    assert total == rows.count() and pages > 3


def test_days_are_in_the_time_zone_of_the_site() -> None:
    s = Setup()
    site.set_time_zone(name="Asia/Tokyo", user=UserFactory(is_superuser=True))
    for name, at in (
        ("before", "2026-11-28T14:59:59"),
        ("first", "2026-11-28T15:00:00"),
        ("last", "2026-11-29T14:59:59"),
    ):
        made_at(
            Event,
            datetime.fromisoformat(at).replace(tzinfo=UTC),
            "at",
            kind="label.added",
            dataset_id=s.dataset.pk,
            data={"name": name},
        )
    page = s.page("?since=2026-11-29&until=2026-11-29").split("<tbody>")[-1]
    assert "first" in page and "last" in page and "before" not in page
    assert "before" in s.page("?until=2026-11-28").split("<tbody>")[-1]
    assert [json.loads(line)["at"] for line in s.file("jsonl", "?since=2026-11-29").splitlines()] == [
        "2026-11-28T15:00:00Z", "2026-11-29T14:59:59Z",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        "?since=x&until=y", "?since=0001-01-01&until=9999-12-31", "?since=2026-13-45", "?first=1",
        "?first=9&last=x",
        "?first=0&last=999999999999999999", "?before=999999999999999999", "?actor=%00&show=%00",
        "?since=2026-11-29%00",
        "?since=20261129&until=2026-W01-1", "?before=-1&actor=" + "x" * 3000,
    ],
)  # fmt: skip
def test_malformed_query_parameters_are_answered(query: str) -> None:
    s = Setup()
    answer(s.dataset, s.reviewer, s.image, s.label)
    s.page(query)
    s.file("csv", query)
    s.file("jsonl", query)


def test_files_of_events_are_safe_complete_and_for_members_only() -> None:
    s = Setup()
    s.image.name = "=cmd|' /C calc'!A0"
    s.image.save()
    label = LabelFactory(dataset=s.dataset, name="@SUM(A1)")
    answer(s.dataset, UserFactory(username="-mallory"), s.image, label)
    record(kind="label.added", actor=s.admin, dataset=s.dataset, data={"name": "+傷"})
    rows = list(csv.DictReader(io.StringIO(s.file("csv").removeprefix("\ufeff"))))
    rows.sort(key=lambda row: row["kind"])
    assert len(rows) == 2
    assert rows[0]["image"] == "'=cmd|' /C calc'!A0" and rows[0]["label"] == "'@SUM(A1)"
    assert rows[0]["who"] == "'-mallory" and rows[1]["detail"] == "'+傷"
    assert rows[0]["at"] == "2026-11-29T12:00:00Z" and rows[0]["image_sha256"] == s.image.sha256
    lines = sorted(map(json.loads, s.file("jsonl").splitlines()), key=lambda line: line["kind"])
    assert lines[0]["image"] == s.image.name and lines[0]["data"]["label"] == label.pk
    assert {line["kind"] for line in lines} == {"decision.recorded", "label.added"}
    filtered_rows = list(
        csv.DictReader(io.StringIO(s.file("csv", "?show=label.added").removeprefix("\ufeff")))
    )
    assert [row["kind"] for row in filtered_rows] == ["label.added"]
    for form, status in (("csv", 404), ("jsonl", 404)):
        address = reverse("activity-download", args=[s.dataset.slug, form])
        assert client_of(UserFactory()).get(address).status_code == status
        assert client_of(s.admin).get(reverse("platform-activity-download", args=[form])).status_code == 403
        assert client_of(s.admin).post(address).status_code == 405
    assert (
        client_of(s.admin).get(reverse("activity-download", args=[s.dataset.slug, "exe"])).status_code == 404
    )


def test_page_needs_the_same_queries_for_few_and_many_answers() -> None:
    s = Setup(audit_fraction=0.2)
    address = reverse("activity", args=[s.dataset.slug])
    client = client_of(s.reviewer)
    counts = []
    for number in (2, 200):
        for n in range(number):
            image = ImageFactory(dataset=s.dataset, audit_key=(n % 10) / 10)
            answer(
                s.dataset,
                UserFactory() if n % 2 else s.reviewer,
                image,
                s.label,
                at=NOW + timedelta(minutes=40 * n),
            )
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code == 200
        counts.append(len(queries))
    assert counts[1] <= counts[0] + 1 and counts[1] <= 20, counts


@pytest.mark.parametrize(
    "narrow", [{}, {"since": NOW - timedelta(days=900), "until": NOW - timedelta(days=899)}]
)
def test_event_pages_use_an_index_in_their_order(narrow: dict) -> None:
    s = Setup()
    event = record(kind="label.added", dataset=s.dataset)
    rows = selectors.filter_events(Event.objects.filter(dataset_id=s.dataset.pk), **narrow)
    rows = selectors.newest_first(selectors.older_than(rows, event.pk))[:51]
    with connection.cursor() as cursor:
        # Statistics of an empty table make a sort cheap. Without sorts, the plan shows whether an index fits.
        cursor.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
        )
        plan = rows.explain()
    assert "_by_time" in plan and "Sort" not in plan, plan
