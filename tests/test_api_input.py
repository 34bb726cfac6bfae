"""What a client can send that is malformed, hostile or late, and what must not come back."""

import base64
import json
import threading

import pytest
from django.db import connection
from rest_framework.test import APIClient

from tests.factories import make_user, make_webhook, make_workspace
from webhooks import actions
from webhooks.api.serializers import WebhookSerializer
from webhooks.events import emit
from webhooks.models import Delivery, Subscription, Webhook

pytestmark = pytest.mark.django_db

BASE = "/api/v1/workspaces/acme/"
WEBHOOK = {"name": "CRM", "callback_url": "https://example.com/hook", "events": ["order.created"]}
SECRET = "correct-horse-battery"


@pytest.fixture
def api(workspace):
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(make_user(superuser=True))
    return client


def cursor(position):
    return base64.b64encode(f"p={position}".encode()).decode()


@pytest.mark.parametrize("slug", ["no-such", "%00", "a%00b", "%F0%9F%98%80", "a" * 3000])
def test_an_impossible_workspace_is_not_found(api, slug):
    assert api.get(f"/api/v1/workspaces/{slug}/webhooks/").status_code == 404


def test_a_workspace_looked_up_by_a_number_is_not_found_by_a_word(api, settings):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "WORKSPACE_LOOKUP_FIELD": "id"}
    assert api.get("/api/v1/workspaces/acme/webhooks/").status_code == 404


@pytest.mark.parametrize("path", ["webhooks/", "deliveries/", "events/"])
@pytest.mark.parametrize("position", ["abc", "%00", "9" * 40, "-1"])
def test_a_forged_cursor_is_no_server_error(api, path, position):
    assert api.get(f"{BASE}{path}", {"cursor": cursor(position)}).status_code in (200, 404)


@pytest.mark.parametrize(
    "path",
    [f"webhooks/{'9' * 18}/", f"webhooks/{'9' * 30}/", f"events/{'-' * 36}/", f"deliveries/{'9' * 18}/"],
)
def test_an_impossible_key_is_not_found(api, path):
    assert api.get(BASE + path).status_code == 404


@pytest.mark.parametrize("query", ["status=%00", f"webhook={'9' * 40}", "webhook=%00", "event_type=%00"])
def test_a_hostile_filter_is_answered_by_field(api, query):
    answer = api.get(f"{BASE}deliveries/?{query}")
    assert (answer.status_code, list(answer.json())) == (400, [query.split("=")[0]])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"events": None}, "events"),
        ({"events": [""]}, "events"),
        ({"events": [{"a": 1}]}, "events"),
        ({"events": ["nothing.*"]}, "events"),
        ({"secret": None}, "secret"),
        ({"secret": {"a": SECRET}}, "secret"),
        ({"secret": f"{SECRET}\x00"}, "secret"),
        ({"secret": f"whsec_{SECRET}!"}, "secret"),
        ({"name": "n" * 101}, "name"),
        ({"max_attempts": "many"}, "max_attempts"),
        ({"method": SECRET}, "method"),
        ({"content_type": SECRET}, "content_type"),
        ({"secret": "", "generate_secret": True}, "secret"),
    ],
)
@pytest.mark.parametrize("method", ["post", "patch"])
def test_bad_input_names_the_field_and_repeats_no_secret(api, workspace, method, changes, field):
    webhook = make_webhook(workspace, name="Other")
    url = f"{BASE}webhooks/" + ("" if method == "post" else f"{webhook.pk}/")
    answer = getattr(api, method)(url, {**WEBHOOK, **changes}, format="json")
    assert (answer.status_code, list(answer.json())) == (400, [field])
    assert SECRET not in answer.content.decode()


@pytest.mark.parametrize("field", ["name", "callback_url", "method", "content_type", "authorization"])
def test_half_a_surrogate_pair_is_answered_by_field(api, field):
    body = json.dumps({**WEBHOOK, field: "\ud800"})
    answer = api.post(f"{BASE}webhooks/", body, content_type="application/json")
    assert (answer.status_code, list(answer.json())) == (400, [field])


def test_events_are_required_and_a_broken_body_is_a_bad_request(api):
    without = {key: value for key, value in WEBHOOK.items() if key != "events"}
    assert list(api.post(f"{BASE}webhooks/", without, format="json").json()) == ["events"]
    broken = api.post(f"{BASE}webhooks/", f'{{"secret": "{SECRET}"', content_type="application/json")
    assert broken.status_code == 400
    assert SECRET not in broken.content.decode()


def test_what_is_read_only_or_of_another_workspace_is_not_taken_from_the_body(api, workspace):
    other = make_workspace("other")
    made = api.post(f"{BASE}webhooks/", {**WEBHOOK, "id": 77, "has_secret": True}, format="json").json()
    assert made["id"] != 77
    url = f"{BASE}webhooks/{made['id']}/"
    for body in ({"workspace": str(other.pk)}, {"version": 9}):
        assert api.patch(url, body, format="json").status_code == 400
    webhook = Webhook.objects.get(pk=made["id"])
    assert (webhook.workspace_id, webhook.version, webhook.has_secret) == (workspace.pk, 1, False)


@pytest.mark.parametrize("body_format", ["json", "multipart"])
def test_a_misspelt_key_is_named_with_the_nearest_known_one(api, workspace, body_format):
    answer = api.post(f"{BASE}webhooks/", {**WEBHOOK, "ratelimit": 3, "zzz": 1}, format=body_format)
    assert answer.status_code == 400
    assert answer.json() == {
        "ratelimit": ["There is no such key. Did you mean rate_limit?"],
        "zzz": ["There is no such key."],
    }
    assert not Webhook.objects.exists()
    webhook = make_webhook(workspace, secret=SECRET)
    answer = api.post(f"{BASE}webhooks/{webhook.pk}/rotate-secret/", {"overlaps": 0}, format=body_format)
    assert (answer.status_code, answer.json()) == (
        400,
        {"overlaps": ["There is no such key. Did you mean overlap?"]},
    )
    assert Webhook.objects.get().secret == SECRET


def test_what_forms_add_to_a_key_is_no_other_key(api):
    form = {**WEBHOOK, "headers.X-Api-Key": "k", "csrfmiddlewaretoken": "t"}
    assert api.post(f"{BASE}webhooks/", form, format="multipart").status_code == 201
    assert Webhook.objects.get().headers == {"X-Api-Key": "k"}


def test_of_a_flood_of_unknown_keys_a_few_are_named(api):
    answer = api.post(f"{BASE}webhooks/", {f"key{number}": 1 for number in range(100_000)}, format="json")
    assert (answer.status_code, len(answer.json())) == (400, 10)


def test_an_unknown_key_that_is_no_unicode_is_no_server_error(api):
    answer = api.post(f"{BASE}webhooks/", b'{"\\ud800": 1}', content_type="application/json")
    assert (answer.status_code, list(answer.json())) == (400, [r"'\ud800'"])


@pytest.mark.parametrize("pattern", ["order.creatd", "ordr.*", "*.created"])
def test_an_unknown_event_is_named_and_the_way_to_the_known_ones_shown(api, pattern):
    answer = api.post(f"{BASE}webhooks/", {**WEBHOOK, "events": [pattern]}, format="json")
    [sentence] = answer.json()["events"]
    assert (answer.status_code, pattern in sentence, "event-types/" in sentence) == (400, True, True)
    assert "webhook_events.py" not in sentence


def test_a_retry_schedule_is_answered_in_seconds(api):
    for schedule, words in (
        ("5s, 1m", "list of 1 to 20 delays in seconds"),
        (["5s"], "from 1 to 86400 seconds"),
    ):
        answer = api.post(f"{BASE}webhooks/", {**WEBHOOK, "retry_schedule": schedule}, format="json")
        assert words in answer.json()["retry_schedule"][0]


def test_a_pattern_whose_app_is_gone_is_kept_but_not_newly_taken(api, workspace):
    webhook = make_webhook(workspace, patterns=("order.paid",))
    Subscription.objects.create(webhook=webhook, pattern="gone.away")
    url = f"{BASE}webhooks/{webhook.pk}/"
    kept = api.patch(url, {"events": ["gone.away", "order.created"]}, format="json")
    assert (kept.status_code, kept.json()["events"]) == (200, ["gone.away", "order.created"])
    assert api.patch(url, {"events": ["order.created"]}, format="json").json()["events"] == ["order.created"]
    assert list(api.patch(url, {"events": ["gone.away"]}, format="json").json()) == ["events"]


def test_the_name_taken_since_it_was_looked_up_is_a_bad_request(api, workspace, monkeypatch):
    make_webhook(workspace, name="CRM")
    # As if the other one had been committed between the check and the insert.
    monkeypatch.setattr(Webhook, "full_clean", lambda self, **_: None)
    answer = api.post(f"{BASE}webhooks/", WEBHOOK, format="json")
    assert (answer.status_code, list(answer.json())) == (400, ["name"])
    other = make_webhook(workspace, name="Other")
    answer = api.patch(f"{BASE}webhooks/{other.pk}/", {"name": "CRM"}, format="json")
    assert (answer.status_code, list(answer.json())) == (400, ["name"])
    assert Webhook.objects.get(pk=other.pk).name == "Other"


def test_a_change_writes_only_what_it_changes(api, workspace, monkeypatch):
    """A receiver's 410 may disable the webhook while somebody renames it: it must stay disabled."""
    webhook = make_webhook(workspace, secret=SECRET)
    validate = WebhookSerializer.validate

    def meanwhile(self, attrs):
        actions.deactivate(Webhook.objects.get(), by=None)
        actions.rotate_secret(Webhook.objects.get(), by=None, secret="newer")
        return validate(self, attrs)

    monkeypatch.setattr(WebhookSerializer, "validate", meanwhile)
    assert api.patch(f"{BASE}webhooks/{webhook.pk}/", {"name": "Renamed"}, format="json").status_code == 200
    webhook = Webhook.objects.get()
    assert (webhook.name, webhook.is_active, webhook.secret) == ("Renamed", False, "newer")


@pytest.mark.parametrize("body_format", ["json", "multipart"])
@pytest.mark.parametrize("method", ["post", "patch"])
def test_an_error_report_holds_no_secret(
    api, workspace, monkeypatch, method, body_format, error_reports, broken
):
    webhook = make_webhook(workspace, name="Other")
    monkeypatch.setattr(Webhook, "save", broken)
    url = f"{BASE}webhooks/" + ("" if method == "post" else f"{webhook.pk}/")
    body = {**WEBHOOK, "secret": SECRET, "is_active": "true"}
    assert getattr(api, method)(url, body, format=body_format).status_code == 500
    [text] = error_reports
    assert "broken" in text
    assert SECRET not in text


def test_the_report_of_a_broken_log_in_holds_no_password(workspace, monkeypatch, error_reports, broken):
    make_user(superuser=True)
    monkeypatch.setattr("rest_framework.authtoken.serializers.authenticate", broken)
    for body_format in ("json", "multipart"):
        APIClient(raise_request_exception=False).post(
            "/api/v1/token/", {"username": "ann", "password": SECRET}, format=body_format
        )
    assert len(error_reports) == 2
    assert not [text for text in error_reports if SECRET in text]


def test_a_script_in_an_event_is_inert_in_the_browsable_api(workspace):
    make_webhook(workspace, name="<script>alert(1)</script>")
    emit("order.created", workspace=workspace, data={"note": "<script>alert(2)</script>"})
    client = APIClient()
    client.force_authenticate(make_user(superuser=True))
    webhook, delivery = Webhook.objects.get(), Delivery.objects.get()
    for path in (
        "webhooks/",
        f"webhooks/{webhook.pk}/",
        "events/",
        f"deliveries/{delivery.pk}/",
        "deliveries/",
    ):
        page = client.get(BASE + path, HTTP_ACCEPT="text/html")
        assert page["Content-Type"].startswith("text/html")
        assert "<script>alert" not in page.content.decode()
    for path, status in (("webhooks/999999/", 404), ("../no-such/webhooks/", 404)):
        assert client.get(BASE + path, HTTP_ACCEPT="text/html").status_code == status


@pytest.mark.django_db(transaction=True)
def test_two_requests_for_one_name_make_one_webhook():
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer")
    make_workspace()
    user = make_user(superuser=True)
    answers, together = [], threading.Barrier(4)

    def create():
        client = APIClient(raise_request_exception=False)
        client.force_authenticate(user)
        together.wait()
        answers.append(client.post(f"{BASE}webhooks/", WEBHOOK, format="json").status_code)
        connection.close()

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 400, 400, 400]
