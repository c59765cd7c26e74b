"""Facts that older versions kept in events and results are in tables after the upgrade."""

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from mekiki.audit.models import Event
from mekiki.audit.services import record
from mekiki.datasets.models import AuditShareChange, ChangedFile
from mekiki.jobs.models import Kind, State
from mekiki.learning.models import EmbeddingRemoval, EncoderChange, LongPrompt
from mekiki.review.models import AuditRetirement
from tests.factories import (
    ChampionFactory,
    DatasetFactory,
    EncoderFactory,
    HeadFactory,
    JobFactory,
    LabelFactory,
    PromptSetFactory,
)
from tests.roles import as_owner, grant_rights

BEFORE = [
    ("datasets", "0015_reword_choices"),
    ("review", "0009_overlap"),
    ("learning", "0020_reword_choices"),
]


def migrate(targets: list[Any]) -> None:
    with as_owner():
        MigrationExecutor(connection).migrate(targets)
    grant_rights()


@pytest.fixture
def upgraded() -> Any:
    """Return a function that takes the tables away and upgrades the rows that are there now."""

    def upgrade() -> None:
        newest = MigrationExecutor(connection).loader.graph.leaf_nodes()
        try:
            migrate(BEFORE)
        finally:
            migrate(newest)

    return upgrade


def settings_changed(dataset: Any, **changes: tuple[Any, Any]) -> Event:
    return record(
        kind="dataset.settings_changed",
        dataset=dataset,
        target=dataset,
        data={
            "before": {name: before for name, (before, _after) in changes.items()},
            "after": {name: after for name, (_before, after) in changes.items()},
        },
    )


@pytest.mark.django_db(transaction=True)
def test_facts_of_events_are_carried_over(upgraded: Any) -> None:
    dataset, other = DatasetFactory(), DatasetFactory()
    shares = [
        settings_changed(dataset, audit_fraction=(0.15, 0), queue_target=(100, 50)),
        settings_changed(other, audit_fraction=(0.15, 0.5)),
        settings_changed(dataset, audit_fraction=(0, 0.3)),
    ]
    settings_changed(dataset, queue_target=(50, 60))
    retired = record(kind="audit.retired", dataset=dataset, target=dataset, data={"labels": 7})
    dataset_gone = type(dataset)(pk=10**9)
    settings_changed(dataset_gone, audit_fraction=(0.1, 0.2))
    record(kind="audit.retired", dataset=dataset_gone, data={"labels": 1})
    file = {"object": "v1", "expected": "a" * 64}
    changed = [
        record(kind="label_set.file_changed", dataset=dataset, object_id="v1", data={**file, "found": found})
        for found in ("b" * 64, "c" * 64, "b" * 64)
    ]
    encoder = EncoderFactory()
    removal = record(kind="encoder.embeddings_removed", dataset=dataset, target=encoder, data={"removed": 30})
    upgraded()
    rows = AuditShareChange.objects.order_by("pk").values_list("dataset", "before", "after", "changed_at")
    assert list(rows) == [
        (dataset.pk, 0.15, 0.0, shares[0].at),
        (other.pk, 0.15, 0.5, shares[1].at),
        (dataset.pk, 0.0, 0.3, shares[2].at),
    ]
    row = AuditRetirement.objects.get()
    assert (row.dataset, row.labels, row.retired_at) == (dataset, 7, retired.at)
    files = ChangedFile.objects.order_by("pk").values_list(
        "kind", "object_id", "expected", "actual", "noticed_at"
    )
    assert list(files) == [
        ("label_set.file_changed", "v1", "a" * 64, event.data["found"], event.at) for event in changed[:2]
    ]
    removed = EmbeddingRemoval.objects.get()
    assert (removed.encoder, removed.removed, removed.removed_at) == (encoder, 30, removal.at)


@pytest.mark.django_db(transaction=True)
def test_long_prompts_of_heads_changes_and_jobs_are_carried_over(upgraded: Any) -> None:
    def long(*texts: str, context: int = 5) -> list[dict[str, Any]]:
        return [{"label": "renamed since", "prompt": text, "tokens": 9, "context": context} for text in texts]

    dataset = DatasetFactory()
    labels = [LabelFactory(dataset=dataset) for _ in range(3)]
    prompts = PromptSetFactory(dataset=dataset)
    texts = [f"a photo of {label.name}" for label in labels]
    head = HeadFactory(dataset=dataset, prompt_set=prompts, metrics={"long_prompts": long(texts[0])})
    ChampionFactory(head=head)
    prepared = EncoderFactory()
    EncoderChange.objects.create(
        dataset=dataset,
        from_name="a",
        to_name="b",
        to_encoder=prepared,
        state="ready",
        facts={"long_prompts": long(texts[1], context=4)},
    )
    for version, named in (
        (1, texts[1]),  # not the newest
        (1, texts[2]),
    ):
        result = {"prompt_set": version, "long_prompts": long(named, "not in the set")}
        JobFactory(dataset=dataset, kind=Kind.PREDICT, state=State.SUCCEEDED, result=result)
    JobFactory(
        dataset=dataset, kind=Kind.REFILL, state=State.SUCCEEDED, result={"long_prompts": long(texts[1])}
    )
    upgraded()
    rows = LongPrompt.objects.order_by("prompt").values_list("encoder", "prompt__text", "tokens", "context")
    assert list(rows) == [
        (head.encoder_id, texts[0], 9, 5),
        (prepared.pk, texts[1], 9, 4),
        (head.encoder_id, texts[2], 9, 5),
    ]
