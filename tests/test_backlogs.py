"""A backlog that cannot be sent keeps nobody else waiting."""

from datetime import timedelta

import pytest
from django.db import transaction

from tests.factories import make_webhook, make_workspace
from webhooks import queue
from webhooks.events import emit
from webhooks.models import Delivery, WebhookState
from webhooks.queue import claim, claiming

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def workspace(monkeypatch):
    monkeypatch.setattr(claiming, "HEAD", 20)
    return make_workspace()


def owe(workspace, kind, count):
    with transaction.atomic():
        for number in range(count):
            emit(kind, workspace=workspace, data={"n": number})


@pytest.mark.parametrize("kind", ["paused", "ordered", "inactive"])
def test_what_must_wait_hides_nobody(workspace, kind):
    waiting = make_webhook(workspace, name="waiting", patterns=["order.paid"], ordered=kind == "ordered")
    make_webhook(workspace, name="good", patterns=["order.created"])
    owe(workspace, "order.paid", 50)
    owe(workspace, "order.created", 3)
    if kind == "paused":
        now = queue.database_now()
        WebhookState.objects.create(webhook=waiting, paused_until=now + timedelta(hours=1))
    if kind == "inactive":
        type(waiting).objects.filter(pk=waiting.pk).update(is_active=False)
    claimed = claim(8, alone=False)
    assert [one.webhook.name for one in claimed.deliveries].count("good") == 3
    parked = Delivery.objects.filter(due_at=None)
    assert 19 <= parked.count() == claimed.touched - len(claimed.deliveries)
    while claim(8, alone=False).touched:
        pass
    assert parked.count() == (49 if kind == "ordered" else 50)


def test_no_more_is_taken_than_was_asked_for(workspace):
    for number in range(4):
        make_webhook(workspace, name=str(number), patterns=["order.created"])
    owe(workspace, "order.created", 2)
    assert len(claim(5, alone=False).deliveries) == 5
