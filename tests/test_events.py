import pytest
from django.db import connection, transaction
from django.utils import timezone
from django_q.models import OrmQ

from tests.factories import make_webhook, make_workspace
from webhooks import catalogue
from webhooks.events import NewEvent, emit, emit_many
from webhooks.exceptions import IdempotencyConflict, InvalidPayload, UnknownEventType
from webhooks.models import Delivery, Event, Waker

pytestmark = pytest.mark.django_db


def test_an_event_is_owed_to_each_subscribed_webhook_once(workspace):
    exact = make_webhook(workspace, name="exact", patterns=["order.created"])
    both = make_webhook(workspace, name="both", patterns=["order.*", "*", "order.created"])
    make_webhook(workspace, name="other", patterns=["order.paid"])
    make_webhook(workspace, name="idle", is_active=False)
    make_webhook(workspace, name="deleted", deleted_at=timezone.now())
    make_webhook(make_workspace("other"), name="elsewhere")
    event = emit("order.created", workspace=workspace, data={"b": 1, "a": "ñ"})
    deliveries = Delivery.objects.order_by("webhook")
    assert [delivery.webhook for delivery in deliveries] == [exact, both]
    assert all(d.status == "pending" and d.due_at and d.workspace_id == workspace.pk for d in deliveries)
    stored = Event.objects.get()
    assert (stored.pk, stored.data, stored.workspace_key) == (event.pk, '{"b":1,"a":"ñ"}', "acme")
    assert stored.pk.version == 7


def test_fan_out_is_one_statement_however_many_webhooks(workspace, django_assert_max_num_queries):
    for number in range(20):
        make_webhook(workspace, name=str(number))
    emit("order.paid", workspace=workspace, data={})
    with django_assert_max_num_queries(5):  # savepoint, event, fan-out, release
        emit("order.paid", workspace=workspace, data={})
    assert Delivery.objects.count() == 40


def test_an_unknown_type_and_bad_data_write_nothing(workspace):
    make_webhook(workspace)
    with pytest.raises(UnknownEventType, match=r"webhook_events\.py"):
        emit("order.eaten", workspace=workspace, data={})
    for data in (float("nan"), "\ud800", object()):
        with pytest.raises(InvalidPayload):
            emit("order.created", workspace=workspace, data=data)
    with pytest.raises(InvalidPayload):
        emit_many([NewEvent("order.created", workspace, {}), NewEvent("order.created", workspace, b"")])
    assert not Event.objects.exists()


def test_bad_data_leaves_the_callers_transaction_as_it_was(workspace):
    make_webhook(workspace)
    with transaction.atomic():
        make_webhook(workspace, name="mine")
        for data in (float("nan"), {"a": "\ud800"}, object()):
            with pytest.raises(InvalidPayload):
                emit("order.created", workspace=workspace, data=data)
        assert not connection.needs_rollback
        emit("order.created", workspace=workspace, data={})
    assert Delivery.objects.count() == 2


@pytest.mark.parametrize("key", ["", "a\x00", "x" * 256])
def test_a_bad_idempotency_key_is_refused(workspace, key):
    with pytest.raises(InvalidPayload):
        emit("order.created", workspace=workspace, data={}, idempotency_key=key)


def test_the_same_key_is_the_same_event(workspace):
    make_webhook(workspace)
    first = emit("order.created", workspace=workspace, data={"a": 1}, idempotency_key="k")
    assert emit("order.created", workspace=workspace, data={"a": 1}, idempotency_key="k") == first
    for type_name, data in (("order.created", {"a": 2}), ("order.paid", {"a": 1})):
        with pytest.raises(IdempotencyConflict):
            emit(type_name, workspace=workspace, data=data, idempotency_key="k")
    assert Delivery.objects.count() == 1
    assert emit("order.created", workspace=make_workspace("b"), data={"a": 3}, idempotency_key="k") != first


@pytest.mark.django_db(transaction=True)
def test_a_commit_asks_for_one_drain_however_much_was_emitted():
    workspace = make_workspace()
    make_webhook(workspace)
    with transaction.atomic():
        for _ in range(10):
            emit("order.created", workspace=workspace, data={})
        with pytest.raises(RuntimeError), transaction.atomic():
            emit("order.created", workspace=workspace, data={})
            raise RuntimeError
        assert len(connection.run_on_commit) == 1
    emit("order.created", workspace=workspace, data={})
    assert OrmQ.objects.count() == 1
    assert Waker.objects.get().asked_at is not None
    assert Delivery.objects.count() == 11


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_down_fails_nobodys_commit(monkeypatch, caplog):
    workspace = make_workspace()
    make_webhook(workspace)

    def down(*args, **kwargs):
        raise ConnectionError

    monkeypatch.setattr("webhooks.queue.waking.async_task", down)
    with transaction.atomic():
        emit("order.created", workspace=workspace, data={})
    assert Delivery.objects.count() == 1
    assert "on_commit" in caplog.text


def test_a_pattern_that_nothing_can_match_is_refused(workspace):
    webhook = make_webhook(workspace)
    for pattern in ("order.eaten", "nothing.*", "order", "", "*.created"):
        with pytest.raises(UnknownEventType):
            webhook.subscribe("order.paid", pattern)
    assert webhook.patterns == ["*"]
    assert "order.created" in {event_type.name for event_type in catalogue.all()}
