"""Who did what, in the admin's history and the log: through the actions, the API and the admin's pages alike."""

import logging

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from rest_framework.test import APIClient

from tests.factories import make_user, make_webhook, make_workspace
from webhooks import actions
from webhooks.events import emit
from webhooks.exceptions import ConcurrentChange
from webhooks.headers import MASK
from webhooks.models import Delivery, Webhook

pytestmark = pytest.mark.django_db

BASE = "/api/v1/workspaces/acme/"
KEY = "correct-horse-battery"
URL = f"https://old.example/hook/{KEY}?token={KEY}"


@pytest.fixture
def user():
    return make_user(superuser=True)


@pytest.fixture
def webhook():
    return make_webhook(make_workspace(), callback_url=URL, secret=KEY)


def messages():
    return [entry.change_message for entry in LogEntry.objects.order_by("pk")]


def history(webhook):
    return [(entry.action_flag, entry.change_message) for entry in LogEntry.objects.order_by("pk")]


def test_each_action_says_what_was_done_by_whom_and_by_which_way(webhook, user):
    created = Webhook(workspace=webhook.workspace, name="New", callback_url=URL, secret=KEY)
    actions.create(created, ["order.*"], by=user, via="API")
    actions.rotate_secret(webhook, by=user, overlap=0, via="API")
    actions.rotate_secret(webhook, by=user, overlap=60)
    actions.finish_rotation(webhook, by=user, via="API")
    actions.remove_secret(webhook, by=user, via="API")
    actions.deactivate(webhook, by=user, via="API")
    actions.activate(webhook, by=user, via="API")
    actions.send_test(webhook, "order.paid", by=user, via="API")
    actions.cancel(Delivery.objects.all(), by=user, via="API")
    actions.redeliver(Delivery.objects.all(), by=user, via="API")
    actions.delete(webhook, by=user, via="API")
    told = history(webhook)
    assert "; the former one signs until 20" in told[2][1]
    assert told[2][1].endswith(" UTC.")
    del told[2]
    assert told == [
        (1, "Created. (API)"),
        (2, "Secret rotated. (API)"),
        (2, "Rotation finished: only the new secret signs. (API)"),
        (2, "Secret removed. (API)"),
        (2, "Deactivated. (API)"),
        (2, "Activated. (API)"),
        (2, "Test event order.paid sent. (API)"),
        (2, "Cancelled. (API)"),
        (2, "Redelivered. (API)"),
        (3, "Deleted. (API)"),
    ]
    assert {entry.user_id for entry in LogEntry.objects.all()} == {user.pk}


def test_a_change_names_the_fields_and_the_servers_and_no_value(webhook, user):
    changes = {
        "name": "ERP",
        "callback_url": f"http://u:{KEY}@new.example:8080/{KEY}?q={KEY}",
        "timeout": 3.0,
        "headers": {"X-Api-Key": KEY},
        "authorization": f"Bearer {KEY}",
        "events": ["order.paid"],
        "is_active": False,
    }
    actions.change(webhook, changes, by=user)
    assert messages() == [
        "Changed Name, Callback URL (https://old.example → http://new.example:8080), Timeout, Headers, "
        "Authorization, Events.",
        "Deactivated.",
    ]
    assert (webhook.name, webhook.is_active, webhook.patterns) == ("ERP", False, ["order.paid"])
    assert KEY not in "".join(entry.object_repr + entry.change_message for entry in LogEntry.objects.all())


def test_another_path_on_the_same_server_is_not_spelt_out(webhook, user):
    actions.change(webhook, {"callback_url": "https://old.example/other"}, by=user)
    assert messages() == ["Changed Callback URL."]


def test_what_changes_nothing_writes_nothing(webhook, user):
    webhook.headers = {"X-Api-Key": KEY}
    webhook.save()
    same = {"name": webhook.name, "events": ["*"], "is_active": True, "headers": {"X-Api-Key": MASK}}
    version = Webhook.objects.get().version
    actions.change(webhook, same, by=user)
    assert Webhook.objects.get().version == version
    assert messages() == []


def test_a_change_of_what_has_moved_since_is_refused(webhook, user):
    seen = webhook.version
    actions.change(webhook, {"name": "First"}, by=user, version=seen)
    with pytest.raises(ConcurrentChange, match="changed since you opened"):
        actions.change(webhook, {"name": "Second"}, by=user, version=seen)
    assert Webhook.objects.get().name == "First"
    assert messages() == ["Changed Name."]
    # Events alone count as a change, too.
    actions.change(webhook, {"events": ["order.paid"]}, by=user, version=seen + 1)
    assert Webhook.objects.get().version == seen + 2


def test_a_change_of_a_deleted_webhook_is_refused(webhook, user):
    actions.delete(Webhook.objects.get(), by=None)
    with pytest.raises(ConcurrentChange, match="deleted"):
        actions.change(webhook, {"name": "Second"}, by=user)


def test_the_api_is_audited_as_the_api(webhook, user):
    client = APIClient()
    client.force_authenticate(user)
    one = f"{BASE}webhooks/{webhook.pk}/"
    emit("order.created", workspace=webhook.workspace, data={})
    Delivery.objects.update(status="failed", due_at=None)
    body = {"name": "New", "callback_url": URL, "events": ["*"], "secret": KEY}
    answers = [
        client.post(f"{BASE}webhooks/", body, format="json"),
        client.patch(one, {"callback_url": "https://new.example/"}, format="json"),
        client.patch(one, {"secret": KEY}, format="json"),
        client.post(f"{one}rotate-secret/"),
        client.post(f"{one}finish-rotation/"),
        client.patch(one, {"is_active": False}, format="json"),
        client.patch(one, {"is_active": True}, format="json"),
        client.post(f"{BASE}deliveries/{Delivery.objects.get().pk}/redeliver/"),
        client.delete(one),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200, 200, 200, 202, 204]
    told = messages()
    assert [message.partition(";")[0] for message in told] == [
        "Created. (API)",
        "Changed Callback URL (https://old.example → https://new.example). (API)",
        "Secret rotated",
        "Secret rotated",
        "Rotation finished: only the new secret signs. (API)",
        "Deactivated. (API)",
        "Activated. (API)",
        "Redelivered. (API)",
        "Deleted. (API)",
    ]
    assert all(message.endswith("(API)") for message in told)
    assert {entry.user_id for entry in LogEntry.objects.all()} == {user.pk}
    everything = "".join(entry.object_repr + entry.change_message for entry in LogEntry.objects.all())
    assert KEY not in everything
    assert answers[3].json()["secret"] not in everything


def test_without_a_person_there_is_a_log_line(webhook, caplog):
    caplog.set_level(logging.INFO, "webhooks")
    actions.change(webhook, {"name": "ERP", "authorization": f"Bearer {KEY}"}, by=None)
    assert f"webhook {webhook.pk}: Changed Name, Authorization." in caplog.messages
    assert KEY not in caplog.text
    assert not LogEntry.objects.exists()


@pytest.mark.skipif(
    not apps.is_installed("workspace"), reason="the admin's pages are tested with our workspace"
)
def test_the_history_page_tells_it(client, webhook, user):
    actions.change(webhook, {"callback_url": "https://new.example/"}, by=user)
    client.force_login(user)
    page = client.get(f"/admin/webhooks/webhook/{webhook.pk}/history/").content.decode()
    assert "Changed Callback URL (https://old.example → https://new.example)." in page
    assert KEY not in page
