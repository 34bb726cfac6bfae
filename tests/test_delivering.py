"""manage.py webhooks deliver, in a process of its own."""

import signal

import pytest
from django.db import connection

from tests.factories import make_webhook, make_workspace
from tests.processes import environment, running, wait_for
from webhooks import queue
from webhooks.events import emit
from webhooks.models import Delivery, Waker, WebhookState

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        "not __import__('django').apps.apps.is_installed('workspace')", reason="runs manage.py"
    ),
]


@pytest.fixture
def owed(receiver, settings):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "WAKE": "notify"}
    return make_webhook(make_workspace(), callback_url=receiver.url)


@pytest.fixture
def delivering(database_url):
    with running("manage.py", "webhooks", "deliver", env=environment(database_url, WAKE="notify")) as process:
        yield process


def arrive(receiver, count):
    wait_for(lambda: len(receiver.requests) >= count, 30, f"request {count}")


def test_what_is_emitted_is_sent_without_a_broker(owed, receiver, delivering):
    for number in range(1, 6):
        emit("order.created", workspace=owed.workspace, data={"n": number})
        arrive(receiver, number)
    wait_for(lambda: Delivery.objects.filter(status="succeeded").count() == 5, 30)


def test_a_retry_is_on_time_though_nobody_tells_of_it(owed, receiver, delivering):
    receiver.answer = lambda request: (200 if request.headers["X-Webhook-Attempt"] == "2" else 500, {}, b"")
    emit("order.created", workspace=owed.workspace, data={})
    wait_for(lambda: Delivery.objects.filter(status="succeeded").exists(), 30)


def test_what_waited_for_a_webhook_is_resumed_by_its_housekeeping(owed, receiver, database_url):
    emit("order.created", workspace=owed.workspace, data={})
    Delivery.objects.update(due_at=None)
    WebhookState.objects.create(webhook=owed, consecutive_failures=5, failing_since=queue.database_now(),
                                paused_until=queue.database_now(), pauses=1)  # fmt: skip
    with running("manage.py", "webhooks", "deliver", env=environment(database_url, WAKE="notify")):
        arrive(receiver, 1)


def test_sigterm_ends_it_and_nothing_stays_claimed(owed, receiver, delivering):
    emit("order.created", workspace=owed.workspace, data={})
    arrive(receiver, 1)
    delivering.send_signal(signal.SIGTERM)
    assert delivering.wait(20) in (0, -signal.SIGTERM)
    assert not Delivery.objects.filter(claim__isnull=False).exists()


@pytest.mark.skipif("__import__('django').db.connection.vendor != 'postgresql'", reason="SQLite is polled")
def test_who_has_heard_wants_to_be_told_again(owed, receiver, delivering):
    emit("order.created", workspace=owed.workspace, data={})
    arrive(receiver, 1)
    wait_for(lambda: Waker.objects.get().asked_at is None, 10)


@pytest.mark.skipif("__import__('django').db.connection.vendor != 'postgresql'", reason="SQLite is polled")
def test_it_listens_again_after_its_connections_were_ended(owed, receiver, delivering):
    emit("order.created", workspace=owed.workspace, data={})
    arrive(receiver, 1)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    emit("order.created", workspace=owed.workspace, data={})
    arrive(receiver, 2)


@pytest.mark.skipif("__import__('django').db.connection.vendor != 'postgresql'", reason="SQLite is polled")
def test_it_outlasts_a_server_that_is_read_only(owed, receiver, delivering):
    backends = set()

    def came_again():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            backends.update(pid for (pid,) in cursor.fetchall())
        return len(backends) >= 6

    with connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        emit("order.created", workspace=owed.workspace, data={})
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        try:
            wait_for(lambda: came_again() or delivering.poll() is not None, 30, "further tries")
            assert delivering.poll() is None
        finally:
            cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    arrive(receiver, 1)
    wait_for(lambda: Delivery.objects.filter(status="succeeded").exists(), 30)


@pytest.mark.skipif("__import__('django').db.connection.vendor != 'postgresql'", reason="SQLite is polled")
def test_a_wake_up_that_was_asked_for_is_told_once_until_somebody_hears_it(owed):
    def told():
        for _ in range(3):
            emit("order.created", workspace=owed.workspace, data={})
        return len(list(connection.connection.notifies(timeout=0.5)))

    with connection.cursor() as cursor:
        cursor.execute("LISTEN webhooks")
    assert told() == 1
    assert told() == 0
    queue.clear_wake()
    assert told() == 1
    with connection.cursor() as cursor:
        cursor.execute("UNLISTEN *")
