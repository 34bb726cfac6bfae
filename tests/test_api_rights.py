"""Who may do what over the API, and that another workspace looks like none."""

import uuid

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.utils import timezone
from rest_framework.authtoken.models import Token
from rest_framework.settings import DEFAULTS, IMPORT_STRINGS, APISettings
from rest_framework.test import APIClient

from tests.factories import make_user, make_webhook, make_workspace
from webhooks.api import authentication
from webhooks.events import emit
from webhooks.models import Delivery, Event, Webhook

pytestmark = pytest.mark.django_db
ours = pytest.mark.skipif(not apps.is_installed("workspace"), reason="roles belong to our workspace app")

BASE = "/api/v1/workspaces/acme/"
WEBHOOK = {"name": "New", "callback_url": "https://example.com/hook", "events": ["*"]}
SECRET = "correct-horse-battery"
NEWER = "battery-staple"
# What the API can be asked for.
EVERYTHING = {"view", "add", "change", "delete", "redeliver", "recover", "secret"}
ROLE_TABLE = {
    "owner": EVERYTHING,
    "admin": EVERYTHING,
    "member": EVERYTHING - {"delete", "secret"},
    "viewer": {"view"},
}


def client_of(user, **options):
    client = APIClient(**options)
    client.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.get_or_create(user=user)[0].key}")
    return client


@pytest.fixture
def filled(workspace):
    """A webhook with one failed delivery."""
    webhook = make_webhook(workspace, secret=SECRET, patterns=("order.*",))
    emit("order.created", workspace=workspace, data={})
    Delivery.objects.update(status="failed", due_at=None)
    return webhook


def everything_asked(client, base, webhook, delivery, event):
    """Ask for all there is; yield the action that each needs, and its answer."""
    one = f"{base}webhooks/{webhook}/"

    def patch(**changes):
        return client.patch(one, changes, format="json")

    for path in ("webhooks/", "deliveries/", "events/", "event-types/", "event-types/order.paid/"):
        yield "view", client.get(base + path)
    for path in (f"webhooks/{webhook}/", f"deliveries/{delivery}/", f"events/{event}/"):
        yield "view", client.get(base + path)
    yield "add", client.post(f"{base}webhooks/", WEBHOOK, format="json")
    yield "change", client.post(f"{one}resume/")
    yield "recover", client.post(f"{one}recover/", {"since": timezone.now().isoformat()}, format="json")
    yield "change", patch(max_attempts=3)
    yield "change", patch(is_active=False)
    yield "change", client.put(one, {**WEBHOOK, "name": "Put"}, format="json")
    yield "secret", patch(secret=NEWER)
    yield "secret", patch(secret="")
    yield "secret", patch(generate_secret=True)
    yield "secret", patch(headers={"X-Api-Key": NEWER})
    yield "secret", patch(authorization=f"Bearer {NEWER}")
    yield "secret", client.post(f"{one}rotate-secret/", {"secret": NEWER}, format="json")
    yield "secret", client.post(f"{one}finish-rotation/")
    yield "redeliver", client.post(f"{base}deliveries/{delivery}/redeliver/")
    yield "delete", client.delete(one)


@ours
@pytest.mark.parametrize("role", ROLE_TABLE)
def test_each_role_does_what_its_row_says_and_no_more(workspace, filled, role):
    client = client_of(make_user(role=role, workspace=workspace))
    delivery = Delivery.objects.get()
    asked = set()
    for needed, answer in everything_asked(client, BASE, filled.pk, delivery.pk, delivery.event_id):
        asked.add(needed)
        granted = needed in ROLE_TABLE[role]
        assert (answer.status_code < 300) == granted, (role, needed, answer.content)
        assert granted or answer.status_code == 403
    assert asked == EVERYTHING
    if role in ("viewer", "member"):
        assert Webhook.objects.get(pk=filled.pk).secret == SECRET
    if role == "viewer":
        assert Webhook.objects.get().version == filled.version
        assert Delivery.objects.get().status == "failed"


def shape(answer):
    return answer.status_code, answer.content


@pytest.mark.parametrize("role", ["owner", None])
def test_another_workspace_cannot_be_told_from_one_that_is_not_there(filled, role):
    if role and not apps.is_installed("workspace"):
        pytest.skip("model permissions hold in every workspace alike")
    client = client_of(make_user("bob", role=role, workspace=make_workspace("mine") if role else None))
    delivery = Delivery.objects.get()
    keys = (filled.pk, delivery.pk, delivery.event_id)
    theirs = [shape(answer) for _, answer in everything_asked(client, BASE, *keys)]
    absent = [shape(answer) for _, answer in everything_asked(client, "/api/v1/workspaces/no-such/", *keys)]
    assert theirs == absent
    assert {status for status, _ in theirs} == {404}
    assert Webhook.objects.get().secret == SECRET


@ours
def test_another_workspaces_keys_under_ones_own_workspace_are_not_found(filled):
    client = client_of(make_user("bob", role="owner", workspace=make_workspace("mine")))
    base = "/api/v1/workspaces/mine/"
    delivery = Delivery.objects.get()
    own = ("webhooks/", "deliveries/", "events/", "event-types/")
    foreign = everything_asked(client, base, filled.pk, delivery.pk, delivery.event_id)
    absent = everything_asked(client, base, filled.pk + 999, delivery.pk + 999, uuid.uuid4())
    # The two posts to the list make bob's own webhook, and then find its name taken.
    pairs = [
        (shape(a), shape(b)) for (needed, a), (_, b) in zip(foreign, absent, strict=True) if needed != "add"
    ]
    assert all(a == b for a, b in pairs)
    assert {a[0] for a, _ in pairs} == {200, 404}
    assert sum(a[0] == 200 for a, _ in pairs) == len(own) + 1
    assert Delivery.objects.get().status == "failed"
    assert Webhook.objects.filter(workspace=filled.workspace_id).get().secret == SECRET


@ours
def test_a_filter_does_not_tell_another_workspaces_webhook_from_none(filled):
    client = client_of(make_user("bob", role="owner", workspace=make_workspace("mine")))
    answers = {
        shape(client.get("/api/v1/workspaces/mine/deliveries/", {"webhook": pk}))
        for pk in (filled.pk, filled.pk + 999)
    }
    [(status, content)] = answers
    assert status == 400
    assert b'"webhook"' in content


@ours
def test_a_name_taken_in_another_workspace_is_free(filled):
    client = client_of(make_user("bob", role="owner", workspace=make_workspace("mine")))
    answer = client.post("/api/v1/workspaces/mine/webhooks/", {**WEBHOOK, "name": "CRM"}, format="json")
    assert answer.status_code == 201


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_without_a_log_in_nothing_is_told_apart(filled, method):
    answers = {
        shape(getattr(APIClient(), method)(path))
        for path in (
            f"{BASE}webhooks/{filled.pk}/",
            f"{BASE}webhooks/999999/",
            "/api/v1/workspaces/no/webhooks/1/",
        )
    }
    [(status, _)] = answers
    assert status == 401


def test_a_user_made_inactive_is_refused_at_once(filled):
    user = make_user(superuser=True)
    client = client_of(user)
    assert client.get(f"{BASE}webhooks/").status_code == 200
    get_user_model().objects.update(is_active=False)
    assert client.get(f"{BASE}webhooks/").status_code == 401


@ours
def test_a_role_taken_away_is_gone_with_the_next_request(workspace, filled):
    user = make_user(role="owner", workspace=workspace)
    client = client_of(user)
    assert client.patch(f"{BASE}webhooks/{filled.pk}/", {"name": "x"}, format="json").status_code == 200
    user.memberships.update(role="viewer")
    assert client.patch(f"{BASE}webhooks/{filled.pk}/", {"name": "y"}, format="json").status_code == 403
    user.memberships.all().delete()
    assert client.get(f"{BASE}webhooks/").status_code == 404


def test_every_change_by_session_needs_the_csrf_token(filled):
    make_user(superuser=True)
    client = APIClient(enforce_csrf_checks=True)
    assert client.login(username="ann", password="pw")
    delivery = Delivery.objects.get()
    before = Webhook.objects.values().get()
    for needed, answer in everything_asked(client, BASE, filled.pk, delivery.pk, delivery.event_id):
        assert answer.status_code == (200 if needed == "view" else 403), (needed, answer.content)
    assert Webhook.objects.values().get() == before
    assert Delivery.objects.get().status == "failed"
    client.credentials(HTTP_X_CSRFTOKEN="a" * 32)
    client.cookies["csrftoken"] = "a" * 32
    assert client.patch(f"{BASE}webhooks/{filled.pk}/", {"name": "x"}, format="json").status_code == 200


def test_no_answer_but_the_one_that_generates_it_shows_a_secret(filled):
    client = client_of(make_user(superuser=True))
    delivery = Delivery.objects.get()
    for needed, answer in everything_asked(client, BASE, filled.pk, delivery.pk, delivery.event_id):
        assert SECRET not in answer.content.decode()
        assert NEWER not in answer.content.decode()
        assert "fernet:" not in answer.content.decode()
        shown = isinstance(answer.data, dict) and "secret" in answer.data
        assert shown == (
            needed == "secret" and answer.wsgi_request.method == "PATCH" and b"whsec_" in answer.content
        )
    for path in (f"webhooks/{filled.pk}/", "webhooks/"):
        assert client.options(BASE + path).status_code in (200, 404)
        assert SECRET not in client.options(BASE + path).content.decode()


@pytest.mark.parametrize(
    "query", ["secret=correct", "ordering=secret", "search=correct", "secret__startswith=c"]
)
def test_no_query_lets_a_secret_be_guessed(filled, query):
    client = client_of(make_user(superuser=True))
    for path in ("webhooks/", "deliveries/", "events/"):
        wrong = query.replace("c", "x")
        assert client.get(f"{BASE}{path}?{query}").json() == client.get(f"{BASE}{path}?{wrong}").json()


def test_authentication_is_the_projects_choice_or_token_then_session(monkeypatch):
    def configured(**user_settings):
        # Never empty: then it would read the project's settings after all.
        settings = APISettings({"PAGE_SIZE": 1, **user_settings}, DEFAULTS, IMPORT_STRINGS)
        monkeypatch.setattr(authentication, "api_settings", settings)
        return [cls.__name__ for cls in authentication.authentication_classes()]

    basic = ["rest_framework.authentication.BasicAuthentication"]
    assert configured(DEFAULT_AUTHENTICATION_CLASSES=basic) == ["BasicAuthentication"]
    assert configured() == ["TokenAuthentication", "SessionAuthentication"]
    monkeypatch.setattr(authentication.apps, "is_installed", lambda name: name != "rest_framework.authtoken")
    assert configured() == ["SessionAuthentication"]


def test_the_event_of_a_list_is_the_one_that_is_retrieved(filled):
    client = client_of(make_user(superuser=True))
    event = Event.objects.get()
    [listed] = client.get(f"{BASE}events/").json()["results"]
    assert listed == client.get(f"{BASE}events/{event.pk}/").json()
