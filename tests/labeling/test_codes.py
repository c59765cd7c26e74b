"""Short codes of labels: what fits, what is ambiguous, and where they are shown and kept."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from mekiki.audit.models import Event
from mekiki.labeling.models import Label
from mekiki.labeling.services import archive_label, restore_label, set_schema, update_label
from tests.factories import LabelFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def labels() -> Any:
    first = LabelFactory(name="scratch")
    second = LabelFactory(dataset=first.dataset, name="dent")
    admin = UserFactory()
    MembershipFactory(dataset=first.dataset, user=admin, role="admin")
    return first, second, admin


@pytest.mark.parametrize(
    "given, kept", [(" SC1 ", "SC1"), ("Ｓ１", "S1"), ("傷-2", "傷-2"), ("a.b_c", "a.b_c")]
)
def test_code_is_kept_with_an_event(labels: Any, given: str, kept: str):
    first, _second, admin = labels
    update_label(label=first, user=admin, code=given)
    assert Label.objects.get(pk=first.pk).code == kept
    assert Event.objects.get(kind="label.changed").data["to"] == {"code": kept}
    update_label(label=first, user=admin, code="")
    assert Label.objects.get(pk=first.pk).code == ""


@pytest.mark.parametrize("code", ["123456789", "a b", "a/b", "=1", "é\u202e!"])
def test_code_that_does_not_fit_is_refused(labels: Any, code: str):
    first, _second, admin = labels
    with pytest.raises(ValidationError, match="does not fit"):
        update_label(label=first, user=admin, code=code)
    assert Label.objects.get(pk=first.pk).code == ""


@pytest.mark.parametrize("code", ["d1", "Ｄ１", "DENT"])
def test_code_or_name_of_another_label_is_ambiguous(labels: Any, code: str):
    first, second, admin = labels
    update_label(label=second, user=admin, code="D1")
    with pytest.raises(ValidationError, match="also stands for"):
        update_label(label=first, user=admin, code=code)
    with pytest.raises(ValidationError, match="also stands for"):
        update_label(label=first, user=admin, name="d1")
    with pytest.raises(IntegrityError), transaction.atomic():
        Label.objects.filter(pk=first.pk).update(code="d1")


def test_labels_exchange_codes_and_keep_them_where_none_is_written(labels: Any):
    first, second, admin = labels
    rows = [{"id": first.pk, "name": "scratch", "prompts": ["a scratch"], "code": "1a"},
            {"id": second.pk, "name": "dent", "prompts": ["a dent"], "code": "2b"}]  # fmt: skip
    set_schema(dataset=first.dataset, labels=rows, user=admin)
    rows[0]["code"], rows[1]["code"] = rows[1]["code"], rows[0]["code"]
    set_schema(dataset=first.dataset, labels=rows, user=admin)
    assert dict(Label.objects.values_list("name", "code")) == {"scratch": "2b", "dent": "1a"}
    for row in rows:
        del row["code"]
    set_schema(dataset=first.dataset, labels=rows, user=admin)
    assert dict(Label.objects.values_list("name", "code")) == {"scratch": "2b", "dent": "1a"}


def test_restored_label_loses_a_code_that_another_label_has_now(labels: Any):
    first, second, admin = labels
    update_label(label=first, user=admin, code="X")
    archive_label(label=first, user=admin, confirmed=True)
    update_label(label=second, user=admin, code="x")
    first.refresh_from_db()
    restore_label(label=first, user=admin)
    assert dict(Label.objects.values_list("name", "code")) == {"scratch": "", "dent": "x"}


def test_pages_show_the_code(labels: Any):
    first, _second, admin = labels
    update_label(label=first, user=admin, code="SC-7")
    client = Client()
    client.force_login(admin)
    assert 'value="SC-7"' in client.get(reverse("labels", args=[first.dataset.slug])).content.decode()
    for page in ("review", "review-grid"):
        assert "SC-7" in client.get(reverse(page, args=[first.dataset.slug])).content.decode()
    for address in ("api:review-guides", "api:overlap"):
        reply = client.get(reverse(address, args=[first.dataset.slug])).json()
        assert [label["code"] for label in reply["labels"]] == ["SC-7", ""]
