"""Labels and prompt sets: what is refused, frozen and recorded."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction

from mekiki.audit.models import Event
from mekiki.jobs.models import Job, Kind
from mekiki.labeling import services
from mekiki.labeling.models import Label, Prompt, PromptSet
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from tests.factories import DatasetFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> Any:
    return UserFactory()


@pytest.fixture
def dataset(user: Any) -> Any:
    return DatasetFactory(admin=user)


def spec(name: str, *prompts: str, **more: Any) -> Any:
    return {"name": name, "prompts": list(prompts) or [f"a photo of {name}"], **more}


def test_schema_is_frozen_recorded_and_predicted(dataset: Any, user: Any) -> None:
    prompt_set = services.set_schema(
        dataset=dataset,
        labels=[spec("good"), spec("傷", "傷の写真", "a  photo of a scratch ", "", critical=True)],
        user=user,
    )
    good, scratch = active_labels(dataset)
    assert [(x.name, x.position, x.critical) for x in (good, scratch)] == [
        ("good", 1, False),
        ("傷", 2, True),
    ]
    assert prompts_of(prompt_set)[scratch.pk] == ["傷の写真", "a photo of a scratch"]
    assert prompt_set.version == 1 and len(prompt_set.digest) == 64
    assert Job.objects.get(dataset=dataset).kind == Kind.PREDICT
    kinds = set(Event.objects.filter(dataset_id=dataset.pk).values_list("kind", flat=True))
    assert {"label.added", "prompts.saved", "job.queued"} <= kinds


def test_new_version_is_created_only_for_other_prompts(dataset: Any, user: Any) -> None:
    first = services.set_schema(dataset=dataset, labels=[spec("good"), spec("bad")], user=user)
    again = services.set_schema(dataset=dataset, labels=[spec("Good"), spec("bad")], user=user)
    # The first prompt contains the new name of the label.
    assert again.version == 2
    unchanged = services.set_schema(dataset=dataset, labels=[spec("Good"), spec("bad")], user=user)
    assert unchanged.pk == again.pk
    label = active_labels(dataset).first()
    assert label is not None
    saved = services.save_prompts(dataset=dataset, prompts={label.pk: ["shiny"]}, user=user)
    assert saved.version == 3 and prompts_of(saved)[label.pk] == ["shiny"]
    assert PromptSet.objects.filter(dataset=dataset).count() == 3
    assert prompts_of(first)[label.pk] == ["a photo of good"], "an old version stays as it was"


def test_a_prompt_cannot_be_changed_in_the_database(dataset: Any, user: Any) -> None:
    services.set_schema(dataset=dataset, labels=[spec("good")], user=user)
    with pytest.raises(DatabaseError), transaction.atomic():
        Prompt.objects.update(text="something else")
    assert Prompt.objects.get().text == "a photo of good"


@pytest.mark.parametrize(
    "names",
    [
        *(("scratch", "Scratch"), ("scratch", " scratch "), ("ｽｸﾗｯﾁ", "スクラッチ"), ("ＡＢＣ", "abc")),
        # One letter is one object in Python. Invisible characters do not make another name.
        *(
            ("a", "a"),
            ("scratch", "scra\u200btch"),
            ("scratch", "scratch\u200d"),
            ("scratch", "\u202escratch"),
        ),
    ],
)
def test_two_labels_of_one_name_are_refused(dataset: Any, user: Any, names: tuple[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        services.set_schema(dataset=dataset, labels=[spec(name) for name in names], user=user)
    assert refused.value.code == "duplicate_label"
    assert names[0].strip() in refused.value.messages[0]
    assert not Label.objects.exists() and not PromptSet.objects.exists() and not Job.objects.exists()


@pytest.mark.parametrize(
    ("labels", "code", "message"),
    [
        ([], "no_labels", "at least one label"),
        ([spec("good"), spec("", "a photo")], "label_without_name", "name"),
        ([spec("good"), spec("\u200b\u200d", "a photo")], "label_without_name", "name"),
        ([spec("good"), {"name": "dent", "prompts": ["  ", ""]}], "label_without_prompt", "a photo of dent"),
        ([spec("good"), spec("dent", "x" * 10_000)], "prompt_too_long", "10000"),
        ([spec("x" * 81)], "name_too_long", "81"),
        ([spec("good", *[f"prompt {n}" for n in range(51)])], "too_many_prompts", "51"),
        ([spec(f"label {n}") for n in range(201)], "too_many_labels", "201"),
    ],
)
def test_bad_schemas_are_refused_with_a_message(
    dataset: Any, user: Any, labels: list[Any], code: str, message: str
) -> None:
    services.set_schema(dataset=dataset, labels=[spec("before")], user=user)
    with pytest.raises(ValidationError) as refused:
        services.set_schema(dataset=dataset, labels=labels, user=user)
    assert refused.value.code == code
    assert message in refused.value.messages[0].replace(",", "")
    assert [x.name for x in active_labels(dataset)] == ["before"], "no label was changed"
    assert PromptSet.objects.count() == 1


def test_names_can_be_exchanged_and_labels_keep_their_identity(dataset: Any, user: Any) -> None:
    services.set_schema(dataset=dataset, labels=[spec("a"), spec("b"), spec("c")], user=user)
    ids = {x.name: x.pk for x in active_labels(dataset)}
    services.set_schema(
        dataset=dataset,
        labels=[spec("b", id=ids["a"]), spec("a", id=ids["b"]), spec("d")],
        user=user,
    )
    assert {x.name: x.pk for x in active_labels(dataset)} | {"d": 0} == {
        "b": ids["a"],
        "a": ids["b"],
        "d": 0,
    }
    assert Label.objects.get(pk=ids["c"]).archived_at is not None
    # The name of an archived label is free again.
    services.set_schema(dataset=dataset, labels=[spec("a"), spec("c")], user=user)
    assert {x.name for x in active_labels(dataset)} == {"a", "c"}


def test_labels_are_added_updated_and_archived(dataset: Any, user: Any) -> None:
    first = services.add_label(dataset=dataset, name="good", user=user)
    second = services.add_label(dataset=dataset, name="bad", user=user, critical=True)
    assert (first.position, second.position) == (1, 2)
    with pytest.raises(ValidationError):
        services.add_label(dataset=dataset, name="BAD", user=user)
    with pytest.raises(ValidationError) as refused:
        services.save_prompts(dataset=dataset, prompts={first.pk: ["x"]}, user=user)
    assert "bad" in refused.value.messages[0] and "a photo of bad" in refused.value.messages[0]
    services.update_label(label=first, user=user, guideline="No\x00 visible\r\ndefect")
    first.refresh_from_db()
    assert first.guideline == "No visible\ndefect"
    services.archive_label(label=second, user=user)
    assert [(x.name, x.position) for x in active_labels(dataset)] == [("good", 1)], "its key stays"
    with pytest.raises(ValidationError):
        services.archive_label(label=first, user=user)


def test_prompts_for_no_or_unknown_labels_are_refused(dataset: Any, user: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        services.save_prompts(dataset=dataset, prompts={}, user=user)
    assert refused.value.code == "no_labels"
    other = services.add_label(dataset=DatasetFactory(admin=user), name="elsewhere", user=user)
    services.set_schema(dataset=dataset, labels=[spec("good")], user=user)
    with pytest.raises(ValidationError) as refused:
        services.save_prompts(dataset=dataset, prompts={other.pk: ["x"]}, user=user)
    assert refused.value.code == "unknown_label"
    before = current_prompt_set(dataset)
    assert before is not None and before.version == 1
