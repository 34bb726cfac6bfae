"""Where the app's tables live: one database for all of them, whatever the project's router says of others."""

from __future__ import annotations

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from .delivery import Delivery


def alias() -> str:
    return router.db_for_write(Delivery)


def connection() -> BaseDatabaseWrapper:
    return connections[alias()]
