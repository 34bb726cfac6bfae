"""Headers, Authorization, rotation and limits over the API."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.fields import DictField
from rest_framework.test import APIClient
from rest_framework.utils.html import parse_html_dict

from tests.factories import make_user, make_webhook
from webhooks import queue
from webhooks.exceptions import ConcurrentChange
from webhooks.headers import MASK
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db

BASE = "/api/v1/workspaces/acme/webhooks/"
WEBHOOK = {"name": "CRM", "callback_url": "https://example.com/hook", "events": ["order.created"]}
KEY = "correct-horse-battery"
NEWER = "battery-staple"
DAY = 24 * 3600


@pytest.fixture
def api(workspace):
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(make_user(superuser=True))
    return client


@pytest.fixture
def webhook(workspace):
    return make_webhook(
        workspace,
        callback_url="https://example.com/hook",
        secret=KEY,
        headers={"X-Api-Key": KEY, "X-Team": "crm"},
        authorization=f"Bearer {KEY}",
    )


@pytest.fixture
def url(webhook):
    return f"{BASE}{webhook.pk}/"


def stored():
    return Webhook.objects.get()


def test_they_are_taken_stored_and_shown_as_masks(api):
    made = api.post(
        BASE, {**WEBHOOK, "headers": {"X-Api-Key": KEY}, "authorization": f"Bearer {KEY}"}, format="json"
    )
    assert made.status_code == 201
    assert made.json()["headers"] == {"X-Api-Key": MASK}
    assert made.json()["authorization"] == f"Bearer {MASK}"
    assert (stored().headers, stored().authorization) == ({"X-Api-Key": KEY}, f"Bearer {KEY}")
    everything = made.content + api.get(BASE).content + api.get(f"{BASE}{stored().pk}/").content
    assert KEY.encode() not in everything


def test_what_is_read_can_be_sent_back_and_changes_nothing(api, url):
    before = Webhook.objects.values("version", "custom_headers", "authorization").get()
    shown = api.get(url).json()
    assert api.put(url, shown, format="json").status_code == 200
    assert Webhook.objects.values("version", "custom_headers", "authorization").get() == before


def test_a_mask_keeps_anything_else_replaces_and_what_is_left_out_goes(api, url):
    assert api.patch(url, {"headers": {"X-Api-Key": MASK, "X-New": "1"}}, format="json").status_code == 200
    assert stored().headers == {"X-Api-Key": KEY, "X-New": "1"}
    assert api.patch(url, {"headers": {}}, format="json").json()["headers"] == {}
    assert stored().authorization == f"Bearer {KEY}"
    assert api.patch(url, {"authorization": ""}, format="json").json()["authorization"] == ""
    assert (stored().headers, stored().authorization) == ({}, "")


@pytest.mark.parametrize("version", ["installed", "3.16"])
def test_a_form_that_says_nothing_of_headers_changes_none(api, url, monkeypatch, version):
    if version == "3.16":
        monkeypatch.setattr(DictField, "get_value", lambda self, data: parse_html_dict(data, self.field_name))
    assert api.patch(url, {"name": "Renamed"}, format="multipart").status_code == 200
    assert (stored().name, stored().headers["X-Api-Key"], stored().ordered) == ("Renamed", KEY, False)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"headers": {"X-Key": f"{KEY}\r\nX-Evil: 1"}}, "headers"),
        ({"headers": {"X-Key": f"{KEY}\n"}}, "headers"),
        ({"headers": {"X-Key": f"{KEY}\x00"}}, "headers"),
        ({"headers": {"X Key": KEY}}, "headers"),
        ({"headers": {"X-Key\r\nX-Evil": KEY}}, "headers"),
        ({"headers": {"": KEY}}, "headers"),
        ({"headers": {"cOnTeNt-LeNgTh": KEY}}, "headers"),
        ({"headers": {"X-SIGNATURE": KEY}}, "headers"),
        ({"headers": {"AUTHORIZATION": KEY}}, "headers"),
        ({"headers": {"X-Key": f" {KEY}"}}, "headers"),
        ({"headers": {"X-Key": KEY, "x-key": KEY}}, "headers"),
        ({"headers": {"X-Key": ""}}, "headers"),
        ({"headers": {"X-Key": None}}, "headers"),
        ({"headers": {"X-Key": [KEY]}}, "headers"),
        ({"headers": {"X-Other": MASK}}, "headers"),
        ({"headers": [KEY]}, "headers"),
        ({"headers": None}, "headers"),
        ({"headers": {f"X-{number}": "v" for number in range(21)}}, "headers"),
        ({"authorization": KEY}, "authorization"),
        ({"authorization": f"Bearer {KEY}\r\nX-Evil: 1"}, "authorization"),
        ({"authorization": f"Bearer {MASK}{KEY}"}, "authorization"),
        ({"authorization": None}, "authorization"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 15.1}, "timeout"),
        ({"timeout": "nan"}, "timeout"),
        ({"timeout": "Infinity"}, "timeout"),
        ({"connect_timeout": 5.1}, "connect_timeout"),
        ({"retry_schedule": []}, "retry_schedule"),
        ({"retry_schedule": [0.5]}, "retry_schedule"),
        ({"retry_schedule": [86401]}, "retry_schedule"),
        ({"retry_schedule": [5] * 21}, "retry_schedule"),
        ({"retry_schedule": "5s"}, "retry_schedule"),
        ({"retry_schedule": [True]}, "retry_schedule"),
        ({"retry_schedule": {"a": 1}}, "retry_schedule"),
        ({"rate_limit": 0}, "rate_limit"),
        ({"rate_limit": 1001}, "rate_limit"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"max_in_flight": 9}, "max_in_flight"),
        ({"ordered": "maybe"}, "ordered"),
    ],
)
@pytest.mark.parametrize("method", ["post", "patch"])
def test_bad_input_is_answered_by_field_and_repeats_no_value(api, webhook, url, method, changes, field):
    body = {**WEBHOOK, "name": "Other", **changes} if method == "post" else changes
    answer = getattr(api, method)(BASE if method == "post" else url, body, format="json")
    assert (answer.status_code, list(answer.json())) == (400, [field])
    assert KEY not in answer.content.decode()
    assert stored().headers == webhook.headers


def test_credentials_do_not_follow_the_url_to_another_server(api, url):
    moved = {"callback_url": "https://attacker.example/hook"}
    answer = api.patch(url, moved, format="json")
    assert (answer.status_code, list(answer.json())) == (400, ["callback_url"])
    shown = {**api.get(url).json(), **moved}
    assert api.put(url, shown, format="json").status_code == 400
    assert api.patch(url, {"callback_url": "https://example.com/other"}, format="json").status_code == 200
    assert api.patch(url, {**moved, "headers": {}, "authorization": ""}, format="json").status_code == 200
    assert stored().callback_url == moved["callback_url"]


def test_who_may_change_but_not_the_secret_may_send_masks_back(workspace, webhook, url):
    if not hasattr(workspace, "memberships"):
        pytest.skip("roles belong to our workspace app")
    client = APIClient()
    client.force_authenticate(make_user("mia", role="member", workspace=workspace))
    shown = client.get(url).json()
    assert client.put(url, {**shown, "name": "Renamed"}, format="json").status_code == 200
    for change in ({"headers": {"X-Api-Key": MASK}}, {"headers": {"X-Api-Key": "n"}}, {"authorization": ""}):
        assert client.patch(url, change, format="json").status_code == 403
    assert stored().headers == webhook.headers
    first = {**WEBHOOK, "name": "Mine", "headers": {"X-Api-Key": KEY}}
    assert client.post(BASE, first, format="json").status_code == 201


def test_limits_are_set_shown_and_unset(api, url):
    limits = {
        "timeout": 2.5,
        "connect_timeout": 1.0,
        "retry_schedule": [5, 60.5, 3600],
        "rate_limit": 0.5,
        "max_in_flight": 2,
        "ordered": True,
    }
    assert api.get(url).json()["timeout"] is None
    changed = api.patch(url, limits, format="json")
    assert changed.status_code == 200
    assert {name: changed.json()[name] for name in limits} == limits
    unset = {**dict.fromkeys(limits, None), "ordered": False}
    assert {**unset, **api.patch(url, unset, format="json").json()}["retry_schedule"] is None
    assert stored().retry_schedule is None


def test_what_was_taken_under_other_settings_does_not_stand_in_the_way(api, url, settings):
    Webhook.objects.update(timeout=15, callback_url="https://example.com/?payload=1")
    settings.WEBHOOKS = {**settings.WEBHOOKS, "TIMEOUT": 10}
    assert api.patch(url, {"is_active": False}, format="json").json()["is_active"] is False
    assert list(api.patch(url, {"timeout": 12}, format="json").json()) == ["timeout"]
    assert list(api.patch(url, {"method": "GET"}, format="json").json()) == ["callback_url"]
    assert api.patch(url, {"timeout": 9}, format="json").json()["timeout"] == 9


def test_rotation_overlaps_and_finishes(api, url):
    rotated = api.post(f"{url}rotate-secret/")
    secret = rotated.json()["secret"]
    assert (rotated.status_code, secret.startswith("whsec_")) == (200, True)
    assert (stored().secret, stored().previous_secret) == (secret, KEY)
    assert rotated.json()["rotating_until"] == api.get(url).json()["rotating_until"] is not None
    assert "secret" not in api.get(url).json()
    finished = api.post(f"{url}finish-rotation/")
    assert (finished.status_code, finished.json()["rotating_until"]) == (200, None)
    assert stored().previous_secret == ""
    again = api.post(f"{url}finish-rotation/")
    assert (again.status_code, list(again.json())) == (400, ["detail"])


def test_a_given_secret_is_not_repeated_and_an_overlap_is_obeyed(api, url):
    answer = api.post(f"{url}rotate-secret/", {"secret": f" {NEWER} ", "overlap": 3600}, format="json")
    assert answer.status_code == 200
    assert NEWER not in answer.content.decode()
    assert (stored().secret, stored().previous_secret) == (f" {NEWER} ", KEY)
    assert 3590 < (stored().previous_secret_expires_at - queue.database_now()).total_seconds() <= 3600
    api.post(f"{url}rotate-secret/", {"generate_secret": True, "overlap": 0}, format="json")
    assert (stored().previous_secret, stored().rotating_until) == ("", None)


def test_a_changed_secret_overlaps_by_default(api, url):
    assert api.patch(url, {"secret": NEWER}, format="json").status_code == 200
    assert stored().previous_secret == KEY
    assert (stored().rotating_until - queue.database_now()).total_seconds() == pytest.approx(DAY, abs=5)
    assert api.patch(url, {"secret": ""}, format="json").json()["rotating_until"] is None
    assert stored().previous_secret == ""


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"secret": ""}, "secret"),
        ({"secret": f"whsec_{KEY}!"}, "secret"),
        ({"secret": KEY, "generate_secret": True}, "secret"),
        ({"secret": "fernet:abc"}, "secret"),
        ({"overlap": -1}, "overlap"),
        ({"overlap": 30 * DAY + 1}, "overlap"),
        ({"overlap": "nan"}, "overlap"),
        ({"overlap": "long"}, "overlap"),
    ],
)
def test_a_bad_rotation_is_answered_by_field_and_changes_nothing(api, url, body, field):
    before = Webhook.objects.values().get()
    answer = api.post(f"{url}rotate-secret/", body, format="json")
    assert (answer.status_code, list(answer.json())) == (400, [field])
    assert KEY not in answer.content.decode()
    assert Webhook.objects.values().get() == before


def test_a_webhook_deleted_in_the_meantime_is_a_conflict(api, url, monkeypatch):
    def gone(*args, **kwargs):
        raise ConcurrentChange("This webhook was deleted in the meantime.")

    monkeypatch.setattr("webhooks.actions.rows.locked", gone)
    for answer in (api.patch(url, {"name": "x"}, format="json"), api.post(f"{url}rotate-secret/")):
        assert (answer.status_code, list(answer.json())) == (409, ["detail"])


@pytest.mark.parametrize("path", ["", "rotate-secret/"])
def test_an_error_report_holds_no_value(api, url, monkeypatch, path, error_reports, broken):
    monkeypatch.setattr(Webhook, "save", broken)
    body = {"secret": NEWER}
    if not path:
        body |= {"headers": {"X-Api-Key": NEWER}, "authorization": f"Bearer {NEWER}"}
    call = api.post if path else api.patch
    assert call(url + path, body, format="json").status_code == 500
    [text] = error_reports
    assert "broken" in text
    assert not [secret for secret in (KEY, NEWER) if secret in text]


def test_a_change_locks_the_row_but_does_not_stop_emitting(api, url):
    with CaptureQueriesContext(connection) as captured:
        api.patch(url, {"name": "Renamed"}, format="json")
    locks = [query["sql"] for query in captured if "FOR NO KEY UPDATE" in query["sql"]]
    assert len(locks) == (1 if connection.vendor == "postgresql" else 0)
