"""Guidelines are evidence: each former text is kept with its author. Frozen prompt sets never change."""

import pytest
from django.db import DatabaseError, connection, transaction

from mekiki.audit.models import Event
from mekiki.labeling.models import GuidelineVersion, Label, Prompt, PromptSet
from mekiki.labeling.selectors import guideline_at
from mekiki.labeling.services import add_label, archive_label, update_label
from tests import factories

pytestmark = pytest.mark.django_db


def versions(label: Label) -> list[tuple[int, str, str | None]]:
    rows = label.guideline_versions.order_by("version")
    return list(rows.values_list("version", "text", "created_by__username"))


def test_guideline_texts_are_kept_with_their_author() -> None:
    hana, ken = factories.UserFactory(username="hana"), factories.UserFactory(username="ken")
    dataset = factories.DatasetFactory(admin=hana)
    factories.MembershipFactory(dataset=dataset, user=ken, role="admin")
    label = add_label(dataset=dataset, name="dent", user=hana, guideline="Deeper than 1 mm.")
    update_label(label=label, user=ken, guideline="Deeper than 2 mm.")
    update_label(label=label, user=ken, name="deep dent")  # not the guideline
    update_label(label=label, user=hana, guideline="")
    assert versions(label) == [
        (1, "Deeper than 1 mm.", "hana"),
        (2, "Deeper than 2 mm.", "ken"),
        (3, "", "hana"),
    ]
    assert Event.objects.get(kind="label.added").data["guideline"] == "Deeper than 1 mm."


def test_guideline_written_without_the_service_is_kept_too() -> None:
    label = factories.LabelFactory(guideline="one")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE labeling_label SET guideline = 'two' WHERE id = %s", [label.pk])
    Label.objects.filter(pk=label.pk).update(guideline="three")
    assert versions(label) == [(1, "one", None), (2, "two", None), (3, "three", None)]


def test_labels_without_a_guideline_have_no_versions() -> None:
    admin = factories.UserFactory()
    dataset = factories.DatasetFactory(admin=admin)
    label, other = (add_label(dataset=dataset, name=name, user=admin) for name in ("a", "b"))
    archive_label(label=other, user=admin, confirmed=True)
    assert not GuidelineVersion.objects.exists()
    label.refresh_from_db()
    assert guideline_at(label, label.created_at) is None


def commit() -> None:
    """Advance the database's time. Statements of one transaction already have different times."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.002)")


def test_guideline_at_the_time_of_a_decision_is_returned() -> None:
    label = factories.LabelFactory(guideline="one")
    commit()
    first = factories.DecisionFactory(label=label, dataset=label.dataset)
    commit()
    Label.objects.filter(pk=label.pk).update(guideline="two")
    commit()
    second = factories.DecisionFactory(label=label, dataset=label.dataset)
    for decision, text in ((first, "one"), (second, "two")):
        decision.refresh_from_db()
        guideline = guideline_at(label, decision.created_at)
        assert guideline is not None and guideline.text == text


@pytest.mark.django_db(transaction=True)
def test_prompt_set_accepts_prompts_in_its_own_transaction_only() -> None:
    label = factories.LabelFactory()
    frozen_set = factories.PromptSetFactory(dataset=label.dataset)
    text = "INSERT INTO labeling_prompt (prompt_set_id, label_id, text, position) VALUES (%s, %s, %s, 9)"
    for inside in (False, True):
        with pytest.raises(DatabaseError, match="frozen prompt set"), transaction.atomic():
            if inside:  # another set of this transaction does not open this one
                PromptSet.objects.create(dataset=label.dataset, version=7, digest="x")
            with connection.cursor() as cursor:
                cursor.execute(text, [frozen_set.pk, label.pk, "a photo of something else"])
    assert Prompt.objects.count() == 1
    with transaction.atomic():
        with transaction.atomic():
            another = PromptSet.objects.create(dataset=label.dataset, version=8, digest="y")
        with transaction.atomic():
            Prompt.objects.create(prompt_set=another, label=label, text="a", position=1)
        Prompt.objects.create(prompt_set=another, label=label, text="b", position=2)
    assert another.prompts.count() == 2
