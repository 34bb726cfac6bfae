import json
from decimal import Decimal

import pytest
from django.core import serializers
from django.db import transaction
from django.db.models import F

from tests.factories import make_webhook, make_workspace
from tests.shop.models import Order
from webhooks.models import Delivery, Event

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(workspace):
    order = Order.objects.create(workspace=workspace, number="A-1", note="private", total=Decimal("1.10"))
    Event.objects.all().delete()
    return order


def emitted():
    return [(event.type, json.loads(event.data)) for event in Event.objects.order_by("pk")]


def test_creating_emits_the_object_without_what_is_excluded(workspace):
    order = Order.objects.create(workspace=workspace, number="A-1", note="private", total=Decimal("1.10"))
    [(name, data)] = emitted()
    assert name == "order.created"
    assert "note" not in data["object"]
    assert data["object"]["total"] == "1.10"
    assert data["object"]["workspace"] in (workspace.pk, str(workspace.pk))
    assert Event.objects.get().subject == f"shop.order:{order.pk}"


def test_an_update_tells_the_old_and_the_new_values(order):
    order.number = "B-2"
    order.save()
    [(name, data)] = emitted()
    assert name == "order.updated"
    assert data["changes"] == {"number": {"old": "A-1", "new": "B-2"}}
    assert data["object"]["number"] == "B-2"


def test_nothing_is_emitted_when_nothing_changed(order):
    order.save()
    order.total = "1.1"
    order.save()
    assert emitted() == []


def test_what_update_fields_left_out_is_no_change(order):
    order.number = "B-2"
    order.total = 5
    order.save(update_fields=["total"])
    [(_, data)] = emitted()
    assert set(data["changes"]) == {"total"}
    assert data["object"]["number"] == "A-1"


def test_an_expression_is_told_by_its_value(order):
    order.count = F("count") + 1
    order.save()
    [(_, data)] = emitted()
    assert data["changes"] == {"count": {"old": 0, "new": 1}}


def test_a_transition_is_emitted_beside_the_update(order):
    order.status = "paid"
    order.save()
    order.number = "C-3"
    order.save()
    assert [name for name, _ in emitted()] == ["order.updated", "order.paid", "order.updated"]


def test_creating_in_the_final_state_emits_both(workspace):
    Order.objects.create(workspace=workspace, number="A-1", status="paid")
    assert [name for name, _ in emitted()] == ["order.created", "order.paid"]


def test_deleting_emits_the_last_state(order):
    order.delete()
    [(name, data)] = emitted()
    assert (name, data["object"]["number"]) == ("order.deleted", "A-1")


def test_a_new_row_costs_no_select_and_an_old_one_a_single_one(workspace, django_assert_num_queries):
    with django_assert_num_queries(5):  # insert; savepoint, event, fan-out, release
        order = Order.objects.create(workspace=workspace, number="A-1")
    with django_assert_num_queries(2):  # select of the old values, update
        order.save()


def test_loading_a_fixture_emits_nothing(order):
    text = serializers.serialize("json", [order])
    order.delete()
    Event.objects.all().delete()
    for item in serializers.deserialize("json", text):
        item.save()
    assert emitted() == []


@pytest.mark.django_db(transaction=True)
def test_deleting_a_workspace_with_what_it_holds_emits_nothing():
    workspace = make_workspace()
    other = make_workspace("other")
    make_webhook(workspace)
    Order.objects.create(workspace=workspace, number="A-1")
    kept = Order.objects.create(workspace=other, number="B-1")
    count = Event.objects.filter(workspace=other.pk).count()
    workspace.delete()
    assert not Order.objects.filter(number="A-1").exists()
    assert Event.objects.count() == count
    kept.delete()
    assert Event.objects.filter(workspace=other.pk).count() == count + 1


@pytest.mark.django_db(transaction=True)
def test_a_deletion_that_was_rolled_back_leaves_the_workspace_emitting():
    workspace = make_workspace()
    order = Order.objects.create(workspace=workspace, number="A-1")
    with transaction.atomic(), pytest.raises(RuntimeError), transaction.atomic():
        type(workspace)._default_manager.get().delete()
        raise RuntimeError
    Event.objects.all().delete()
    order.refresh_from_db()
    order.number = "B-2"
    order.save()
    assert [name for name, _ in emitted()] == ["order.updated"]


def test_deliveries_are_created_by_a_save(workspace):
    webhook = make_webhook(workspace, patterns=["order.created"])
    Order.objects.create(workspace=workspace, number="A-1")
    assert Delivery.objects.get().webhook == webhook


def test_what_was_deferred_is_told_all_the_same(order):
    Order.objects.only("number").get().delete()
    [(name, data)] = emitted()
    assert (name, data["object"]["total"]) == ("order.deleted", "1.10")


def test_saving_a_partly_loaded_instance_tells_what_changed(order):
    partial = Order.objects.only("number").get()
    partial.number = "B-2"
    partial.save()
    [(_, data)] = emitted()
    assert data["changes"] == {"number": {"old": "A-1", "new": "B-2"}}
    assert data["object"]["total"] == "1.10"
