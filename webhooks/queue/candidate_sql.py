"""The look of a claim at what is due, as SQL for both databases. Every value is a parameter.

First at the head, the earliest due rows of all webhooks. Where these are as many as are looked at, there may be more
behind them, of others: then it goes on from webhook to webhook, and takes in the first due rows of those that are
not in the head. So no backlog hides anybody, and none is walked over.

PostgreSQL plans them by statistics that may be of a time at which nothing was pending, when every join and every
partial index seems equally good. So little is left to choose: what is many is counted by sorting, not by a join, and
what must be found by one index is said to be pending in the words of that index, and asked for in its order.
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from ..models import Delivery, Webhook, WebhookState

# A delivery whose claim was lost this often is claimed alone.
SUSPECT_AFTER = 3
# And at this number it ends.
WORKER_LOST_AFTER = 5

# Says it so that no partial index seems to answer it.
IS_STILL_PENDING = "status || '' = 'pending'"

_OWED = "id, webhook_id, due_at, lost_claims"
_CANDIDATE = "id, webhook_id, workspace_id, waits, is_deleted, lost_claims, rate_limit, ordered, revision"


def look_sql(db: BaseDatabaseWrapper, *, suspects: bool) -> str:
    """Return the look at %(head)s due rows from %(beginning)s on, and at %(tour)s webhooks after %(after)s.

    Its rows are (Unix time of the first in the head, webhooks visited, the last of them, …candidate): first all
    candidates that must be set aside, then %(limit)s that can be sent, of each workspace in turn and in the order in
    which they fell due. Without any there is one row, and the candidate in it is NULL.
    """
    is_pending = IS_STILL_PENDING if suspects else "status = 'pending'"
    return f"""
        WITH RECURSIVE head AS (
            SELECT {_OWED} FROM {_table(db, Delivery)}
            WHERE {is_pending} AND due_at BETWEEN %(beginning)s AND %(now)s AND {_lost_claims(suspects)}
            ORDER BY due_at LIMIT %(head)s
        ), visited(webhook_id, number) AS (
            SELECT {_next_webhook(db, "%(after)s")}, 1 WHERE (SELECT COUNT(*) FROM head) = %(head)s
            UNION ALL
            SELECT {_next_webhook(db, "visited.webhook_id")}, number + 1 FROM visited
            WHERE webhook_id IS NOT NULL AND number < %(tour)s
        ), others AS (
            SELECT webhook_id FROM visited WHERE webhook_id NOT IN (SELECT webhook_id FROM head)
        ), looked_at AS (
            SELECT {_OWED} FROM head UNION ALL SELECT {_owed("owed")} FROM others {_firsts(db, suspects)}
        ), {_counted(db)}, {_standing(db)}, {_chosen(db)}
        SELECT {_epoch(db, "earliest.first")}, tour.number, tour.last, {_CANDIDATE}
        FROM (SELECT MIN(due_at) AS first FROM head) AS earliest
        CROSS JOIN (SELECT COUNT(webhook_id) AS number, MAX(webhook_id) AS last FROM visited) AS tour
        LEFT JOIN chosen ON TRUE
        ORDER BY aside DESC, turn, due_at, id LIMIT %(limit)s + (SELECT COUNT(*) FROM chosen WHERE aside)
    """  # noqa: S608  names and constants are ours; every value is a parameter


def suspects_sql(db: BaseDatabaseWrapper) -> str:
    """Return the expression for whether any delivery is pending that may be killing workers."""
    return (
        f"EXISTS (SELECT 1 FROM {_table(db, Delivery)} "  # noqa: S608  as above
        f"WHERE lost_claims >= {SUSPECT_AFTER} AND {IS_STILL_PENDING})"
    )


def _lost_claims(suspects: bool) -> str:
    return f"lost_claims {'>=' if suspects else '<'} {SUSPECT_AFTER}"


def _next_webhook(db: BaseDatabaseWrapper, after: str) -> str:
    return (
        f"(SELECT next.webhook_id FROM {_table(db, Delivery)} AS next "  # noqa: S608  as above
        f"WHERE next.due_at IS NOT NULL AND next.webhook_id > {after} ORDER BY next.webhook_id, next.due_at LIMIT 1)"
    )


def _counted(db: BaseDatabaseWrapper) -> str:
    """Return what was looked at, each row with the number of its webhook's deliveries in flight."""
    return f"""in_flight AS (
            SELECT webhook_id FROM {_table(db, Delivery)}
            WHERE claim IS NOT NULL AND due_at > %(now)s ORDER BY due_at, webhook_id
        ), together(id, webhook_id, due_at, lost_claims, number) AS (
            SELECT {_OWED}, 0 FROM looked_at
            UNION ALL SELECT NULL, webhook_id, NULL, NULL, 1 FROM in_flight
        ), counted AS (
            SELECT {_OWED}, SUM(number) OVER (PARTITION BY webhook_id) AS in_flight FROM together
        )"""  # noqa: S608  as above


def _standing(db: BaseDatabaseWrapper) -> str:
    """Return the same, each row with what its webhook allows: how many more in flight, and whether it must wait."""
    webhook, state = (_table(db, model) for model in (Webhook, WebhookState))
    postgresql = db.vendor == "postgresql"
    least = "LEAST" if postgresql else "MIN"
    revision = "webhook.xmin::text::bigint" if postgresql else "0"
    return f"""standing AS (
            SELECT counted.id, counted.due_at, counted.lost_claims, counted.webhook_id, webhook.workspace_id,
                   {least}(
                       %(cap)s,
                       COALESCE(NULLIF(webhook.max_in_flight, 0), %(cap)s),
                       COALESCE(state.drip, %(cap)s),
                       CASE WHEN webhook.ordered OR state.paused_until IS NOT NULL THEN 1 ELSE %(cap)s END
                   ) - counted.in_flight AS free,
                   NOT webhook.is_active
                   OR (state.paused_until IS NOT NULL AND state.paused_until > %(now)s) AS is_held,
                   webhook.deleted_at IS NOT NULL AS is_deleted,
                   webhook.rate_limit IS NULL OR state.sendable_at IS NULL OR state.sendable_at <= %(now)s
                   AS sendable,
                   webhook.rate_limit, webhook.ordered, {revision} AS revision
            FROM counted
            JOIN {webhook} AS webhook ON webhook.id = counted.webhook_id
            LEFT JOIN {state} AS state ON state.webhook_id = counted.webhook_id
            WHERE counted.id IS NOT NULL
        )"""  # noqa: S608  as above


def _chosen(db: BaseDatabaseWrapper) -> str:
    """Return what is chosen of it: all to be set aside, and of each webhook as many as it leaves free.

    `turn` lets the workspaces take turns: the first of each comes before the second of any.
    """
    others = "(%(without)s IS NULL OR workspace_id <> %(without)s)"
    return f"""sorted AS (
            SELECT standing.*, is_held OR (ordered AND standing.id > {_first_of_all(db)}) AS waits FROM standing
        ), apart AS (
            SELECT sorted.*, waits OR is_deleted OR lost_claims >= {WORKER_LOST_AFTER} AS aside FROM sorted
        ), ranked AS (
            SELECT apart.*, ROW_NUMBER() OVER (PARTITION BY webhook_id, aside ORDER BY due_at, id) AS place
            FROM apart
        ), chosen AS (
            SELECT ranked.*, ROW_NUMBER() OVER (PARTITION BY workspace_id, aside ORDER BY due_at, id) AS turn
            FROM ranked WHERE aside OR (sendable AND place <= free AND {others})
        )"""  # noqa: S608  as above


def _firsts(db: BaseDatabaseWrapper, suspects: bool) -> str:
    """Return the join of each other webhook with its earliest due rows, as many as can be in flight."""
    delivery = _table(db, Delivery)
    columns = _owed("mine") if db.vendor == "postgresql" else "mine.id"
    firsts = f"""(
                SELECT {columns} FROM {delivery} AS mine
                WHERE mine.webhook_id = others.webhook_id AND mine.due_at <= %(now)s
                  AND mine.{IS_STILL_PENDING} AND mine.{_lost_claims(suspects)}
                ORDER BY mine.due_at LIMIT %(cap)s
            )"""  # noqa: S608  as above
    if db.vendor == "postgresql":
        return f"CROSS JOIN LATERAL {firsts} AS owed"
    return f"JOIN {delivery} AS owed ON owed.id IN {firsts}"


def _owed(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in _OWED.split(", "))


def _first_of_all(db: BaseDatabaseWrapper) -> str:
    """Return the first pending delivery of the webhook of what is due.

    PostgreSQL would rather walk along another index, which begins with all that has ended, and expects to meet what is
    pending soon. Compared as a pair and asked for in the order of the pair, it is found by the index on both.
    """
    bounds = "mine.webhook_id = standing.webhook_id AND mine.id <= standing.id"
    if db.vendor == "postgresql":
        pair = "(mine.webhook_id, mine.id)"
        bounds = f"{pair} >= (standing.webhook_id, 0) AND {pair} <= (standing.webhook_id, standing.id)"
    return f"""(
                SELECT mine.id FROM {_table(db, Delivery)} AS mine WHERE mine.finished_at IS NULL AND {bounds}
                ORDER BY mine.webhook_id, mine.id LIMIT 1
            )"""  # noqa: S608  as above


def _epoch(db: BaseDatabaseWrapper, time: str) -> str:
    """Return a time as a number: it stands in each row, and a number is ten times as cheap to read."""
    return f"EXTRACT(EPOCH FROM {time})::float8" if db.vendor == "postgresql" else "NULL"


def _table(db: BaseDatabaseWrapper, model: type[Model]) -> str:
    return db.ops.quote_name(model._meta.db_table)
