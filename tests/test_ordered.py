"""Strict order: one delivery at a time, and none before those that came before it have ended."""

from itertools import count

import pytest
from django.db import transaction

from tests.factories import make_webhook
from webhooks import actions
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Delivery, Webhook
from webhooks.queue import claim

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def webhook(workspace, receiver):
    return make_webhook(workspace, callback_url=receiver.url, ordered=True)


def owe(workspace, number):
    with transaction.atomic():
        for n in range(number):
            emit("order.created", workspace=workspace, data={"n": n})


def waiting():
    return Delivery.objects.filter(status="pending", due_at=None).count()


def test_events_arrive_in_order_though_every_tenth_answer_is_500(workspace, webhook, receiver, settings):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "RETRY_SCHEDULE": [0.01]}
    numbers = count(1)
    receiver.answer = lambda request: (500 if next(numbers) % 10 == 0 else 200, {}, b"")
    owe(workspace, 100)
    drain(budget=60)
    arrived = [int(request.headers["X-Webhook-Delivery"]) for request in receiver.requests]
    assert arrived == sorted(arrived)
    assert len(arrived) == 111
    assert Delivery.objects.filter(status="succeeded").count() == 100


def test_only_the_first_is_claimed_and_the_others_wait_without_a_due_time(workspace, webhook):
    owe(workspace, 5)
    first = Delivery.objects.earliest("pk")
    assert [one.pk for one in claim(100, alone=True).deliveries] == [first.pk]
    assert not claim(100, alone=False).touched
    assert waiting() == 4


def test_a_retry_holds_the_others_back(workspace, webhook, receiver):
    receiver.answer = lambda request: (500, {}, b"")
    owe(workspace, 3)
    drain(linger=0)
    assert (len(receiver.requests), waiting()) == (1, 2)


def test_the_next_follows_one_that_failed_for_good(workspace, webhook, receiver):
    Webhook.objects.update(max_attempts=1)
    receiver.answer = lambda request: (500, {}, b"")
    owe(workspace, 3)
    assert drain(linger=0) == 3


def test_the_next_follows_one_that_a_person_cancelled(workspace, webhook, receiver):
    owe(workspace, 3)
    first = claim(1, alone=True).deliveries[0]
    claim(100, alone=False)
    actions.cancel([first], by=None)
    assert drain(linger=0) == 2


def test_one_that_is_redelivered_goes_before_those_that_came_after_it(workspace, webhook, receiver):
    owe(workspace, 1)
    drain(linger=0)
    owe(workspace, 2)
    actions.redeliver(Delivery.objects.filter(status="succeeded"), by=None)
    drain(linger=0)
    order = [int(request.headers["X-Webhook-Delivery"]) for request in receiver.requests]
    first = Delivery.objects.earliest("pk").pk
    assert order == [first, first, first + 1, first + 2]


def test_what_waited_flows_when_the_order_is_given_up(workspace, webhook, receiver):
    owe(workspace, 5)
    claim(1, alone=True)
    claim(100, alone=False)
    assert waiting() == 4
    actions.change(webhook, {"ordered": False}, by=None)
    assert waiting() == 0


def test_activation_frees_the_first_only(workspace, webhook, receiver):
    owe(workspace, 3)
    actions.deactivate(webhook, by=None)
    claim(100, alone=True)
    assert waiting() == 3
    actions.activate(webhook, by=None)
    assert waiting() == 2
    assert drain(linger=0) == 3
