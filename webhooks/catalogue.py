"""The event types that can be emitted, and the models whose signals emit them. Pure: a registry in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules

from .exceptions import UnknownEventType

if TYPE_CHECKING:
    from django.db.models import Model

ALL = "*"  # the pattern that matches every type
_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
MAX_NAME_LENGTH = 100


@dataclass(frozen=True, kw_only=True)
class EventType:
    """One kind of fact that webhooks can be told of."""

    name: str
    """noun.past_verb, e.g. "activity.published"."""
    description: str
    """One sentence for the person who chooses it."""
    example: Any
    """What `data` may look like: anything JSON can say."""
    schema: Mapping[str, Any]
    """JSON Schema of `data`. It documents; `emit()` does not check it."""

    @property
    def noun(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True, kw_only=True)
class ModelConnection:
    """What `connect_model` was asked for."""

    model: type[Model]
    prefix: str
    workspace: str | Callable[[Any], Any]
    fields: Sequence[str] | None
    exclude: Sequence[str]
    names: Mapping[str, str | None]
    transitions: Mapping[str, Mapping[Any, str]]

    def type_name(self, action: str) -> str | None:
        """Return the type for "created", "updated" or "deleted", or None when it is not to be emitted."""
        verb = self.names.get(action, action)
        return None if verb is None else f"{self.prefix}.{verb}"

    def transition_name(self, field_name: str, value: object) -> str | None:
        """Return the type to be emitted when `field_name` has become `value`, if any."""
        verb = self.transitions.get(field_name, {}).get(value)
        return None if verb is None else f"{self.prefix}.{verb}"

    def type_names(self) -> set[str]:
        """Return every type that this connection can emit."""
        actions = {self.type_name(action) for action in ("created", "updated", "deleted")}
        verbs = (verb for values in self.transitions.values() for verb in values.values())
        return {name for name in actions if name} | {f"{self.prefix}.{verb}" for verb in verbs}


@dataclass
class _Registry:
    types: dict[str, EventType] = field(default_factory=dict)
    connections: list[ModelConnection] = field(default_factory=list)


_registry = _Registry()


def register(event_type: EventType) -> None:
    """Make a type known. Raises ImproperlyConfigured for a malformed name, or one already taken by another."""
    name = event_type.name
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        raise ImproperlyConfigured(
            f"The event type {name!r} must read noun.past_verb, in lowercase letters, digits and underscores."
        )
    if _registry.types.setdefault(name, event_type) != event_type:
        raise ImproperlyConfigured(f"The event type {name} is registered twice, with different texts.")


def get(name: str) -> EventType:
    """Return a registered type. Raises UnknownEventType, which says how to make it known."""
    try:
        return _registry.types[name]
    except (KeyError, TypeError):
        raise UnknownEventType(
            f"No event type {name!r} is registered. Register it in the webhook_events.py of an installed app."
        ) from None


def all() -> list[EventType]:  # noqa: A001  the contract's name
    """Return the registered types in the order of their registration."""
    return list(_registry.types.values())


def patterns_matching(name: str) -> tuple[str, str, str]:
    """Return the patterns of a subscription that the type `name` matches: itself, its noun's, and all."""
    return name, f"{name.partition('.')[0]}.*", ALL


def check_pattern(pattern: str) -> None:
    """Raise UnknownEventType when no registered type can match `pattern`."""
    if pattern == ALL:
        return
    noun, _, verb = pattern.partition(".")
    if verb != ALL:
        get(pattern)
    elif noun not in {event_type.noun for event_type in all()}:
        raise UnknownEventType(
            f"No registered event type begins with {noun!r}, so {pattern!r} matches nothing."
        )


def connect_model(
    model: type[Model],
    *,
    prefix: str,
    workspace: str | Callable[[Any], Any] = "workspace",
    fields: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    names: Mapping[str, str | None] | None = None,
    transitions: Mapping[str, Mapping[Any, str]] | None = None,
) -> None:
    """Emit `prefix`.created, .updated and .deleted when instances of `model` are saved and deleted.

    workspace: the attribute that holds an instance's workspace, or a callable instance → workspace.
    fields, exclude: which concrete fields stand in the event's data, by name; all by default.
    names: other verbs, e.g. {"created": "added"}; None as a value: not emitted.
    transitions: {"status": {"published": "published"}} also emits `prefix`.published when status becomes so.
    Raises ImproperlyConfigured for a field or attribute that the model does not have.
    """
    known = {concrete.name for concrete in model._meta.concrete_fields}
    unknown = {*(fields or ()), *exclude, *(transitions or {})} - known
    if unknown:
        raise ImproperlyConfigured(f"{model._meta.label} has no field {', '.join(sorted(unknown))}.")
    if isinstance(workspace, str) and not hasattr(model, workspace):
        raise ImproperlyConfigured(
            f"connect_model({model._meta.label}): the model has no field {workspace!r}. Name the one that holds "
            'its workspace, as in workspace="team", or give a function of the instance.'
        )
    _registry.connections.append(
        ModelConnection(
            model=model,
            prefix=prefix,
            workspace=workspace,
            fields=fields,
            exclude=exclude,
            names=names or {},
            transitions=transitions or {},
        )
    )


def connections() -> list[ModelConnection]:
    """Return what `connect_model` recorded. Raises ImproperlyConfigured when one could emit an unknown type."""
    for connection in _registry.connections:
        unknown = connection.type_names() - _registry.types.keys()
        if unknown:
            raise ImproperlyConfigured(
                f"connect_model({connection.model._meta.label}) emits {', '.join(sorted(unknown))}: "
                "register each of them, or give names={…: None}."
            )
    return list(_registry.connections)


def autodiscover() -> None:
    """Import the `webhook_events.py` of each installed app."""
    autodiscover_modules("webhook_events")
