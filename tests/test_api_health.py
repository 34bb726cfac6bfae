"""Health over the API: what a webhook's JSON says, an attempt's explanation, and resuming."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rest_framework.test import APIClient

from tests.factories import make_user, make_webhook, make_workspace
from webhooks.events import emit
from webhooks.models import Attempt, Delivery, WebhookState

pytestmark = pytest.mark.django_db

BASE = "/api/v1/workspaces/acme/"
HEALTHY = {
    "status": "active",
    "consecutive_failures": 0,
    "failing_since": None,
    "paused_until": None,
    "disabled_at": None,
    "disabled_because": "",
    "last_error": None,
}


@pytest.fixture
def client(workspace):
    return client_of(make_user(superuser=True))


def client_of(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


def make_paused(webhook, **fields):
    now = timezone.now()
    return WebhookState.objects.create(
        webhook=webhook,
        consecutive_failures=7,
        failing_since=now - timedelta(hours=1),
        paused_until=now + timedelta(minutes=10),
        error_kind="http_4xx",
        status_code=404,
        **fields,
    )


def health(client, webhook):
    return client.get(f"{BASE}webhooks/{webhook.pk}/").json()["health"]


def test_a_webhook_without_a_state_is_healthy(client, workspace):
    data = {"name": "CRM", "callback_url": "https://example.com/", "events": ["*"]}
    created = client.post(f"{BASE}webhooks/", data, format="json").json()
    assert created["health"] == HEALTHY
    assert client.get(f"{BASE}webhooks/{created['id']}/").json()["health"] == HEALTHY


def test_a_paused_webhook_says_since_when_until_when_and_why(client, workspace):
    webhook = make_webhook(workspace)
    state = make_paused(webhook)
    shown = health(client, webhook)
    assert (shown["status"], shown["consecutive_failures"]) == ("paused", 7)
    assert parse_datetime(shown["failing_since"]) == state.failing_since
    assert parse_datetime(shown["paused_until"]) == state.paused_until
    assert shown["last_error"] == {
        "kind": "http_4xx",
        "explanation": "The receiver refused the request.",
        "advice": "Check the path of the callback URL: the receiver knows nothing there.",
    }


def test_the_answer_that_activates_a_disabled_webhook_says_that_it_recovers(client, workspace):
    webhook = make_webhook(workspace, is_active=False)
    make_paused(webhook, disabled_at=timezone.now(), disabled_because="The receiver answered 410 Gone.")
    shown = health(client, webhook)
    assert (shown["status"], shown["disabled_because"]) == ("disabled", "The receiver answered 410 Gone.")
    changed = client.patch(f"{BASE}webhooks/{webhook.pk}/", {"is_active": True}, format="json").json()
    expected = {**HEALTHY, "status": "recovering", "paused_until": changed["health"]["paused_until"]}
    assert changed["health"] == expected


def test_health_is_read_only(client, workspace):
    webhook = make_webhook(workspace)
    make_paused(webhook)
    before = WebhookState.objects.values().get()
    answer = client.patch(f"{BASE}webhooks/{webhook.pk}/", {"health": HEALTHY}, format="json")
    assert answer.status_code == 200
    assert WebhookState.objects.values().get() == before


def test_a_list_costs_the_same_queries_however_long(
    client, workspace, django_assert_num_queries, django_assert_max_num_queries
):
    make_paused(make_webhook(workspace))
    with django_assert_max_num_queries(8) as one:
        client.get(f"{BASE}webhooks/")
    for number in range(9):
        webhook = make_webhook(workspace, name=f"W{number}")
        if number % 2:
            make_paused(webhook)
    with django_assert_num_queries(len(one)):
        shown = client.get(f"{BASE}webhooks/").json()["results"]
    assert sorted(one["health"]["status"] for one in shown) == ["active"] * 5 + ["paused"] * 5


class TestResume:
    def test_it_ends_the_pause_and_answers_with_the_webhook(
        self, client, workspace, django_capture_on_commit_callbacks
    ):
        webhook = make_webhook(workspace)
        make_paused(webhook)
        emit("order.created", workspace=workspace, data={})
        Delivery.objects.update(due_at=None)
        with django_capture_on_commit_callbacks(execute=True):
            answer = client.post(f"{BASE}webhooks/{webhook.pk}/resume/")
        assert answer.status_code == 200
        assert (answer.json()["id"], answer.json()["health"]["status"]) == (webhook.pk, "recovering")
        assert answer.json() == client.get(f"{BASE}webhooks/{webhook.pk}/").json()
        assert Delivery.objects.get().due_at <= timezone.now()

    def test_one_that_is_not_paused_is_answered_as_it_is(self, client, workspace):
        webhook = make_webhook(workspace)
        for _ in range(2):
            answer = client.post(f"{BASE}webhooks/{webhook.pk}/resume/")
            assert (answer.status_code, answer.json()["health"]) == (200, HEALTHY)
        assert not WebhookState.objects.exists()

    @pytest.mark.parametrize("fields", [{"consecutive_failures": 2}, {"drip": 3}])
    def test_one_that_fails_or_recovers_unpaused_keeps_its_state(self, client, workspace, fields):
        webhook = make_webhook(workspace)
        WebhookState.objects.create(webhook=webhook, **fields)
        before = WebhookState.objects.values().get()
        assert client.post(f"{BASE}webhooks/{webhook.pk}/resume/").status_code == 200
        assert WebhookState.objects.values().get() == before

    def test_it_needs_the_right_to_change_and_a_post(self, client, workspace):
        webhook = make_webhook(workspace)
        make_paused(webhook)
        viewer = client_of(make_user("vera", role="viewer", workspace=workspace))
        assert viewer.post(f"{BASE}webhooks/{webhook.pk}/resume/").status_code == 403
        assert client.get(f"{BASE}webhooks/{webhook.pk}/resume/").status_code == 405
        assert health(client, webhook)["status"] == "paused"

    def test_another_workspaces_webhook_is_not_found(self, client, workspace):
        webhook = make_webhook(make_workspace("other"))
        make_paused(webhook)
        absent = client.post(f"{BASE}webhooks/{webhook.pk + 999}/resume/")
        theirs = client.post(f"{BASE}webhooks/{webhook.pk}/resume/")
        assert (theirs.status_code, theirs.content) == (404, absent.content)
        assert WebhookState.objects.get().paused_until > timezone.now()


@pytest.mark.parametrize(
    ("fields", "explanation", "advice"),
    [
        ({"status_code": 200}, "", ""),
        ({"error_kind": "timeout"}, "The receiver did not answer in time.", "Answer at once"),
        (
            {"error_kind": "http_5xx", "status_code": 503},
            "The receiver failed",
            "Check whether the receiver is",
        ),
        ({"error_kind": "of a later one"}, "", ""),
    ],
)
def test_an_attempt_is_explained(client, workspace, fields, explanation, advice):
    make_webhook(workspace)
    emit("order.created", workspace=workspace, data={})
    delivery = Delivery.objects.get()
    common = {"number": 1, "started_at": timezone.now(), "duration_ms": 1, "outcome": "transient"}
    Attempt.objects.create(delivery=delivery, **common, **fields)
    [shown] = client.get(f"{BASE}deliveries/{delivery.pk}/").json()["attempts"]
    assert shown["explanation"].startswith(explanation)
    assert shown["advice"].startswith(advice)
    assert bool(shown["explanation"]) == bool(explanation)
    assert bool(shown["advice"]) == bool(advice)
