"""Events and decisions cannot be changed, whoever asks: the database itself refuses."""

import pytest
from django.db import DatabaseError, connection, transaction

from mekiki.audit.models import Event
from mekiki.audit.services import record
from mekiki.review.models import Decision
from tests import factories

pytestmark = pytest.mark.django_db
TABLES = ["audit_event", "review_decision"]


@pytest.fixture(autouse=True)
def _rows() -> None:
    """One of each, without which nothing could be refused."""
    factories.DecisionFactory()
    record(kind="test.happened", data={"n": 1})


def execute(sql: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def contents(table: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY id")
        return cursor.fetchall()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE {table} SET id = id + 1",
        "UPDATE {table} SET kind = 'other'",
        "UPDATE {table} SET kind = kind",
        "DELETE FROM {table}",
        "DELETE FROM {table} WHERE id = (SELECT max(id) FROM {table})",
        "TRUNCATE {table}",
        "TRUNCATE {table} CASCADE",
        "WITH gone AS (DELETE FROM {table} RETURNING *) SELECT count(*) FROM gone",
    ],
)
def test_raw_sql_is_refused(table: str, sql: str) -> None:
    before = contents(table)
    assert before
    with pytest.raises(DatabaseError, match=r"[Cc]annot|append-only"):
        execute(sql.format(table=table))
    assert contents(table) == before


@pytest.mark.parametrize("table", TABLES)
def test_an_upsert_changes_nothing_either(table: str) -> None:
    before = contents(table)
    with pytest.raises(DatabaseError, match="Cannot update"):
        execute(f"INSERT INTO {table} SELECT * FROM {table} ON CONFLICT (id) DO UPDATE SET kind = 'other'")
    assert contents(table) == before


@pytest.mark.parametrize("model", [Event, Decision])
def test_the_orm_is_refused(model: type) -> None:
    row = model.objects.latest("pk")
    for act in (
        row.save,
        row.delete,
        model.objects.all().delete,
        lambda: model.objects.update(kind="other"),
        lambda: model.objects.bulk_update([row], ["kind"]),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            act()
    assert model.objects.filter(pk=row.pk, kind=row.kind).exists()


def test_deleting_what_decisions_hang_on_is_refused_too() -> None:
    """A cascade from an image or a dataset ends at the decisions."""
    decision = Decision.objects.get()
    for victim in (decision.image, decision.dataset, decision.user, decision.label):
        with pytest.raises(DatabaseError), transaction.atomic():
            type(victim).objects.filter(pk=victim.pk)._raw_delete("default")
            execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert Decision.objects.filter(pk=decision.pk).exists()


def test_an_act_that_fails_leaves_no_event() -> None:
    before = Event.objects.count()
    with pytest.raises(RuntimeError), transaction.atomic():
        record(kind="test.undone")
        raise RuntimeError
    assert Event.objects.count() == before


def test_an_event_keeps_the_name_its_actor_had() -> None:
    user = factories.UserFactory(username="before")
    event = record(kind="test.happened", actor=user, target=user)
    user.username = "after"
    user.save()
    event.refresh_from_db()
    assert (event.actor_name, event.actor_id, event.object_type) == ("before", user.pk, "user")
    assert event.at is not None
