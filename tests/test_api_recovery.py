"""Recovering over the API: what it takes, what it answers, and who may."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone
from rest_framework.test import APIClient

from tests.factories import make_user, make_webhook, make_webhook_that_missed, make_workspace
from webhooks.actions import recovery
from webhooks.events import emit
from webhooks.models import Delivery, Webhook

pytestmark = pytest.mark.django_db

BASE = "/api/v1/workspaces/acme/"


def client_of(user):
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(user)
    return client


@pytest.fixture
def client():
    return client_of(make_user(superuser=True))


@pytest.fixture
def webhook(workspace):
    return make_webhook_that_missed(workspace)


def post(client, webhook, body):
    return client.post(f"{BASE}webhooks/{webhook.pk}/recover/", body, format="json")


def since(**ago):
    return (timezone.now() - timedelta(**ago)).isoformat()


def test_it_answers_how_many_deliveries_that_were(client, webhook):
    answer = post(client, webhook, {"since": since(hours=1)})
    assert (answer.status_code, answer.json()) == (202, {"recovered": 3})
    assert list(Delivery.objects.values_list("status", flat=True)) == ["pending"] * 3
    assert LogEntry.objects.get().change_message.endswith(" UTC: 3 deliveries. (API)")
    assert post(client, webhook, {"since": since(hours=1)}).json() == {"recovered": 0}


@pytest.mark.parametrize("zone", ["Z", "+02:00", "-12:00"])
def test_a_time_may_be_written_in_any_zone(client, webhook, zone):
    assert post(client, webhook, {"since": f"2026-01-31T09:00:00{zone}"}).json() == {"recovered": 3}


@pytest.mark.parametrize("eternity", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_the_beginning_of_time_is_a_time(client, webhook, eternity):
    assert post(client, webhook, {"since": eternity}).json() == {"recovered": 3}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"since": ["This field is required."]}),
        ({"since": None}, {"since": ["This field may not be null."]}),
        ({"since": "2026-01-31T09:00:00"}, {"since": [recovery.NAIVE]}),
        ({"since": "2026-01-31"}, {"since": [recovery.NAIVE]}),
        ({"since": "2999-01-31T09:00:00Z"}, {"since": [recovery.IN_THE_FUTURE]}),
        ({"since": "9999-12-31T23:59:59-12:00"}, {"since": [recovery.IN_THE_FUTURE]}),
        ({"sinse": "2026-01-31T09:00:00Z"}, {"sinse": ["There is no such key. Did you mean since?"]}),
    ],
)
def test_what_is_wrong_is_said_by_key(client, webhook, body, expected):
    answer = post(client, webhook, body)
    assert (answer.status_code, answer.json()) == (400, expected)
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize("value", ["yesterday", "", 5, True, [], {}, "2026-02-30T09:00:00Z", "\x00"])
def test_what_is_no_time_is_refused(client, webhook, value):
    answer = post(client, webhook, {"since": value})
    assert (answer.status_code, list(answer.json())) == (400, ["since"])


@pytest.mark.parametrize("body", [[], "since", 5])
def test_what_is_no_object_is_refused(client, webhook, body):
    assert post(client, webhook, body).status_code == 400


def test_an_inactive_webhook_is_to_be_activated_first(client, webhook):
    Webhook.objects.update(is_active=False)
    answer = post(client, webhook, {"since": since(hours=1)})
    assert (answer.status_code, answer.json()) == (400, {"non_field_errors": [recovery.INACTIVE]})
    assert Delivery.objects.get().status == "failed"


def test_it_needs_the_right_and_a_post(client, webhook, workspace):
    viewer = client_of(make_user("vera", role="viewer", workspace=workspace))
    for body in ({"since": since(hours=1)}, {}):
        assert post(viewer, webhook, body).status_code == 403
    assert client.get(f"{BASE}webhooks/{webhook.pk}/recover/").status_code == 405
    assert Delivery.objects.get().status == "failed"


def test_another_workspaces_webhook_is_not_found(client, webhook):
    theirs = make_webhook(make_workspace("other"))
    emit("order.created", workspace=theirs.workspace, data={})
    Delivery.objects.filter(webhook=theirs).update(status="failed")
    absent = client.post(f"{BASE}webhooks/{theirs.pk + 999}/recover/", {"since": since(hours=1)})
    answer = post(client, theirs, {"since": since(hours=1)})
    assert (answer.status_code, answer.content) == (404, absent.content)
    assert Delivery.objects.get(webhook=theirs).status == "failed"
