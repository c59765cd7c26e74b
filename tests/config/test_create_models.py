"""The operation of migrations that creates many tables at once."""

import pytest
from django.db import connection, migrations, models
from django.db.migrations.state import ProjectState, StateApps

from mekiki.config.create_models import CreateModels
from tests.roles import as_owner

APP = "createmodels"


def relations(apps: StateApps) -> dict[str, list[tuple[str, str, bool]]]:
    """Return the fields of each model, and whether each refers to the class that the state has."""
    return {
        model.__name__: sorted(
            (type(field).__name__, field.name, field.related_model in (None, *apps.get_models()))
            for field in model._meta.get_fields(include_hidden=True)
        )
        for model in apps.get_models()
    }


@pytest.mark.django_db
def test_models_that_refer_to_each_other_are_created_and_deleted() -> None:
    def reference(model: str) -> models.Field:
        return models.ForeignKey(f"{APP}.{model}", models.CASCADE, null=True)

    key = ("id", models.BigAutoField(primary_key=True))
    older = migrations.CreateModel("Older", [key])
    both = CreateModels(
        migrations.CreateModel("First", [key, ("second", reference("Second"))]),
        migrations.CreateModel("Second", [key, ("first", reference("First")), ("older", reference("Older"))]),
    )
    after = ProjectState()
    older.state_forwards(APP, after)
    class_of_older = after.apps.get_model(APP, "older")
    before = after.clone()
    both.state_forwards(APP, after)
    assert after.apps.get_model(APP, "older") is class_of_older
    assert relations(after.apps) == relations(ProjectState(models=dict(after.models)).apps)

    with as_owner():
        with connection.schema_editor() as editor:
            older.database_forwards(APP, editor, ProjectState(), before)
            both.database_forwards(APP, editor, before, after)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint "
                "WHERE contype = 'f' AND conrelid::regclass::text LIKE %s ORDER BY 1, 2",
                [f"{APP}%"],
            )
            first, second = f"{APP}_first", f"{APP}_second"
            assert cursor.fetchall() == [(first, second), (second, first), (second, f"{APP}_older")]
        with connection.schema_editor() as editor:
            both.database_backwards(APP, editor, after, before)
        assert [n for n in connection.introspection.table_names() if n.startswith(APP)] == [f"{APP}_older"]
