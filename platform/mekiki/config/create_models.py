"""An operation of migrations that creates many tables in little time."""

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import CreateModel
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.state import ProjectState


class CreateModels(Operation):
    """Create the tables of all these models. They may refer to each other in both directions.

    After each CreateModel, Django builds the classes of all models anew that are related to the new one, over
    any number of steps: here of most models. This operation builds the classes of the new models only.
    """

    category = OperationCategory.ADDITION

    def __init__(self, *models: CreateModel) -> None:
        self.models = models

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        # Without classes, CreateModel only notes the model.
        classes = state.__dict__.pop("apps", None)
        for model in self.models:
            model.state_forwards(app_label, state)
        if classes is not None:
            # They add their reverse relations to the other classes, as at the start of an application.
            state.apps = classes
            classes.render_multiple([state.models[app_label, model.name_lower] for model in self.models])
            state.is_delayed = True  # RunPython and signals get fresh classes, as after AlterField.

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        for model in self.models:
            model.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        for model in reversed(self.models):
            model.database_backwards(app_label, schema_editor, from_state, to_state)

    def describe(self) -> str:
        return "Create models " + ", ".join(model.name for model in self.models)
