"""An admin promotes another head: what is enqueued, what is refused, and what the page shows."""

import html
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mekiki.audit.models import Event
from mekiki.jobs.models import Job, Kind, State
from mekiki.learning.models import Champion, Head
from mekiki.learning.services import promote, request_promotion
from tests.factories import (
    ChampionFactory,
    DatasetFactory,
    EncoderFactory,
    HeadFactory,
    LabelFactory,
    PromptSetFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


class Heads:
    """Two labels. Head 1 (zero-shot) was replaced by head 2, which is in use."""

    def __init__(self) -> None:
        self.admin, self.reviewer = UserFactory(username="aiko"), UserFactory()
        self.dataset = DatasetFactory(slug="parts", admin=self.admin, reviewer=self.reviewer)
        self.labels = [LabelFactory(dataset=self.dataset, name=name) for name in ("good", "傷")]
        self.prompts = PromptSetFactory(dataset=self.dataset)
        self.encoder = EncoderFactory()
        self.first = self.head(kind=Head.Kind.ZERO_SHOT)
        self.second = self.head(kind=Head.Kind.LOGISTIC)
        ChampionFactory(head=self.second)

    def head(self, **values: Any) -> Head:
        values = {"encoder": self.encoder, "label_ids": [label.pk for label in self.labels], **values}
        return HeadFactory(dataset=self.dataset, prompt_set=self.prompts, **values)

    def page(self, head: Head, user: Any = None) -> str:
        client = Client(headers={"accept-language": "en"})
        client.force_login(user or self.admin)
        return html.unescape(client.get(reverse("head", args=["parts", head.version])).content.decode())

    def post(self, head: Head, user: Any = None) -> Any:
        client = Client(headers={"accept-language": "en"})
        client.force_login(user or self.admin)
        return client.post(reverse("head-use", args=["parts", head.version]), follow=True)

    def refusal_message(self, head: Head) -> str:
        with pytest.raises(ValidationError) as error:
            request_promotion(dataset=self.dataset, head=head, user=self.admin)
        return " ".join(error.value.messages)


@pytest.fixture
def heads() -> Heads:
    return Heads()


def test_champion_stays_until_the_promoted_head_has_predicted(
    heads: Heads,
) -> None:
    form = reverse("head-use", args=["parts", 1])
    assert form in heads.page(heads.first) and "data-confirm=" in heads.page(heads.first)
    assert form not in heads.page(heads.first, heads.reviewer)
    assert reverse("head-use", args=["parts", 2]) not in heads.page(heads.second), "it is in use"
    reply = heads.post(heads.first)
    assert "Head #1 predicts all images now" in reply.content.decode()
    job = Job.objects.get()
    assert (job.kind, job.payload, job.created_by) == (Kind.PREDICT, {"head": heads.first.pk}, heads.admin)
    event = Event.objects.get(kind="head.chosen")
    assert event.actor_name == "aiko" and event.data == {"version": 1, "digest": heads.first.digest}
    assert Champion.objects.get().head_id == heads.second.pk
    assert not Event.objects.filter(kind="head.promoted").exists()


def test_reviewer_cannot_choose_a_head(heads: Heads) -> None:
    assert heads.post(heads.first, heads.reviewer).status_code == 403
    with pytest.raises(PermissionDenied):
        request_promotion(dataset=heads.dataset, head=heads.first, user=heads.reviewer)
    assert not Job.objects.exists()


def test_two_heads_are_not_promoted_at_once(heads: Heads) -> None:
    third = heads.head()
    request_promotion(dataset=heads.dataset, head=heads.first, user=heads.admin)
    assert "already" in heads.refusal_message(third)
    Job.objects.update(state=State.FAILED)
    request_promotion(dataset=heads.dataset, head=third, user=heads.admin)


def test_a_head_that_cannot_be_used_is_refused_with_the_reason(heads: Heads) -> None:
    assert "in use already" in heads.refusal_message(heads.second)
    other = heads.head(encoder=EncoderFactory(name="another", digest="a" * 64))
    assert "encoder another (aaaaaaaa)" in heads.refusal_message(other)
    added = LabelFactory(dataset=heads.dataset, name="new defect")
    assert "was created before the label “new defect”" in heads.refusal_message(heads.first)
    text = heads.page(heads.first)
    assert "was created before the label “new defect”" in text
    assert reverse("head-use", args=["parts", 1]) not in text
    assert "was created before the label" in heads.post(heads.first).content.decode()
    for label in (added, heads.labels[1]):
        label.archived_at = timezone.now()
        label.save()
    assert "would still predict “傷”" in heads.refusal_message(heads.first)
    assert not Job.objects.exists() and not Event.objects.filter(kind="head.chosen").exists()


def test_pages_show_who_chose_the_head(heads: Heads) -> None:
    reason = {"code": "by_hand", "user": "aiko", "prompts": heads.prompts.version}
    promote(head=heads.first, reason=reason, user=heads.admin)
    assert "Chosen manually by aiko." in heads.page(heads.first)
    client = Client(headers={"accept-language": "en"})
    client.force_login(heads.reviewer)
    assert "Chosen manually by aiko." in client.get(reverse("models", args=["parts"])).content.decode()
    promote(head=heads.second, reason={"code": "better_than_prompts"})
    assert "Chosen manually" not in heads.page(heads.first)
