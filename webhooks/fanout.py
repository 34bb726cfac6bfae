"""Fan out: from events to the deliveries that are owed for them, one for each active, subscribed webhook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from . import catalogue, queue
from .models import Delivery, Event, Subscription, Webhook
from .models.database import connection, stored_key

# How many events one statement fans out. A database bounds the parameters of a statement.
BATCH = 1000

_Kind = tuple[Any, str]
"""A workspace's primary key and an event type: what decides which webhooks are told."""


def fan_out(events: Sequence[Event]) -> int:
    """Create the deliveries of events that are stored and return how many, in the caller's transaction.

    Their ids rise in the order of the events, which is the order in which an `ordered` webhook is sent them.
    """
    return sum(_fan_out(events[start : start + BATCH]) for start in range(0, len(events), BATCH))


def _fan_out(events: Sequence[Event]) -> int:
    db = connection()
    kinds = {kind: number for number, kind in enumerate(dict.fromkeys(map(_kind, events)))}
    with db.cursor() as cursor:
        cursor.execute(
            _statement(db, kinds, events), [*_kind_values(kinds), *_fact_values(db, events, kinds)]
        )
        return cursor.rowcount


def _statement(db: BaseDatabaseWrapper, kinds: Sized, events: Sized) -> str:
    """Return the statement for so many kinds and events.

    The webhooks are looked for, and locked, once for each kind: a batch mostly has one or two. `FOR KEY SHARE`
    keeps their rows until the commit, so that deleting one meanwhile cannot make the caller's commit fail on a
    foreign key. `due_at` comes from the database's clock, as does the moment that an event is held until.
    """
    quote = db.ops.quote_name
    lock = "FOR KEY SHARE OF webhook" if db.vendor == "postgresql" else ""
    clock = queue.clock_sql(db)
    # A column of which every value is NULL is text to PostgreSQL.
    held_until = "CAST(fact.held_until AS timestamptz)" if db.vendor == "postgresql" else "fact.held_until"
    # Python's sqlite3 counts rows only of what begins with INSERT, and SQLite would read ON CONFLICT as the
    # condition of a join, were there no WHERE.
    return f"""
        {insert_into(db)}
        WITH kind (number, workspace_id, type, its_name, its_noun, every) AS (VALUES {_rows(kinds, 6)}),
        fact (place, id, kind, held_until) AS (VALUES {_rows(events, 4)}),
        subscribed AS (
            SELECT kind.number AS kind, kind.type, webhook.id, webhook.workspace_id
            FROM kind JOIN {quote(Webhook._meta.db_table)} AS webhook
              ON webhook.workspace_id = kind.workspace_id
            WHERE webhook.is_active AND webhook.deleted_at IS NULL
              AND EXISTS (
                SELECT 1 FROM {quote(Subscription._meta.db_table)} AS subscription
                WHERE subscription.webhook_id = webhook.id
                  AND subscription.pattern IN (kind.its_name, kind.its_noun, kind.every))
            ORDER BY webhook.id {lock}
        )
        SELECT fact.id, subscribed.id, subscribed.workspace_id, subscribed.type,
               {newly_due(db, f"COALESCE({held_until}, {clock})")}
        FROM fact JOIN subscribed ON subscribed.kind = fact.kind
        WHERE TRUE ORDER BY fact.place, subscribed.id
        ON CONFLICT DO NOTHING
    """  # noqa: S608  table names and the clock are ours; every value is a parameter


def insert_into(db: BaseDatabaseWrapper) -> str:
    """Return how a statement that creates deliveries begins. Its SELECT ends with what `newly_due` returns."""
    return f"""INSERT INTO {db.ops.quote_name(Delivery._meta.db_table)}
            (event_id, webhook_id, workspace_id, event_type, status, ended_because, due_at, claim,
             lost_claims, attempt_count, attempts_before, created_at, finished_at)"""


def newly_due(db: BaseDatabaseWrapper, due_at: str) -> str:
    """Return the values of a delivery that nobody has tried, from its status on; `due_at`: an expression."""
    return f"'pending', '', {due_at}, NULL, 0, 0, 0, {queue.clock_sql(db)}, NULL"


def _kind(event: Event) -> _Kind:
    return event.workspace_id, event.type


def _rows(values: Sized, columns: int) -> str:
    row = ", ".join(["%s"] * columns)
    return ", ".join([f"({row})"] * len(values))


def _kind_values(kinds: Mapping[_Kind, int]) -> Iterator[Any]:
    for (workspace_id, type_name), number in kinds.items():
        yield from (number, stored_key(workspace_id), type_name, *catalogue.patterns_matching(type_name))


def _fact_values(
    db: BaseDatabaseWrapper, events: Sequence[Event], kinds: Mapping[_Kind, int]
) -> Iterator[Any]:
    held_until = Event._meta.get_field("held_until")
    for place, event in enumerate(events):
        key = Event._meta.pk.get_db_prep_value(event.pk, db)
        yield from (place, key, kinds[_kind(event)], held_until.get_db_prep_value(event.held_until, db))
