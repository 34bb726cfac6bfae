import json

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from tests.factories import make_user, make_webhook, make_workspace
from webhooks import queue
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Delivery, Webhook

pytestmark = pytest.mark.django_db

WEBHOOK = {"name": "CRM", "callback_url": "https://example.com/hook", "events": ["order.created"]}


def client_of(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def client(workspace):
    return client_of(make_user(superuser=True))


@pytest.fixture
def base(workspace):
    return "/api/v1/workspaces/acme/"


def post(client, url, **data):
    return client.post(url, data, format="json")


def test_a_webhook_is_created_read_changed_and_deleted(client, base):
    created = post(client, f"{base}webhooks/", **WEBHOOK)
    assert created.status_code == 201, created.content
    shown = created.json()
    assert set(shown) == {
        "id", "name", "callback_url", "method", "content_type", "max_attempts", "is_active", "has_secret",
        "events", "health", "created_at", "updated_at", "rotating_until", "headers", "authorization", "timeout",
        "connect_timeout", "retry_schedule", "rate_limit", "max_in_flight", "ordered",
    }  # fmt: skip
    assert (shown["method"], shown["content_type"], shown["max_attempts"]) == ("POST", "application/json", 8)
    assert (shown["is_active"], shown["has_secret"], shown["events"]) == (True, False, ["order.created"])
    url = f"{base}webhooks/{shown['id']}/"
    changed = client.patch(
        url, {"events": ["*"], "is_active": False, "max_attempts": 3}, format="json"
    ).json()
    assert (changed["events"], changed["is_active"], changed["max_attempts"]) == (["*"], False, 3)
    assert client.get(url).json() == changed
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404
    assert Webhook.with_deleted.get().deleted_at is not None
    assert post(client, f"{base}webhooks/", **WEBHOOK).status_code == 201


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"callback_url": "ftp://example.com/"}, "callback_url"),
        ({"callback_url": "https://user:pw@example.com/"}, "callback_url"),
        ({"callback_url": "http://2130706434/", "name": "x"}, None),
        ({"callback_url": "http://169.254.169.254/"}, "callback_url"),
        ({"callback_url": "https://example.com/" + "a" * 2000}, "callback_url"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 21}, "max_attempts"),
        ({"method": "TRACE"}, "method"),
        ({"content_type": "text/plain"}, "content_type"),
        ({"events": []}, "events"),
        ({"events": ["order.eaten"]}, "events"),
        ({"events": "order.created"}, "events"),
        ({"secret": "whsec_!"}, "secret"),
        ({"secret": "fernet:abc"}, "secret"),
        ({"secret": "a", "generate_secret": True}, "secret"),
        ({"method": "GET", "callback_url": "https://example.com/?payload=1"}, "callback_url"),
    ],
)
def test_bad_input_is_answered_by_field(client, base, changes, field):
    answer = post(client, f"{base}webhooks/", **{**WEBHOOK, **changes})
    if field is None:  # loopback, which the tests allow
        assert answer.status_code == 201
        return
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert not Webhook.objects.exists()


def test_a_name_is_unique_in_its_workspace(client, base):
    make_workspace("other")
    assert post(client, f"{base}webhooks/", **WEBHOOK).status_code == 201
    assert list(post(client, f"{base}webhooks/", **WEBHOOK).json()) == ["name"]
    assert post(client, "/api/v1/workspaces/other/webhooks/", **WEBHOOK).status_code == 201


def test_a_secret_is_shown_only_to_whom_it_was_generated_for(client, base):
    created = post(client, f"{base}webhooks/", **WEBHOOK, generate_secret=True).json()
    secret = created["secret"]
    assert secret.startswith("whsec_")
    assert Webhook.objects.get().secret == secret
    url = f"{base}webhooks/{created['id']}/"
    rotated = client.patch(url, {"generate_secret": True}, format="json").json()["secret"]
    assert rotated != secret
    typed = client.patch(url, {"secret": " typed "}, format="json")
    assert "typed" not in typed.content.decode()
    assert Webhook.objects.get().secret == " typed "
    assert client.patch(url, {"name": "Other"}, format="json").json()["has_secret"]
    everything = client.get(url).content + client.get(f"{base}webhooks/").content
    assert b"typed" not in everything
    assert not any(
        "typed" in entry.change_message or secret in entry.change_message for entry in LogEntry.objects.all()
    )
    assert client.patch(url, {"secret": ""}, format="json").json()["has_secret"] is False


def test_deliveries_show_every_attempt_and_are_redelivered(client, base, workspace, receiver):
    webhook = make_webhook(workspace, callback_url=receiver.url, secret="s3cret")
    event = emit("order.created", workspace=workspace, data={"ñ": 1})
    [listed] = client.get(f"{base}deliveries/").json()["results"]
    assert set(listed) == {
        "id", "event", "webhook", "status", "ended_because", "attempt_count", "due_at", "created_at", "finished_at",
    }  # fmt: skip
    assert listed["event"]["id"] == str(event.pk)
    redeliver = f"{base}deliveries/{listed['id']}/redeliver/"
    refused = client.post(redeliver)
    assert (refused.status_code, list(refused.json())) == (400, ["detail"])
    now = queue.database_now()
    drain(linger=0, clock=lambda: now)
    shown = client.get(f"{base}deliveries/{listed['id']}/").json()
    assert (shown["status"], shown["webhook"]) == ("succeeded", webhook.pk)
    [attempt] = shown["attempts"]
    assert set(attempt) == {
        "number", "started_at", "duration_ms", "outcome", "status_code", "error_kind", "error", "explanation", "advice",
            "request", "response",
    }  # fmt: skip
    assert set(attempt["request"]) == {"method", "url", "headers", "body"}
    assert set(attempt["response"]) == {"headers", "body", "truncated"}
    assert attempt["request"]["body"].encode() == receiver.requests[0].body
    assert (attempt["status_code"], attempt["response"]["body"]) == (200, "ok")
    assert "s3cret" not in json.dumps(shown)
    again = client.post(redeliver)
    assert (again.status_code, again.json()["status"]) == (202, "pending")


def test_deliveries_are_filtered_and_a_bad_filter_is_an_error(client, base, workspace):
    one = make_webhook(workspace, name="one")
    make_webhook(workspace, name="two")
    foreign = make_webhook(make_workspace("other"))
    emit("order.created", workspace=workspace, data={})
    emit("order.paid", workspace=workspace, data={})
    Delivery.objects.filter(webhook=one, event_type="order.paid").update(status="failed")

    def count(query):
        return len(client.get(f"{base}deliveries/?{query}").json()["results"])

    assert [count(q) for q in ("", "status=failed", f"webhook={one.pk}", "event_type=order.paid")] == [
        4,
        1,
        2,
        2,
    ]
    for query in ("status=sent", f"webhook={foreign.pk}", "webhook=999999", "webhook=x"):
        assert client.get(f"{base}deliveries/?{query}").status_code == 400


def test_lists_are_newest_first_and_paged(client, base, workspace):
    make_webhook(workspace)
    for _ in range(5):
        emit("order.created", workspace=workspace, data={})
    first = client.get(f"{base}deliveries/?limit=3").json()
    assert set(first) == {"next", "previous", "results"}
    second = client.get(first["next"]).json()
    ids = [row["id"] for row in first["results"] + second["results"]]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 5
    events = client.get(f"{base}events/").json()["results"]
    assert events[0]["data"] == {}
    assert client.get(f"{base}events/{events[0]['id']}/").json() == events[0]


@pytest.mark.parametrize("path", ["webhooks/", "deliveries/", "events/"])
def test_a_list_costs_the_same_queries_whatever_its_length(client, base, workspace, path):
    def queries(rows):
        with CaptureQueriesContext(connection) as captured:
            assert len(client.get(f"{base}{path}").json()["results"]) == rows
        return len(captured)

    make_webhook(workspace)
    emit("order.created", workspace=workspace, data={})
    with_one_row = queries(1)
    Webhook.objects.update(is_active=False)
    for number in range(19):
        webhook = make_webhook(workspace, name=str(number))
        emit("order.created", workspace=workspace, data={})
        webhook.is_active = False
        webhook.save()
    assert queries(20) == with_one_row <= 5  # savepoint and release among them


def test_the_catalogue_is_listed(client, base):
    names = [row["name"] for row in client.get(f"{base}event-types/").json()["results"]]
    assert "order.paid" in names
    assert client.get(f"{base}event-types/order.paid/").json()["description"] == "An order was paid."
    assert client.get(f"{base}event-types/order.eaten/").status_code == 404


def test_another_workspace_looks_like_none_at_all(base, workspace):
    mine = make_workspace("mine")
    make_webhook(workspace)
    hidden = Webhook.objects.get()
    # Django's model permissions hold in every workspace alike: there, bob has none.
    role = "owner" if hasattr(mine, "memberships") else None
    client = client_of(make_user("bob", role=role, workspace=mine))
    assert client.get(base).status_code == 404
    answers = {client.get(f"/api/v1/workspaces/{slug}/webhooks/").content for slug in ("acme", "no-such")}
    assert len(answers) == 1
    for path in (f"webhooks/{hidden.pk}/", "webhooks/999999/"):
        assert client.get(f"/api/v1/workspaces/mine/{path}").status_code == 404
    assert (
        client.patch(f"/api/v1/workspaces/mine/webhooks/{hidden.pk}/", {}, format="json").status_code == 404
    )


def test_without_a_login_401_and_a_session_needs_csrf(base, workspace):
    client = APIClient(enforce_csrf_checks=True)
    assert client.get(f"{base}webhooks/").status_code == 401
    make_user(superuser=True)
    assert client.login(username="ann", password="pw")
    assert post(client, f"{base}webhooks/", **WEBHOOK).status_code == 403
    assert not Webhook.objects.exists()


def test_a_token_is_given_for_a_password(base, workspace):
    make_user(superuser=True)
    client = APIClient()
    token = post(client, "/api/v1/token/", username="ann", password="pw").json()["token"]
    assert token == Token.objects.get().key
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    assert client.get(f"{base}webhooks/").status_code == 200
    assert post(client, "/api/v1/token/", username="ann", password="no").status_code == 400


def test_a_viewer_may_look_and_no_more(base, workspace):
    webhook = make_webhook(workspace)
    client = client_of(make_user("vic", role="viewer", workspace=workspace))
    assert client.get(f"{base}webhooks/{webhook.pk}/").status_code == 200
    assert post(client, f"{base}webhooks/", **WEBHOOK).status_code == 403
    assert client.patch(f"{base}webhooks/{webhook.pk}/", {"name": "x"}, format="json").status_code == 403
    assert client.delete(f"{base}webhooks/{webhook.pk}/").status_code == 403


@pytest.mark.parametrize(
    "path", ["webhooks/", "deliveries/", "events/", "event-types/", "event-types/order.paid/"]
)
def test_each_list_can_be_looked_at_in_a_browser(client, base, path):
    answer = client.get(base + path, HTTP_ACCEPT="text/html")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
