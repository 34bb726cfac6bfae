"""Indices that are built and removed without stopping those who write the table meanwhile."""

from django.db import migrations


class AddIndexConcurrently(migrations.AddIndex):
    """For a migration with `atomic = False`. Unlike Django's own, it is a plain AddIndex on other databases."""

    atomic = False

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        _add(self, schema_editor, to_state.apps.get_model(app_label, self.model_name), self.index)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        index = from_state.models[app_label, self.model_name_lower].get_index_by_name(self.index.name)
        _remove(self, schema_editor, from_state.apps.get_model(app_label, self.model_name), index)


class RemoveIndexConcurrently(migrations.RemoveIndex):
    """The reverse, for the same."""

    atomic = False

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        index = from_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        _remove(self, schema_editor, from_state.apps.get_model(app_label, self.model_name), index)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        index = to_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        _add(self, schema_editor, to_state.apps.get_model(app_label, self.model_name), index)


def _add(operation, schema_editor, model, index):
    if operation.allow_migrate_model(schema_editor.connection.alias, model):
        schema_editor.add_index(model, index, **_options(schema_editor))


def _remove(operation, schema_editor, model, index):
    if operation.allow_migrate_model(schema_editor.connection.alias, model):
        schema_editor.remove_index(model, index, **_options(schema_editor))


def _options(schema_editor):
    return {"concurrently": True} if schema_editor.connection.vendor == "postgresql" else {}
