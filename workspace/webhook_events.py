"""What a workspace tells its webhooks."""

from __future__ import annotations

from typing import Any

from webhooks.catalogue import EventType, connect_model, register

from .models import Activity, Membership, Workspace

_ID = {"type": "integer"}
_TEXT = {"type": "string"}
_MOMENT = {"type": ["string", "null"], "format": "date-time"}

_ACTIVITY: dict[str, Any] = {
    "id": 7,
    "workspace": 1,
    "author": 3,
    "title": "Autumn launch",
    "body": "We are live.",
    "status": "published",
    "created_at": "2026-01-31T08:55:00Z",
    "updated_at": "2026-01-31T09:00:00Z",
    "scheduled_at": None,
    "published_at": "2026-01-31T09:00:00Z",
}
_ACTIVITY_PROPERTIES = {
    "id": _ID,
    "workspace": _ID,
    "author": {"type": ["integer", "null"]},
    "title": _TEXT,
    "body": _TEXT,
    "status": {"enum": list(Activity.Status.values)},
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
    "scheduled_at": _MOMENT,
    "published_at": _MOMENT,
}
_MEMBER: dict[str, Any] = {"id": 5, "workspace": 1, "user": 3, "role": "member"}
_MEMBER_PROPERTIES = {
    "id": _ID,
    "workspace": _ID,
    "user": _ID,
    "role": {"enum": list(Membership.Role.values)},
}
_WORKSPACE: dict[str, Any] = {"id": 1, "name": "Acme", "slug": "acme"}
_WORKSPACE_PROPERTIES = {"id": _ID, "name": _TEXT, "slug": _TEXT}


def _schema(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of `data`: the object, and in an update what has changed."""
    change = {"type": "object", "properties": {"old": {}, "new": {}}, "required": ["old", "new"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "object": {"type": "object", "properties": properties, "required": list(properties)},
            "changes": {"type": "object", "additionalProperties": change},
        },
        "required": ["object"],
    }


def _register(
    type_name: str,
    description: str,
    example: dict[str, Any],
    properties: dict[str, Any],
    changes: dict[str, Any] | None = None,
) -> None:
    data = {"object": example, **({"changes": changes} if changes else {})}
    register(EventType(name=type_name, description=description, example=data, schema=_schema(properties)))


for _name, _description, _changes in (
    ("created", "An activity was created.", {}),
    ("updated", "An activity was changed.", {"title": {"old": "Launch", "new": "Autumn launch"}}),
    ("scheduled", "An activity was scheduled.", {"status": {"old": "draft", "new": "scheduled"}}),
    ("published", "An activity was published.", {"status": {"old": "scheduled", "new": "published"}}),
    ("failed", "Publishing an activity failed.", {"status": {"old": "scheduled", "new": "failed"}}),
    ("deleted", "An activity was deleted.", {}),
):
    _status = {"scheduled": "scheduled", "failed": "failed"}.get(_name, "published")
    _register(
        f"activity.{_name}", _description, {**_ACTIVITY, "status": _status}, _ACTIVITY_PROPERTIES, _changes
    )

_register("member.added", "Somebody joined the workspace.", _MEMBER, _MEMBER_PROPERTIES)
_register(
    "member.role_changed",
    "A member was given another role.",
    _MEMBER,
    _MEMBER_PROPERTIES,
    {"role": {"old": "viewer", "new": "member"}},
)
_register("member.removed", "Somebody left the workspace.", _MEMBER, _MEMBER_PROPERTIES)
_register(
    "workspace.updated",
    "The workspace's name or slug was changed.",
    _WORKSPACE,
    _WORKSPACE_PROPERTIES,
    {"name": {"old": "Acme Inc.", "new": "Acme"}},
)

connect_model(
    Activity,
    prefix="activity",
    transitions={"status": {"scheduled": "scheduled", "published": "published", "failed": "failed"}},
)
connect_model(
    Membership,
    prefix="member",
    names={"created": "added", "updated": "role_changed", "deleted": "removed"},
)
connect_model(
    Workspace,
    prefix="workspace",
    workspace=lambda instance: instance,
    names={"created": None, "deleted": None},
)
