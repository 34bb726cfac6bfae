"""An idempotency key, in its workspace, stands for one event."""

import threading

import pytest
from django.db import connection

from tests.concurrency import at_once, beside
from tests.factories import make_webhook, make_workspace
from webhooks.events import NewEvent, emit, emit_many
from webhooks.exceptions import IdempotencyConflict
from webhooks.models import Delivery, Event

pytestmark = pytest.mark.django_db


def new(workspace, key, **data):
    return NewEvent("order.created", workspace, data, idempotency_key=key)


def test_a_key_used_twice_in_a_batch_is_one_event(workspace):
    make_webhook(workspace)
    first, other, again = emit_many(
        [new(workspace, "k", a=1), new(workspace, None), new(workspace, "k", a=1)]
    )
    assert again is first
    assert set(Event.objects.all()) == {first, other}
    assert Delivery.objects.count() == 2


def test_a_key_used_twice_in_a_batch_for_different_events_writes_nothing(workspace):
    make_webhook(workspace)
    for second in (
        new(workspace, "k", a=2),
        NewEvent("order.paid", workspace, {"a": 1}, idempotency_key="k"),
    ):
        with pytest.raises(IdempotencyConflict, match="'k'"):
            emit_many([new(workspace, None), new(workspace, "k", a=1), second])
    assert not Event.objects.exists()
    assert not Delivery.objects.exists()


def test_what_a_batch_repeats_is_the_event_that_there_is_and_owes_nothing_more(workspace):
    make_webhook(workspace)
    before = emit("order.created", workspace=workspace, data={"a": 1}, idempotency_key="k")
    added, same = emit_many([new(workspace, "l", a=1), new(workspace, "k", a=1)])
    assert (same.pk, same.occurred_at, same.data) == (before.pk, before.occurred_at, before.data)
    assert added.deliveries.count() == before.deliveries.count() == 1
    assert Event.objects.count() == 2


def test_one_key_that_was_used_for_another_event_stops_the_whole_batch(workspace):
    make_webhook(workspace)
    emit("order.created", workspace=workspace, data={"a": 1}, idempotency_key="k")
    with pytest.raises(IdempotencyConflict, match="'k'"):
        emit_many([new(workspace, None), new(workspace, "l"), new(workspace, "k", a=2)])
    assert Event.objects.count() == Delivery.objects.count() == 1
    assert not connection.needs_rollback


def test_workspaces_share_no_keys(workspace):
    other = make_workspace("other")
    make_webhook(workspace)
    emit_many([new(workspace, "a"), new(workspace, "b", n=1)])
    events = emit_many([new(other, "a", n=1), new(other, "b"), new(workspace, "b", n=1)])
    assert [event.workspace_id for event in events] == [other.pk, other.pk, workspace.pk]
    assert Event.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_two_that_use_one_key_at_the_same_time_make_one_event():
    workspace = make_workspace()
    make_webhook(workspace)
    both, events = threading.Barrier(2), []

    def work():
        for number in range(20):
            both.wait(30)
            events.append(emit("order.created", workspace=workspace, data={}, idempotency_key=str(number)))

    at_once(work, work)
    assert len(events) == 40
    assert {event.pk for event in events} == set(Event.objects.values_list("pk", flat=True))
    assert Event.objects.count() == Delivery.objects.count() == 20


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer")
def test_two_batches_that_use_the_same_keys_in_opposite_order_do_not_deadlock():
    workspace = make_workspace()
    with beside(lambda: emit_many([new(workspace, "b"), new(workspace, "a")])) as start:
        emit_many([new(workspace, "a")])
        start()
        emit_many([new(workspace, "b")])
    assert Event.objects.count() == 2
