"""The clock on SQLite, which compares times as text: what it says sorts among what Django writes."""

import re
from datetime import datetime, timezone

import pytest
from django.db import connection

from tests.factories import make_webhook
from webhooks import queue
from webhooks.events import emit
from webhooks.models import Delivery

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite's texts"),
]


@pytest.mark.parametrize("microsecond", [0, 1000, 500_000])
def test_the_clock_says_a_time_as_django_stores_it(microsecond):
    moment = datetime(2026, 1, 2, 3, 4, 5, microsecond, tzinfo=timezone.utc)
    stored = connection.ops.adapt_datetimefield_value(moment)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {queue.clock_sql(connection)}".replace("'now'", "%s"), [stored])
        assert cursor.fetchone() == (stored,)


def test_what_is_due_now_is_written_so(workspace):
    make_webhook(workspace)
    emit("order.created", workspace=workspace, data={})
    written = [due_at()]
    Delivery.objects.update(due_at=queue.Now())
    written.append(due_at())
    assert all(re.fullmatch(r"\S+ \d\d:\d\d:\d\d(\.\d{6})?", one) for one in written), written
    assert not any(one.endswith(".000000") for one in written)


@pytest.mark.django_db(transaction=True)
def test_what_falls_due_at_a_whole_second_is_due_at_it(workspace):
    make_webhook(workspace)
    connection.ensure_connection()
    connection.connection.create_function("strftime", 2, lambda layout, moment: "2026-01-02 03:04:05.000")
    try:
        emit("order.created", workspace=workspace, data={})
        assert queue.next_due().is_due
        assert len(queue.claim(1, alone=True).deliveries) == 1
        Delivery.objects.update(due_at=queue.Now(), claim=None)
        assert len(queue.claim(1, alone=True).deliveries) == 1
    finally:
        connection.close()  # the next connection has SQLite's own again


def due_at():
    with connection.cursor() as cursor:
        cursor.execute("SELECT due_at || '' FROM webhooks_delivery")
        return cursor.fetchone()[0]
