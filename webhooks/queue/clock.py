"""The database's clock, which alone decides what is due."""

from __future__ import annotations

from datetime import datetime, timezone

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import Now

from ..models.database import connection
from .rows import pending


def clock_sql(db: BaseDatabaseWrapper) -> str:
    """Return the expression for the database's clock, to stand in a statement that has parameters."""
    if db.vendor == "postgresql":
        return "statement_timestamp()"
    return "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"


def database_now() -> datetime:
    """Return the database's clock."""
    db = connection()
    with db.cursor() as cursor:
        cursor.execute(f"SELECT {clock_sql(db)}", [])
        [value] = cursor.fetchone()
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=timezone.utc)
    return value


def is_due(now: datetime | None = None) -> bool:
    """Return whether any delivery is due: a plain SELECT, which takes no lock."""
    return pending().filter(due_at__lte=Now() if now is None else now).exists()


def next_due_at() -> datetime | None:
    """Return when the earliest pending delivery falls due, those in flight counted with their lease's end."""
    return pending().filter(due_at__isnull=False).order_by("due_at").values_list("due_at", flat=True).first()
