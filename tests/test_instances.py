"""Instances that are made without Model.__init__ are what it would have made."""

from datetime import datetime, timezone

import pytest

from tests.factories import make_webhook
from webhooks import attempts
from webhooks.events import emit
from webhooks.models import Attempt, Delivery
from webhooks.models.instances import instance_of

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)


def state_of(instance):
    return {name: value for name, value in vars(instance).items() if name != "_state"}


def test_a_new_one_is_what_its_class_makes():
    values = {"delivery_id": 3, "number": 1, "started_at": NOW, "duration_ms": 5, "outcome": "success"}
    made = instance_of(Attempt, {**attempts.NEW, **values}, stored_in=None)
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
