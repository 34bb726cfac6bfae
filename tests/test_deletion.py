"""Deleting a webhook or a workspace while it is being emitted to, or after it was sent a great deal."""

import threading
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, connections
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_q.models import OrmQ
from rest_framework.test import APIClient

from tests.concurrency import beside
from tests.factories import make_user, make_webhook, make_workspace
from tests.shop.models import Order
from webhooks import actions, retention
from webhooks.engine import drain
from webhooks.events import NewEvent, emit, emit_many
from webhooks.models import Attempt, Delivery, Event, Subscription, Webhook, WebhookState
from webhooks.queue import candidates, claim

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 300


def owe(workspace, count):
    return emit_many([NewEvent("order.created", workspace, {"n": number}) for number in range(count)])


class TestDuringAnUncommittedFanOut:
    def test_a_webhook_deleted_by_a_person_fails_nobodys_commit_and_is_sent_nothing(self, receiver):
        webhook = make_webhook(make_workspace(), callback_url=receiver.url)
        with beside(lambda: actions.delete(webhook, by=None)) as start:
            event = emit("order.created", workspace=webhook.workspace, data={})
            # Nor does the person wait for the caller.
            assert start() == (connection.vendor == "postgresql")
        assert event.deliveries.count() == 1
        assert drain(linger=0) == 0
        assert receiver.requests == []
        assert Delivery.objects.get().ended_because == "webhook_deleted"

    def test_a_row_that_is_removed_by_hand_fails_nobodys_commit(self):
        """Whoever removes it must wait; what he then finds may stop him, but never the caller."""
        webhook = make_webhook(make_workspace())
        with beside(Webhook.with_deleted.filter(pk=webhook.pk).delete, allowed=IntegrityError) as start:
            event = emit("order.created", workspace=webhook.workspace, data={})
            start()
        assert Event.objects.get() == event


class TestManyDeliveries:
    def test_a_deletion_costs_the_same_however_much_is_owed(self, deleting):
        counts = []
        for name, owed in (("first", 1), ("few", 1), ("many", MANY)):  # at first, content types are looked up
            workspace = make_workspace(name)
            webhook = make_webhook(workspace)
            owe(workspace, owed)
            with CaptureQueriesContext(connection) as captured:
                deleting(webhook)
            counts.append(len(captured))
            assert Webhook.with_deleted.get(pk=webhook.pk).deleted_at is not None
            assert Delivery.objects.filter(webhook=webhook, status="pending").count() == owed
            assert not any('UPDATE "webhooks_delivery"' in query["sql"] for query in captured)
        assert counts[1] == counts[2]

    def test_what_was_owed_ends_in_batches(self, monkeypatch):
        monkeypatch.setattr(candidates, "HEAD", 100)
        webhook = make_webhook(make_workspace())
        owe(webhook.workspace, MANY)
        actions.delete(webhook, by=None)
        ended = []
        while touched := claim(512, alone=True).touched:
            ended.append(touched)
        assert sum(ended) == MANY
        assert len(ended) > 1
        rows = Delivery.objects.filter(status="cancelled", ended_because="webhook_deleted", due_at=None)
        assert rows.count() == MANY

    def test_a_deleted_webhook_is_removed_when_nothing_of_it_is_left_to_be_shown(self, receiver):
        workspace = make_workspace()
        empty, kept = (
            make_webhook(workspace, name=name, patterns=["order.paid"]) for name in ("empty", "kept")
        )
        make_webhook(workspace, name="active")
        recent = make_webhook(workspace, name="recent", patterns=["order.paid"])
        WebhookState.objects.create(webhook=empty)
        actions.send_test(kept, "order.paid", by=None)
        for webhook in (empty, kept):
            actions.delete(webhook, by=None)
        Webhook.with_deleted.exclude(deleted_at=None).update(deleted_at=F("deleted_at") - timedelta(days=40))
        actions.delete(recent, by=None)
        retention.prune(days=30)
        names = Webhook.with_deleted.order_by("name").values_list("name", flat=True)
        assert list(names) == ["active", "kept", "recent"]


def by_action(webhook):
    actions.delete(webhook, by=None)


def by_api(webhook):
    client = APIClient()
    client.force_authenticate(make_user(f"api-{webhook.pk}", superuser=True))
    url = f"/api/v1/workspaces/{webhook.workspace.slug}/webhooks/{webhook.pk}/"
    assert client.delete(url).status_code == 204


def by_admin(webhook):
    client = Client()
    client.force_login(make_user(f"admin-{webhook.pk}", superuser=True))
    url = reverse("admin:webhooks_webhook_delete", args=[webhook.pk])
    assert client.get(url).status_code == 200
    assert client.post(url, {"post": "yes"}).status_code == 302


@pytest.fixture(params=[by_action, by_api, by_admin])
def deleting(request):
    return request.param


class TestWorkspace:
    @pytest.fixture
    def used(self, receiver):
        """A workspace with something of everything."""
        workspace = make_workspace()
        webhook = make_webhook(workspace, callback_url=receiver.url)
        receiver.answer = lambda request: (500, {}, b"no")
        Order.objects.create(workspace=workspace, number="A-1")
        if apps.is_installed("workspace"):
            make_user(role="owner", workspace=workspace)
            apps.get_model("workspace.Activity").objects.create(workspace=workspace, title="Plan")
        assert drain(linger=0) > 0
        assert WebhookState.objects.filter(webhook=webhook).exists()
        Order.objects.create(workspace=workspace, number="A-2")
        OrmQ.objects.all().delete()
        return workspace

    def test_is_deleted_with_all_that_it_holds_and_emits_nothing(self, used, receiver):
        other = make_workspace("other")
        make_webhook(other, callback_url=receiver.url)
        kept = emit("order.created", workspace=other, data={})
        OrmQ.objects.all().delete()
        sent = len(receiver.requests)
        used.delete()
        assert list(Event.objects.all()) == [kept]
        assert Delivery.objects.get().event == kept
        assert Webhook.with_deleted.count() == Subscription.objects.count() == 1
        assert not WebhookState.objects.exists()
        assert not Order.objects.exists()
        assert not OrmQ.objects.exists()
        assert drain(linger=0) == 1
        assert len(receiver.requests) == sent + 1

    @pytest.mark.parametrize("days", [30, None])
    def test_what_was_sent_for_it_goes_with_the_next_pruning(self, used, settings, days):
        """No foreign key binds attempts to deliveries, so the cascade does not reach them."""
        other = make_webhook(make_workspace("other"))
        emit("order.created", workspace=other.workspace, data={})
        kept = Attempt.objects.create(delivery=other.deliveries.get(), number=1, duration_ms=1,
                                      started_at=other.created_at, outcome="success")  # fmt: skip
        settings.WEBHOOKS = {**settings.WEBHOOKS, "RETENTION_DAYS": days}
        used.delete()
        assert Attempt.objects.count() > 1
        assert retention.prune(batch=1) == 0
        assert list(Attempt.objects.all()) == [kept]

    def test_deleted_while_a_request_is_out_disturbs_no_drain(self, used, receiver):
        other = make_webhook(make_workspace("other"), callback_url=receiver.url)
        emit("order.created", workspace=other.workspace, data={})
        lock = threading.Lock()

        def answer(request):
            with lock:
                if type(used)._default_manager.filter(pk=used.pk).exists():
                    used.delete()
                connections.close_all()
            return 200, {}, b""

        receiver.answer = answer
        assert drain(linger=0) > 0
        assert Delivery.objects.get().status == "succeeded"
