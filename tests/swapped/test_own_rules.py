"""The whole with a tenant model, an access class and quotas that are not ours."""

import json
import os
import subprocess
import sys
import uuid
from datetime import timedelta
from textwrap import dedent

import pytest
from django.conf import settings as django_settings
from django.core import mail
from django.db import connection
from django.urls import reverse
from rest_framework.test import APIClient

from tests.factories import SECRET, make_user, make_webhook, make_workspace, webhook_form
from tests.isolation import Walk, World, routes
from tests.processes import ROOT
from tests.test_admin import make_delivery
from webhooks import notifications, queue, quotas, retention
from webhooks.engine import drain
from webhooks.events import NewEvent, emit, emit_many
from webhooks.models import Delivery, Event, WebhookState

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "/api/v1/workspaces/acme/"


@pytest.fixture(autouse=True)
def own_rules(settings):
    settings.WEBHOOKS = {
        **settings.WEBHOOKS,
        "ACCESS": "tests.swapped.rules.TeamAccess",
        "QUOTAS": "tests.swapped.rules.quota_of",
    }


@pytest.fixture
def team():
    return make_workspace()


def member_of(team, name="ann", *, guest=False):
    user = make_user(name)
    (team.guests if guest else team.people).add(user)
    return user


def ago(days):
    return queue.database_now() - timedelta(days=days)


@pytest.fixture
def own_database(tmp_path, database_url):
    """The URL of a database with nothing in it."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{tmp_path / 'fresh.sqlite3'}"
        return
    name = f"fresh_{uuid.uuid4().hex}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        yield database_url.replace(f"/{connection.settings_dict['NAME']}?", f"/{name}?")
        cursor.execute(f"DROP DATABASE {name}")


class TestAccess:
    def test_a_member_registers_a_webhook_in_the_admin_and_it_is_delivered_to(self, client, team, receiver):
        make_workspace("other")
        client.force_login(member_of(team))
        page = client.get(reverse("admin:webhooks_webhook_add"))
        assert "Other" not in page.content.decode()
        form = webhook_form(callback_url=receiver.url, secret=SECRET)
        assert client.post(reverse("admin:webhooks_webhook_add"), form).status_code == 302
        emit("order.created", workspace=team, data={"a": 1})
        assert drain(linger=0) == 1
        assert json.loads(receiver.requests[0].body)["workspace"] == "acme"
        delivery = Delivery.objects.get()
        shown = client.get(reverse("admin:webhooks_delivery_change", args=[delivery.pk])).content.decode()
        assert "&quot;a&quot;:1" in shown

    def test_and_over_the_api(self, team):
        client = APIClient()
        client.force_authenticate(member_of(team))
        body = {"name": "New", "callback_url": "https://example.com/hook", "events": ["*"]}
        assert client.post(f"{BASE}webhooks/", body, format="json").status_code == 201
        event = emit("order.created", workspace=team, data={"a": 1})
        assert client.get(f"{BASE}events/{event.pk}/").json()["data"] == {"a": 1}

    def test_a_guest_sees_no_payload_and_changes_nothing(self, client, team):
        webhook = make_webhook(team)
        event = emit("order.created", workspace=team, data={"a": "the-payload"})
        user = member_of(team, guest=True)
        api = APIClient()
        api.force_authenticate(user)
        assert api.get(f"{BASE}events/{event.pk}/").json()["data"] is None
        assert api.delete(f"{BASE}webhooks/{webhook.pk}/").status_code == 403
        client.force_login(user)
        shown = client.get(reverse("admin:webhooks_event_change", args=[event.pk]))
        assert (shown.status_code, b"the-payload" in shown.content) == (200, False)
        assert client.get(reverse("admin:webhooks_webhook_add")).status_code == 403

    def test_its_people_are_told_that_a_webhook_fails(self, team):
        member_of(team)
        webhook = make_webhook(team)
        now = queue.database_now()
        WebhookState.objects.create(
            webhook=webhook, failing_since=now, notice="failing", notice_due_at=now, consecutive_failures=5
        )
        assert notifications.send_due() == 1
        assert mail.outbox[0].to == ["ann@example.com"]

    def test_nobody_finds_another_teams_anything_at_any_address(self, team):
        foreign = make_workspace("hidden-slug", "Hidden Ltd")
        webhook = make_webhook(
            foreign, name="Their CRM", callback_url="https://their-crm.example/", secret=SECRET
        )
        delivery = make_delivery(
            webhook, data='{"a":"their-data"}', attempt={"response_body": "their-answer"}
        )
        texts = ["Hidden Ltd", "hidden-slug", "Their CRM", "their-crm.example", "their-data", "their-answer"]
        objects = [webhook, delivery, delivery.event]
        world = World(team, foreign, objects, {text: text for text in [*texts, SECRET]})
        make_webhook(team)
        for user, insider in (
            (member_of(team), member_of(foreign, "bob")),
            (member_of(team, "gus", guest=True), None),
            (make_user("nora"), None),
            (None, None),
        ):
            Walk(world, user, django_settings.ROOT_URLCONF, insider=insider).go()
        assert world.problems == []
        assert world.probed == set(routes(django_settings.ROOT_URLCONF))


class TestQuotas:
    def test_they_are_that_projects_own(self, team):
        make_webhook(team)
        client = APIClient()
        client.force_authenticate(member_of(team))
        body = {"name": "New", "callback_url": "https://example.com/hook", "events": ["*"]}
        answer = client.post(f"{BASE}webhooks/", body, format="json")
        assert (answer.status_code, list(answer.json())) == (400, ["non_field_errors"])
        team.plan = "paid"
        team.save()
        assert client.post(f"{BASE}webhooks/", body, format="json").status_code == 201

    def test_events_are_held_and_told(self, team):
        make_webhook(team)
        events = emit_many([NewEvent("order.created", team, {"n": n}) for n in range(5)])
        assert [event.held_until is not None for event in events] == [False, False, True, True, True]
        assert Delivery.objects.filter(due_at__in=[event.held_until for event in events[2:]]).count() == 3
        assert [(one.used, one.limit) for one in quotas.usage(team)] == [(1, 1), (5, 2), (0, 7)]

    def test_less_is_kept(self, team):
        make_webhook(team)
        emit("order.created", workspace=team, data={})
        Delivery.objects.update(status="succeeded", due_at=None, created_at=ago(8), finished_at=ago(8))
        Event.objects.update(occurred_at=ago(8))
        assert retention.prune() == 1
        assert not Event.objects.exists()


def test_that_projects_migrations_are_made_and_applied_from_nothing(tmp_path, own_database):
    """Its own first, then ours, which name its model nowhere; and nothing is left to be made."""
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "__init__.py").touch()
    (tmp_path / "fresh.py").write_text(
        dedent(
            """
            from tests.swapped.settings import *

            MIGRATION_MODULES = {"swapped": "made"}
            """
        )
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "fresh",
        "DATABASE_URL": own_database,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]),
    }

    def manage(*arguments):
        command = [sys.executable, "-m", "django", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Create model Team" in manage("makemigrations", "swapped")
    manage("migrate", "--verbosity", "0")
    assert "No changes detected" in manage("makemigrations", "--check", "--dry-run")
    assert "[ ]" not in manage("showmigrations")
    script = """
        import django; django.setup()
        from tests.swapped.models import Team
        from webhooks.events import emit
        from webhooks.models import Delivery, Webhook
        team = Team.objects.create(name="Acme", slug="acme")
        Webhook.objects.create(workspace=team, name="CRM", callback_url="https://example.com/").subscribe("*")
        emit("order.created", workspace=team, data={})
        print(Delivery.objects.get().workspace_id == team.pk)
    """
    command = [sys.executable, "-c", dedent(script)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("True", 0), done.stderr
