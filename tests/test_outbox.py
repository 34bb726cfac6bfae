"""The transactional outbox: a rollback leaves nothing, and a process killed at any moment loses nothing."""

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django_q.models import OrmQ

from tests.factories import make_webhook, make_workspace
from tests.processes import ROOT, environment
from webhooks import queue, tasks
from webhooks.conf import settings as webhooks_settings
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Attempt, Delivery, Event, Waker
from webhooks.queue import waking

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def webhook(receiver):
    return make_webhook(make_workspace(), callback_url=receiver.url, max_attempts=1)


def killed(code, database_url):
    """Run `code` in a process of its own, on the test database, which must end itself by SIGKILL."""
    setup = "import django, os, signal; django.setup(); kill = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
    env = {**environment(database_url), "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"]}
    process = subprocess.run(
        [sys.executable, "-c", setup + code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    assert process.returncode == -signal.SIGKILL, process.stderr


@pytest.mark.parametrize("wake", ["django-q2", "notify"])
@pytest.mark.parametrize("whole", [True, False], ids=["transaction", "savepoint"])
def test_a_rollback_leaves_nothing_and_asks_for_no_drain(
    webhook, receiver, settings, monkeypatch, wake, whole
):
    """Whatever the broker is: most take no part in the transaction."""
    settings.WEBHOOKS = {**settings.WEBHOOKS, "WAKE": wake}
    asked = []
    monkeypatch.setattr(waking, "async_task", lambda *task, **options: asked.append(task))
    monkeypatch.setattr(waking, "_wake_listeners", asked.append)
    with transaction.atomic():
        with pytest.raises(RuntimeError), transaction.atomic():
            emit("order.created", workspace=webhook.workspace, data={})
            raise RuntimeError
        transaction.set_rollback(whole)
    assert asked == []
    assert not Event.objects.exists()
    assert not Delivery.objects.exists()
    assert not Waker.objects.filter(asked_at__isnull=False).exists()
    assert drain(linger=0) == tasks.sweep() == 0
    assert receiver.requests == []
    emit("order.created", workspace=webhook.workspace, data={})
    assert len(asked) == 1


EMIT = """
from django.db import connection, transaction
from webhooks.events import emit
from webhooks.models import Webhook
from webhooks.queue import waking
{before}
with transaction.atomic():
    {first}
    emit("order.created", workspace=Webhook.objects.get().workspace, data={{}})
    {last}
{after}
"""
NOTHING = dict.fromkeys(("before", "first", "last", "after"), "pass")


@pytest.mark.parametrize(
    ("moment", "asked"),
    [
        # Callbacks run in the order in which they were registered: this one after the commit, before the wake-up.
        ({"first": "transaction.on_commit(kill)"}, False),
        ({"before": "waking.async_task = kill"}, True),
        ({"after": "kill()"}, True),
    ],
    ids=["before the wake-up", "when it is asked for and the broker knows nothing", "afterwards"],
)
def test_a_process_killed_after_the_commit_has_its_deliveries_sent_by_the_sweep(
    webhook, receiver, database_url, moment, asked
):
    killed(EMIT.format(**{**NOTHING, **moment}), database_url)
    assert Delivery.objects.get().status == "pending"
    assert Waker.objects.filter(asked_at__isnull=False).exists() == asked
    OrmQ.objects.all().delete()  # a broker may lose what it knew
    assert tasks.sweep() == 1
    assert Delivery.objects.get().status == "succeeded"
    assert len(receiver.requests) == 1


def test_a_process_killed_before_the_commit_leaves_nothing(webhook, database_url):
    killed(EMIT.format(**{**NOTHING, "last": "kill()"}), database_url)
    assert not Event.objects.exists()
    assert not Delivery.objects.exists()


SEND = """
from webhooks import queue
from webhooks.engine import drain
queue.record = kill
drain(linger=0)
"""


def test_what_was_sent_but_not_recorded_is_sent_again_with_the_same_id(webhook, receiver, database_url):
    """A kill costs no attempt: the webhook's only one is still there."""
    event = emit("order.created", workspace=webhook.workspace, data={"n": 1})
    killed(SEND, database_url)
    assert len(receiver.requests) == 1
    assert not Attempt.objects.exists()
    assert drain(linger=0) == 0  # its lease has not ended
    later = queue.database_now() + timedelta(seconds=webhooks_settings.LEASE)
    assert drain(linger=0, clock=lambda: later) == 1
    first, again = receiver.requests
    assert first.body == again.body
    for name in ("webhook-id", "X-Webhook-Delivery", "X-Webhook-Attempt"):
        assert first.headers[name] == again.headers[name]
    assert first.headers["webhook-id"] == str(event.pk) == json.loads(first.body)["id"]
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempt_count, delivery.lost_claims) == ("succeeded", 1, 0)
    assert Attempt.objects.count() == 1


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="PostgreSQL's commits")
def test_a_wake_up_leaves_the_callers_commit_as_it_is(workspace):
    with transaction.atomic(), connection.cursor() as cursor:
        queue.clear_wake()
        queue.wake()
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)
