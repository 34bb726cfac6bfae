"""Instances that are made without Model.__init__ are what it would have made."""

from datetime import datetime, timezone

import pytest

from tests.factories import make_webhook
from webhooks import attempts
from webhooks.events import emit
from webhooks.exceptions import SendError
from webhooks.models import Attempt, Delivery
from webhooks.models.instances import instance_of
from webhooks.request import build_request
from webhooks.retry import Outcome

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)


def state_of(instance):
    return {name: value for name, value in vars(instance).items() if name != "_state"}


def test_a_new_one_is_what_its_class_makes():
    values = {"delivery_id": 3, "number": 1, "started_at": NOW, "duration_ms": 5, "outcome": "success"}
    made = instance_of(Attempt, {**attempts.DEFAULTS, **values}, stored_in=None)
    usual = Attempt(**values)
    assert state_of(made) == state_of(usual)
    assert (made._state.adding, made._state.db) == (usual._state.adding, usual._state.db)


@pytest.mark.django_db
def test_a_stored_one_reads_what_was_left_out(workspace):
    make_webhook(workspace)
    emit("order.created", workspace=workspace, data={})
    owed = Delivery.objects.get()
    stored = Delivery.objects.only("id", "event_type").get(pk=owed.pk)
    made = instance_of(Delivery, {"id": owed.pk, "event_type": owed.event_type}, stored_in="default")
    assert state_of(made) == state_of(stored)
    assert (made._state.db, made._state.adding) == (stored._state.db, stored._state.adding)
    assert made.get_deferred_fields() == stored.get_deferred_fields()
    assert made.created_at == owed.created_at
    assert made == owed


@pytest.mark.django_db
def test_attempts_share_nothing_that_can_be_changed(workspace):
    webhook = make_webhook(workspace)
    event = emit("order.created", workspace=workspace, data={})
    request = build_request(webhook, event, 1, NOW, delivery_id=1)
    failure = SendError("connect", "No connection could be opened.")
    made = [
        attempts.attempt_of(
            Delivery.objects.get(), sent, failure, Outcome.TRANSIENT, started_at=NOW, duration=1
        )
        for sent in (None, request, None, request)
    ]
    dicts = [headers for one in made for headers in (one.request_headers, one.response_headers)]
    assert len({id(headers) for headers in dicts}) == len(dicts) == 8
