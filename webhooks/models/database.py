"""Where the app's tables live: one database for all of them, whatever the project's router says of others."""

from __future__ import annotations

from typing import Any

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from .delivery import Delivery


def alias() -> str:
    return router.db_for_write(Delivery)


def connection() -> BaseDatabaseWrapper:
    return connections[alias()]


def stored_key(workspace_id: Any) -> Any:
    """Return a workspace's key as the database has it, for a statement of our own: not each one knows UUIDs."""
    return Delivery._meta.get_field("workspace").get_db_prep_value(workspace_id, connection())
