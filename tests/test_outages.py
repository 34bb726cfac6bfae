"""A database that is away for a moment while requests are under way."""

import threading
import time

import pytest
from django.db import OperationalError, connection, transaction

from tests.factories import make_webhook, make_workspace
from webhooks import outages, queue
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Attempt, Delivery

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owed(receiver):
    workspace = make_workspace()
    make_webhook(workspace, callback_url=receiver.url)
    return emit("order.created", workspace=workspace, data={})


def test_a_database_that_stalls_makes_no_good_request_a_timeout(owed, receiver, settings, monkeypatch):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "TIMEOUT": 2}
    claim, stalled = queue.claim, []

    def slow(*args, **options):
        # The thread that owns the database stands still while the answer comes.
        if receiver.requests and not stalled:
            stalled.append(True)
            time.sleep(3)
        return claim(*args, **options)

    def answer(request):
        time.sleep(0.2)
        return 200, {}, b""

    receiver.answer = answer
    monkeypatch.setattr(queue, "claim", slow)
    assert drain(linger=0) == 1
    assert stalled
    assert Attempt.objects.get().duration_ms < 2000
    assert Delivery.objects.get().status == "succeeded"


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
