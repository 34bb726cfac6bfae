"""manage.py webhooks health: has everybody stopped working?"""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from tests.factories import make_webhook, make_workspace
from webhooks import queue
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Delivery, Webhook
from webhooks.queue import claim

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)


@pytest.fixture
def webhook(receiver):
    return make_webhook(make_workspace(), callback_url=receiver.url)


def owe(webhook, number, age=timedelta(0)):
    for _ in range(number):
        emit("order.created", workspace=webhook.workspace, data={})
    Delivery.objects.filter(claim=None, status="pending").update(due_at=queue.database_now() - age)


def test_nothing_due_is_no_lag(webhook):
    assert queue.lag() == timedelta(0)
    owe(webhook, 1)
    drain(linger=0)
    assert queue.lag() == timedelta(0)


def test_due_work_that_nobody_takes_is_lag(webhook):
    owe(webhook, 3, age=2 * MINUTE)
    assert 2 * MINUTE <= queue.lag() < 3 * MINUTE
    with pytest.raises(CommandError, match="no worker takes them"):
        call_command("webhooks", "health", "--max-lag", "60")
    call_command("webhooks", "health", "--max-lag", "600")


def test_a_backlog_that_is_being_worked_off_is_none(webhook):
    owe(webhook, 30, age=5 * MINUTE)
    now = queue.database_now()
    claim(5, alone=False, now=now)
    assert queue.lag(now + timedelta(seconds=3)) == timedelta(seconds=3)


def test_a_worker_that_claimed_and_hangs_is_noticed(webhook):
    owe(webhook, 30, age=5 * MINUTE)
    now = queue.database_now()
    claim(5, alone=False, now=now)
    assert queue.lag(now + MINUTE - timedelta(seconds=1)) == MINUTE - timedelta(seconds=1)


def test_what_waits_for_its_webhooks_cap_is_none(webhook):
    owe(webhook, 30, age=5 * MINUTE)
    now = queue.database_now()
    claim(100, alone=False, now=now)
    assert queue.lag(now + MINUTE / 2) == timedelta(0)


def test_what_is_parked_is_none(webhook):
    owe(webhook, 3, age=5 * MINUTE)
    Webhook.objects.update(is_active=False)
    claim(9, alone=False)
    assert queue.lag() == timedelta(0)
