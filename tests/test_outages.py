"""A database that is away for a moment while requests are under way."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F

from tests.conftest import missing
from tests.factories import make_webhook, make_workspace
from webhooks import outages, queue
from webhooks.engine import drain
from webhooks.events import NewEvent, emit, emit_many
from webhooks.models import Attempt, Delivery

pytestmark = pytest.mark.django_db(transaction=True)

STALL = 5  # seconds


@pytest.fixture
def owed(receiver):
    workspace = make_workspace()
    make_webhook(workspace, callback_url=receiver.url)
    return emit("order.created", workspace=workspace, data={})


@contextmanager
def stalled():
    """Yield a function, to be called from any thread, that makes the database stand still for this connection."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_backend_pid()")
            [pid] = cursor.fetchone()
            if not Path(f"/proc/{pid}/comm").read_text().startswith("postgres"):
                missing("the database server is on another machine")
            yield lambda: _stop_for(STALL, pid)
            os.kill(pid, signal.SIGCONT)
        else:
            yield lambda: _write_for(STALL)


def _stop_for(seconds, pid):
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(seconds, os.kill, (pid, signal.SIGCONT)).start()


def _write_for(seconds):
    """Hold SQLite's only place for a writer."""
    with transaction.atomic():
        Delivery.objects.update(lost_claims=F("lost_claims"))
        time.sleep(seconds)
    connection.close()


def test_a_database_that_stalls_for_seconds_makes_no_good_request_a_timeout(owed, receiver, settings):
    """The stall begins when half of the requests are out, whose answers come while it lasts."""
    settings.WEBHOOKS = {**settings.WEBHOOKS, "TIMEOUT": 2}
    emit_many([NewEvent("order.created", owed.workspace, {"n": number}) for number in range(19)])
    lock, stalls = threading.Lock(), []

    def answer(request):
        with lock:
            stall = len(receiver.requests) >= 4 and not stalls
            stalls.extend([time.monotonic()] if stall else [])
        if stall:
            threading.Thread(target=stand_still).start()
        time.sleep(0.3)
        return 200, {}, b""

    receiver.answer = answer
    with stalled() as stand_still:
        assert drain(linger=0) == 20
        assert time.monotonic() - stalls[0] > STALL - 0.5
    assert len(receiver.requests) == 20
    assert set(Attempt.objects.values_list("outcome", "late")) == {("success", False)}
    assert max(Attempt.objects.values_list("duration_ms", flat=True)) < 2000
    assert Delivery.objects.filter(status="succeeded", attempt_count=1).count() == 20


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no connection that can drop")
def test_a_result_is_recorded_once_though_the_connection_dropped_before_it_came(owed, receiver, monkeypatch):
    """At the end of its budget a drain claims no more: recording is what it does first after the drop."""
    ends = threading.Event()
    monkeypatch.setattr(queue, "wake", ends.set)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()

    def answer(request):
        assert ends.wait(20)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", backend)
            assert cursor.fetchone() == (True,)
        connection.close()
        return 200, {}, b""

    receiver.answer = answer
    assert drain(budget=0.3, linger=0) == 1
    assert len(receiver.requests) == 1
    assert Attempt.objects.get().outcome == "success"
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempt_count, delivery.lost_claims) == ("succeeded", 1, 0)


def test_a_result_is_recorded_once_the_connection_is_back(owed, receiver, monkeypatch):
    record, failures = queue.record, iter([True, True])

    def dropped(verdicts, now):
        if next(failures, False):
            with connection.cursor() as cursor:
                if connection.vendor == "postgresql":
                    cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            raise OperationalError("database is locked")
        return record(verdicts, now)

    monkeypatch.setattr(queue, "record", dropped)
    assert drain(linger=0) == 1
    assert len(receiver.requests) == Attempt.objects.count() == 1
    assert Delivery.objects.get().status == "succeeded"


def test_a_writer_that_holds_the_database_is_waited_for(owed, receiver):
    held, let_go = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            Delivery.objects.select_for_update().update(lost_claims=0)
            held.set()
            let_go.wait(20)
        connection.close()

    def answer(request):
        thread.start()
        held.wait(20)
        threading.Timer(1, let_go.set).start()
        return 200, {}, b""

    thread = threading.Thread(target=hold)
    receiver.answer = answer
    assert drain(linger=0) == 1
    thread.join(20)
    assert len(receiver.requests) == 1
    assert Delivery.objects.get().status == "succeeded"


def test_after_its_time_the_error_is_passed_on(monkeypatch):
    monkeypatch.setattr(outages, "_PAUSES", (0.01, 3))
    calls = []

    def away():
        calls.append(True)
        if len(calls) <= 2:
            raise OperationalError

    with pytest.raises(OperationalError):
        outages.outlast(away, time.monotonic() + 2)
    assert len(calls) == 2


def test_inside_a_transaction_nothing_is_tried_twice():
    calls = []

    def away():
        calls.append(True)
        raise OperationalError

    with pytest.raises(OperationalError), transaction.atomic():
        outages.outlast(away, time.monotonic() + 9)
    assert len(calls) == 1
