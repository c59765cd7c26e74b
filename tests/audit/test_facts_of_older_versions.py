"""Facts that older versions kept in events and results are in tables after the upgrade."""

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from mekiki.audit.models import Event
from mekiki.audit.services import record
from mekiki.datasets.models import AuditShareChange
from mekiki.review.models import AuditRetirement
from tests.factories import DatasetFactory
from tests.roles import as_owner, grant_rights

BEFORE = [("datasets", "0014_overlap"), ("review", "0009_overlap")]


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
    upgraded()
    rows = AuditShareChange.objects.order_by("pk").values_list("dataset", "before", "after", "changed_at")
    assert list(rows) == [
        (dataset.pk, 0.15, 0.0, shares[0].at),
        (other.pk, 0.15, 0.5, shares[1].at),
        (dataset.pk, 0.0, 0.3, shares[2].at),
    ]
    row = AuditRetirement.objects.get()
    assert (row.dataset, row.labels, row.retired_at) == (dataset, 7, retired.at)
