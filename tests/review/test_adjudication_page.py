"""The pages of the adjudicator's queue over HTTP, without a browser."""

import re
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from mekiki.accounts.models import Membership
from mekiki.labeling.models import Label
from mekiki.learning.models import Prediction
from mekiki.review import disputes
from mekiki.review.models import ConfirmedLabel, Decision, QueueItem, Stream
from tests.review_setup import Station
from tests.roles import set_fixed

pytestmark = pytest.mark.django_db


class Site:
    """A dataset with disputed images, and the browser of an adjudicator."""

    def __init__(self, items: int = 1, stream: str = Stream.UNCERTAIN) -> None:
        self.station = Station(overlap=2)
        for number in range(items):
            image = self.station.item(stream=stream).image
            key = 0.01 if stream == Stream.AUDIT else 0.99
            set_fixed(image, audit_key=key, name=f"secret_{number:03}.png")
        self.parties = [self.station.reviewer() for _ in range(2)]
        for user, label in zip(self.parties, self.station.labels, strict=False):
            for _ in range(items):
                self.station.answer(user, self.station.next(user)[0], "correct", label=label)
        self.items = list(QueueItem.objects.filter(dataset=self.station.dataset).order_by("pk"))
        self.judge = self.station.reviewer()
        Membership.objects.filter(user=self.judge).update(is_adjudicator=True)
        self.client = Client(headers={"accept-language": "en"})
        self.client.force_login(self.judge)

    def address(self, name: str, item: QueueItem | None = None) -> str:
        return reverse(name, args=[self.station.dataset.slug, *([item.pk] if item else [])])

    def text(self, url: str, status: int = 200) -> str:
        response = self.client.get(url)
        assert response.status_code == status
        return response.content.decode()

    def post(self, name: str, item: QueueItem, **body: Any) -> Any:
        return self.client.post(self.address(name, item), body, follow=True)

    def rule(self, item: QueueItem, **more: Any) -> Any:
        body = {
            "label": self.station.labels[2].pk,
            "note": "because",
            "client_key": uuid.uuid4(),
            "milliseconds": 900,
        }
        return self.post("review-rule", item, **{**body, **more})


def test_list_is_paged_by_key_and_its_queries_do_not_grow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(disputes, "PAGE_SIZE", 3)
    site = Site(items=5)
    url = site.address("review-adjudication")
    with CaptureQueriesContext(connection) as three:
        first = site.text(url)
    found = re.findall(r"secret_\d+", first)
    assert len(set(found)) == 3
    after = re.search(r'href="\?after=(\d+)"', first)
    assert after
    second = site.text(f"{url}?after={after[1]}")
    assert len({*found, *re.findall(r"secret_\d+", second)}) == 5
    for item in site.items[2:]:
        site.rule(item)
    with CaptureQueriesContext(connection) as two:
        site.text(url)
    assert len(two) == len(three)
    assert "(2)" in site.text(url)
    for item in site.items[:2]:
        site.rule(item)
    assert "No image waits for an adjudicator" in site.text(url)
    for odd in ("?after=x", f"?after={2**70}", "?own=%00", "?after=-1"):
        site.text(url + odd)


def test_own_disputes_are_in_a_list_of_their_own():
    site = Site()
    site.client.force_login(site.parties[0])
    Membership.objects.filter(user=site.parties[0]).update(is_adjudicator=True)
    url = site.address("review-adjudication")
    assert "secret_000" not in site.text(url)
    assert "secret_000" in site.text(f"{url}?own=1")
    page = site.text(site.address("review-dispute", site.items[0]))
    assert "You are one of the reviewers who disagree" in page and "your answer" in page


def test_ruling_by_form_and_its_refusals_keep_what_was_written():
    site = Site(items=2)
    item, other = site.items
    refused = site.rule(item, note=" ", label=site.station.labels[0].pk)
    assert (
        refused.status_code == 422
        and f'data-chosen="{site.station.labels[0].pk}"' in refused.content.decode()
    )
    for more, status in (
        ({"label": ""}, 409),
        ({"client_key": "x"}, 409),
        ({"milliseconds": 3}, 422),
        ({"note": "long " * 500}, 422),
        ({"label": 10**8}, 404),
        ({"label": 2**80}, 409),
    ):
        assert site.rule(item, **more).status_code == status
    assert not Decision.objects.filter(kind="rule").exists()
    key = uuid.uuid4()
    for _ in range(2):
        page = site.rule(item, client_key=key)
        assert page.status_code == 200 and "The ruling is recorded" in page.content.decode()
    ruling = Decision.objects.get(kind="rule")
    assert "has ruled on this image in the meantime" in site.rule(item).content.decode()
    again = site.post("review-rule-undo", item, ruling=ruling.pk + 1)
    assert again.status_code == 409 and ConfirmedLabel.objects.count() == 1
    assert site.post("review-rule-recheck", item, ruling=ruling.pk).status_code == 409
    assert site.post("review-rule-reference", other, use="accepted", ruling=ruling.pk).status_code == 409
    assert site.post("review-rule-reference", item, use="accepted", ruling=ruling.pk).status_code == 200
    assert site.post("review-rule-undo", item, ruling=ruling.pk).status_code == 200
    assert not ConfirmedLabel.objects.exists()


def test_blind_dispute_shows_no_name_metadata_or_prediction():
    site = Site(stream=Stream.AUDIT)
    Label.objects.filter(pk=site.station.labels[2].pk).update(name="only-predicted")
    Prediction.objects.update(label=site.station.labels[2])
    item = site.items[0]
    for url in (site.address("review-adjudication"), site.address("review-dispute", item)):
        page = site.text(url)
        without_choices = re.sub(r'data-labels="[^"]*"', "", page)
        assert "secret_000" not in page and "only-predicted" not in without_choices
    assert "judged blind" in page
    page = site.rule(item).content.decode()
    assert "two minutes after the ruling" in page and "secret_000" not in page


def test_answers_are_not_shown_while_the_image_waits_for_reviewers():
    site = Site()
    item = site.items[0]
    url = site.address("review-dispute", item)
    assert "Answers of the reviewers" in site.text(url)
    site.station.undo(site.parties[0])
    page = site.text(url)
    assert "Answers of the reviewers" not in page and "answers__one" not in page
    assert "It needs no ruling" in page


def test_ruling_is_not_shown_while_the_image_is_judged_blind_again():
    site = Site(stream=Stream.AUDIT)
    item = site.items[0]
    site.rule(item)
    other = site.station.reviewer("admin")
    url = site.address("review-dispute", item)
    assert "Undo the ruling" in site.text(url), "its author can undo it"
    QueueItem.objects.create(
        dataset=item.dataset, image=item.image, stream=Stream.AUDIT, propensity=1.0, position=1.0, overlap=2
    )
    for user in (site.judge, other):
        site.client.force_login(user)
        page = site.text(url)
        assert "because" not in page and "answers__one" not in page


def test_prediction_of_a_hidden_image_is_not_shown_in_another_stream():
    site = Site()
    item = site.items[0]
    url = site.address("review-dispute", item)
    assert "80.0" in site.text(url) and "confirmed" in site.text(url)
    set_fixed(item.image, audit_key=0.01)  # as after a raise of the audit share
    page = site.text(url)
    assert "80.0" not in page and "confirmed" not in page and "corrected" not in page
    site.rule(item)
    assert Decision.objects.get(kind="rule").shown["blind"] is True


def test_names_are_hidden_unless_the_admin_shows_them():
    site = Site()
    url = site.address("review-dispute", site.items[0])
    assert not any(user.username in site.text(url) for user in site.parties)
    type(site.station.dataset).objects.update(hide_names_from_adjudicators=False)
    assert all(user.username in site.text(url) for user in site.parties)


def test_history_of_the_image_shows_the_ruling_and_who_may_correct():
    site = Site()
    item = site.items[0]
    address = reverse("image", args=[site.station.dataset.slug, item.image.sha256])
    assert "waits for an adjudicator" in site.text(address)
    site.rule(item)
    page = site.text(address)
    assert "ruled" in page and "the answers of the reviewers" in page and "because" in page
    assert "image-correct" in page or "/correct/" in page
    site.client.force_login(site.parties[0])
    page = site.text(address)
    assert "/correct/" not in page and "An adjudicator set this label" in page and "/ask-again/" in page


def test_pages_of_other_datasets_do_not_exist():
    site, other = Site(), Site()
    for name in ("review-dispute", "review-rule", "review-rule-undo"):
        wrong = reverse(name, args=[site.station.dataset.slug, other.items[0].pk])
        answer = site.client.get(wrong) if name == "review-dispute" else site.client.post(wrong, {})
        assert answer.status_code == 404
    huge = reverse("review-dispute", args=[site.station.dataset.slug, 2**63])
    assert site.client.get(huge).status_code == 404


def test_page_of_the_overlap_keeps_refused_input():
    site = Site()
    admin = site.station.reviewer("admin")
    site.client.force_login(admin)
    url = site.address("review-overlap")
    fields = {f"label-{label.pk}": 1 for label in site.station.labels}
    first = f"label-{site.station.labels[0].pk}"
    assert site.client.post(url, {**fields, "stream-audit": "99"}).status_code == 422
    assert site.client.post(url, {**fields, first: ""}).status_code == 422
    saved = site.client.post(url, {**fields, first: 2, "stream-audit": "3"}, follow=True)
    assert "The overlap is saved" in saved.content.decode()
    assert Label.objects.get(pk=site.station.labels[0].pk).min_overlap == 2
    assert 'value="3"' in site.text(url)
