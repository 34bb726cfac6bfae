"""What a claim looks for is found by the right index, also when statistics know of nothing pending."""

import uuid

import pytest
from django.db import connection, transaction

from tests.factories import make_webhook, make_workspace
from tests.verdicts import verdict
from webhooks import queue
from webhooks.events import emit
from webhooks.models import Delivery
from webhooks.queue import candidate_sql, claiming, taking, writing

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 20_000
PENDING_COPIES = """
    INSERT INTO webhooks_delivery (event_id, webhook_id, workspace_id, event_type, status, ended_because,
        due_at, claim, lost_claims, attempt_count, attempts_before, created_at, finished_at)
    SELECT gen_random_uuid(), webhook_id, workspace_id, event_type, 'pending', '', now(), NULL, 0, 0, 0,
        now(), NULL
    FROM (SELECT * FROM webhooks_delivery LIMIT 1) AS one, generate_series(1, %s)
"""


@pytest.fixture(params=["of an idle time", "of a long idle time", "of a quiet time", "of the backlog"])
def backlog(request):
    """A backlog of one webhook, and what the statistics know: one or many ended and none pending, a little, all."""
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL's statistics")
    workspace = make_workspace()
    make_webhook(workspace)
    emit("order.created", workspace=workspace, data={})
    with connection.cursor() as cursor:
        if request.param == "of a long idle time":
            cursor.execute(PENDING_COPIES, [300])
        if "idle" in request.param:
            cursor.execute(
                "UPDATE webhooks_delivery SET status = 'succeeded', due_at = NULL, finished_at = now()"
            )
            cursor.execute("VACUUM ANALYZE webhooks_delivery")
        cursor.execute(PENDING_COPIES, [ROWS])
        if request.param == "of the backlog":
            cursor.execute("VACUUM ANALYZE webhooks_delivery")
    return workspace


def plan(sql, parameters):
    explain, column = ("EXPLAIN", 0) if connection.vendor == "postgresql" else ("EXPLAIN QUERY PLAN", 3)
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}", parameters)
        return "\n".join(row[column] for row in cursor.fetchall())


def values():
    bounds = {"cap": 8, "head": 2000, "limit": 512, "tour": 500, "after": 0, "without": None}
    return {"now": queue.database_now(), "beginning": "-infinity", **bounds}


def expected(suspects):
    first = "suspects" if suspects else "due"
    return {f"webhooks_delivery_{name}" for name in (first, "due_of", "in_flight", "unfinished")}


@pytest.mark.parametrize("suspects", [False, True])
def test_sqlite_walks_along_no_table(suspects):
    if connection.vendor != "sqlite":
        pytest.skip("SQLite's plans")
    text = plan(candidate_sql.look_sql(connection, suspects=suspects), values())
    assert indices(text) == expected(suspects)
    assert not [table for table in ("webhooks_delivery", "mine", "next", "owed") if f"SCAN {table}" in text]


def indices(text):
    return {word for word in text.replace('"', " ").split() if word.startswith("webhooks_delivery_")} - {
        f"webhooks_delivery_{number}" for number in range(9)
    }


@pytest.mark.parametrize("suspects", [False, True])
def test_the_look(backlog, suspects):
    with transaction.atomic():
        claiming._turn_taken(connection)
        text = plan(candidate_sql.look_sql(connection, suspects=suspects), values())
    assert indices(text) == expected(suspects)
    assert "Seq Scan on webhooks_delivery" not in text
    assert "Bitmap" not in text


def test_what_is_taken_and_what_is_recorded_is_found_by_its_key(backlog):
    seen = []

    def explained(execute, sql, parameters, many, context):
        if "FOR UPDATE OF delivery" in sql and not sql.startswith("EXPLAIN"):
            seen.append(plan(sql, parameters))
        return execute(sql, parameters, many, context)

    ids = list(Delivery.objects.filter(status="pending").values_list("pk", flat=True)[:300])
    now = queue.database_now()
    with connection.execute_wrapper(explained):
        taking.take(ids, uuid.uuid4(), now, now)
        claimed = queue.claim(8, alone=False)
        writing.write([verdict(claimed, one) for one in claimed.deliveries], claimed.now)
    assert len(seen) == 3
    for text in seen:
        assert "webhooks_delivery_pkey" in text
        assert not indices(text) - {"webhooks_delivery_pkey"}
