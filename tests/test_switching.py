"""A webhook that is switched off and on at an awkward moment: nothing stays parked beyond a sweep."""

import pytest
from django.db import connection

from tests.concurrency import beside
from tests.factories import make_webhook, make_workspace
from webhooks import actions, tasks
from webhooks.engine import drain
from webhooks.events import NewEvent, emit_many
from webhooks.models import Delivery
from webhooks.queue import claim

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 3


@pytest.fixture
def webhook(receiver):
    return make_webhook(make_workspace(), callback_url=receiver.url)


def owe(webhook):
    emit_many([NewEvent("order.created", webhook.workspace, {"n": number}) for number in range(COUNT)])


def parked():
    return Delivery.objects.filter(status="pending", due_at=None).count()


def all_arrived(receiver):
    arrived = {request.headers["X-Webhook-Delivery"] for request in receiver.requests}
    assert len(arrived) == len(receiver.requests) == COUNT
    assert Delivery.objects.filter(status="succeeded").count() == COUNT
    return True


def test_off_and_on_while_a_fan_out_is_uncommitted_parks_nothing(webhook, receiver):
    def switch():
        actions.deactivate(webhook, by=None)
        actions.activate(webhook, by=None)

    with beside(switch) as start:
        owe(webhook)
        start()
    assert drain(linger=0) == COUNT
    assert all_arrived(receiver)


def test_off_while_a_fan_out_is_uncommitted_parks_what_it_owes_until_the_webhook_is_on(webhook, receiver):
    with beside(lambda: actions.deactivate(webhook, by=None)) as start:
        owe(webhook)
        start()
    assert tasks.sweep() == 0
    assert parked() == COUNT
    actions.activate(webhook, by=None)
    assert drain(linger=0) == COUNT
    assert all_arrived(receiver)


def test_on_while_a_claim_is_parking_leaves_nothing_parked_beyond_a_sweep(webhook, receiver):
    """The activation frees what is parked, and does not see yet what is being parked."""
    owe(webhook)
    actions.deactivate(webhook, by=None)
    with beside(lambda: actions.activate(webhook, by=None)) as start:
        assert claim(9, alone=True).touched == COUNT
        start()
    if connection.vendor == "postgresql":
        assert parked() > 0
    assert tasks.sweep() == COUNT
    assert all_arrived(receiver)
