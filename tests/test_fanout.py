"""From a batch of events to what is owed for them."""

import re

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ

from tests.factories import make_webhook, make_workspace
from webhooks import fanout, idempotency, leaving
from webhooks.events import NewEvent, emit, emit_many
from webhooks.models import Delivery, Event
from webhooks.signals import event_emitted

pytestmark = pytest.mark.django_db


def batch(workspace, count, type_name="order.created", key=""):
    return [
        NewEvent(type_name, workspace, {"n": number}, idempotency_key=f"{key}{number}" if key else None)
        for number in range(count)
    ]


def owed():
    """What each delivery is for, in the order of the deliveries."""
    return list(Delivery.objects.order_by("pk").values_list("event_id", "webhook__name"))


def test_a_batch_is_owed_as_if_its_events_were_emitted_one_by_one(workspace):
    other = make_workspace("other")
    make_webhook(workspace, name="all")
    make_webhook(workspace, name="paid", patterns=["order.paid", "order.*"])
    make_webhook(other, name="elsewhere", patterns=["order.paid"])
    created, paid, paid_elsewhere, created_elsewhere = events = emit_many(
        [
            NewEvent("order.created", workspace, {}),
            NewEvent("order.paid", workspace, {}),
            NewEvent("order.paid", other, {}),
            NewEvent("order.created", other, {}),
        ]
    )
    assert owed() == [
        (created.pk, "all"),
        (created.pk, "paid"),
        (paid.pk, "all"),
        (paid.pk, "paid"),
        (paid_elsewhere.pk, "elsewhere"),
    ]
    assert created_elsewhere.deliveries.count() == 0
    assert list(Event.objects.order_by("pk")) == events
    rows = Delivery.objects.values_list("event__type", "event_type", "event__workspace", "workspace")
    assert all(of_event == copied for pairs in rows for of_event, copied in (pairs[:2], pairs[2:]))


def test_a_webhooks_deliveries_are_in_the_order_of_the_batch(workspace, monkeypatch):
    """An `ordered` webhook is sent them in the order of their ids, whatever the keys' and types' order is."""
    monkeypatch.setattr(idempotency, "BATCH", 3)
    monkeypatch.setattr(fanout, "BATCH", 4)
    make_webhook(workspace)
    news = [
        NewEvent(("order.paid", "order.created")[n % 2], workspace, {"n": n}, idempotency_key=key)
        for n, key in enumerate(["z", None, "c", "b", None, "y", "a", None, "x", "d"])
    ]
    events = emit_many(news)
    assert [event_id for event_id, _ in owed()] == [event.pk for event in events]


@pytest.mark.parametrize(
    ("key", "statements"),
    [
        ("", ["INSERT webhooks_event", "INSERT webhooks_delivery"]),
        ("k", ["INSERT webhooks_event", "SELECT webhooks_event", "INSERT webhooks_delivery"]),
    ],
)
def test_a_batch_costs_the_same_statements_whatever_its_size(workspace, key, statements):
    for number in range(3):
        make_webhook(workspace, name=str(number))
    for round_, count in enumerate((1, 2, 90)):
        with CaptureQueriesContext(connection) as captured:
            emit_many(batch(workspace, count, key=key and f"{key}{round_}-"))
        assert [kind_of(query["sql"]) for query in captured] == ["SAVEPOINT", *statements, "RELEASE"]
    assert Delivery.objects.count() == 3 * 93


def kind_of(sql):
    """Return the verb of a statement and the first table that it names."""
    return " ".join([sql.split()[0], *re.findall(r'"(webhooks_[a-z]+)"', sql)[:1]])


def test_a_statement_is_bounded_and_a_large_batch_takes_several(workspace, monkeypatch):
    monkeypatch.setattr(idempotency, "BATCH", 2)
    monkeypatch.setattr(fanout, "BATCH", 2)
    make_webhook(workspace)
    with CaptureQueriesContext(connection) as captured:
        emit_many([*batch(workspace, 5), *batch(workspace, 5, key="k")])
    verbs = [kind_of(query["sql"]) for query in captured]
    assert verbs.count("INSERT webhooks_event") == 6
    assert verbs.count("INSERT webhooks_delivery") == 5
    assert Delivery.objects.count() == Event.objects.count() == 10


def test_nothing_at_all_is_a_batch_too(workspace):
    make_webhook(workspace)
    assert emit_many([]) == []
    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_event_that_is_owed_to_nobody_wakes_nobody():
    workspace = make_workspace()
    make_webhook(workspace, patterns=["order.paid"])
    emit("order.created", workspace=workspace, data={})
    assert Event.objects.count() == 1
    assert not OrmQ.objects.exists()
    emit("order.paid", workspace=workspace, data={})
    assert OrmQ.objects.count() == 1


def test_a_workspace_that_is_being_deleted_is_left_out_of_a_batch(workspace):
    going = make_workspace("going")
    for one in (workspace, going):
        make_webhook(one)
    with transaction.atomic():
        leaving.mark(going.pk)
        gone, stays = emit_many([NewEvent("order.created", one, {}) for one in (going, workspace)])
    assert gone._state.adding
    assert list(Event.objects.all()) == [stays]
    assert Delivery.objects.get().event == stays


def test_each_new_event_is_announced_in_the_transaction_with_its_deliveries(workspace):
    make_webhook(workspace)
    heard = []

    def listen(sender, event, **_):
        heard.append((event.pk, event.deliveries.count()))

    event_emitted.connect(listen)
    try:
        events = emit_many(
            [*batch(workspace, 2), *batch(workspace, 1, key="k"), *batch(workspace, 1, key="k")]
        )
    finally:
        event_emitted.disconnect(listen)
    assert heard == [(event.pk, 1) for event in events[:3]]
