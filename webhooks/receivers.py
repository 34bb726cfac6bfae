"""Model signals → `emit()`, for the models that `catalogue.connect_model` recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.utils.encoding import is_protected_type

from . import catalogue, events, leaving
from .catalogue import ModelConnection
from .conf import workspace_model

_UID = "webhooks"


def connect() -> None:
    """Wire every recorded connection. Called once, from `ready()`. Raises ImproperlyConfigured."""
    for connection in catalogue.connections():
        receiver = _ModelReceiver(connection)
        uid = (_UID, connection.prefix)
        model = connection.model
        pre_save.connect(receiver.before_save, sender=model, weak=False, dispatch_uid=uid)
        post_save.connect(receiver.after_save, sender=model, weak=False, dispatch_uid=uid)
        pre_delete.connect(receiver.before_delete, sender=model, weak=False, dispatch_uid=uid)
        post_delete.connect(receiver.after_delete, sender=model, weak=False, dispatch_uid=uid)
    pre_delete.connect(_workspace_leaves, sender=workspace_model(), dispatch_uid=_UID)
    post_delete.connect(_workspace_left, sender=workspace_model(), dispatch_uid=_UID)


def _workspace_leaves(instance: models.Model, **_: Any) -> None:
    # The collector sends every pre_delete before its first DELETE, so the cascade finds the mark.
    leaving.mark(instance.pk)


def _workspace_left(instance: models.Model, **_: Any) -> None:
    leaving.forget(instance.pk)


class _ModelReceiver:
    """The receivers of one connected model."""

    def __init__(self, connection: ModelConnection) -> None:
        self.connection = connection
        self.fields = [
            field
            for field in connection.model._meta.concrete_fields
            if (connection.fields is None or field.name in connection.fields)
            and field.name not in connection.exclude
        ]
        # The old values of transitions are needed even where the field itself is not shown.
        self.tracked = [
            *self.fields,
            *(
                field
                for field in connection.model._meta.concrete_fields
                if field.name in connection.transitions and field not in self.fields
            ),
        ]
        self.memory = f"_webhooks_before_{connection.prefix}"

    def before_save(self, instance: models.Model, raw: bool, using: str, **_: Any) -> None:
        """Remember the stored values: one SELECT of the tracked fields, none for a new row."""
        if raw or _is_new(instance):
            instance.__dict__.pop(self.memory, None)
            return
        instance.__dict__[self.memory] = self._stored(instance, using)

    def after_save(
        self,
        instance: models.Model,
        created: bool,
        raw: bool,
        using: str,
        update_fields: Iterable[str] | None,
        **_: Any,
    ) -> None:
        if raw:
            return
        before = instance.__dict__.pop(self.memory, None)
        if created or before is None:
            self._emit_created(instance, using)
        else:
            self._emit_updated(instance, before, using, update_fields)

    def before_delete(self, instance: models.Model, using: str, **_: Any) -> None:
        """Load what was deferred while the row is still there."""
        deferred = instance.get_deferred_fields() & {field.attname for field in self.tracked}
        if deferred:
            instance.refresh_from_db(using=using, fields=deferred)

    def after_delete(self, instance: models.Model, **_: Any) -> None:
        self._emit(self.connection.type_name("deleted"), instance, {"object": self._object(instance)})

    def _emit_created(self, instance: models.Model, using: str) -> None:
        if _has_expressions(instance, self.tracked):
            instance.refresh_from_db(using=using, fields=[field.name for field in self.tracked])
        data = {"object": self._object(instance)}
        self._emit(self.connection.type_name("created"), instance, data)
        for name in self.connection.transitions:
            value = getattr(instance, name)
            self._emit(self.connection.transition_name(name, value), instance, data)

    def _emit_updated(
        self,
        instance: models.Model,
        before: dict[str, Any],
        using: str,
        update_fields: Iterable[str] | None,
    ) -> None:
        after = self._after(instance, before, using, update_fields)
        changed = [
            field
            for field in self.tracked
            if after[field.name] != before[field.name] and not getattr(field, "auto_now", False)
        ]
        if not changed:
            return
        data = {
            "object": {field.name: _plain(field, after[field.name]) for field in self.fields},
            "changes": {
                field.name: {
                    "old": _plain(field, before[field.name]),
                    "new": _plain(field, after[field.name]),
                }
                for field in changed
                if field in self.fields
            },
        }
        self._emit(self.connection.type_name("updated"), instance, data)
        for field in changed:
            self._emit(self.connection.transition_name(field.name, after[field.name]), instance, data)

    def _after(
        self,
        instance: models.Model,
        before: dict[str, Any],
        using: str,
        update_fields: Iterable[str] | None,
    ) -> dict[str, Any]:
        """Return what is stored now: what was saved, and the old value of each field that was not."""
        if _has_expressions(instance, self.tracked):
            return self._stored(instance, using) or before
        saved = None if update_fields is None else set(update_fields)
        return {
            field.name: field.to_python(field.value_from_object(instance))
            if saved is None or field.name in saved or field.attname in saved
            else before[field.name]
            for field in self.tracked
        }

    def _stored(self, instance: models.Model, using: str) -> dict[str, Any] | None:
        names = {field.attname: field.name for field in self.tracked}
        manager = self.connection.model._base_manager.using(using)
        row = manager.filter(pk=instance.pk).values(*names).first()
        return None if row is None else {names[attname]: value for attname, value in row.items()}

    def _object(self, instance: models.Model) -> dict[str, Any]:
        return {
            field.name: _plain(field, field.to_python(field.value_from_object(instance)))
            for field in self.fields
        }

    def _emit(self, type_name: str | None, instance: models.Model, data: dict[str, Any]) -> None:
        if type_name is None:
            return
        source = self.connection.workspace
        workspace = source(instance) if callable(source) else getattr(instance, source)
        if workspace is None:
            return
        subject = f"{instance._meta.label_lower}:{instance.pk}"
        events.emit(type_name, workspace=workspace, data=data, subject=subject)


def _is_new(instance: models.Model) -> bool:
    """Whether saving will insert: a key given by hand may name a stored row, one made by a default does not."""
    pk_field = instance._meta.pk
    return instance._state.adding and (
        instance.pk is None or (pk_field is not None and pk_field.has_default())
    )


def _has_expressions(instance: models.Model, fields: list[Any]) -> bool:
    """Whether something like F("count") + 1 still stands where the value will be."""
    values = (instance.__dict__.get(field.attname) for field in fields)  # without loading what is deferred
    return any(hasattr(value, "resolve_expression") for value in values)


def _plain(field: Any, value: Any) -> Any:
    """Return what JSON can say of a field's value, as Django's serialisers would."""
    if value is None or is_protected_type(value) or isinstance(value, (bool, str, list, dict)):
        return value
    holder = field.model()
    setattr(holder, field.attname, value)
    return field.value_to_string(holder)
