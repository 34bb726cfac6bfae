"""How much a workspace may use, and what becomes of what is above it."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from tests.concurrency import beside
from tests.factories import make_user, make_webhook, make_workspace
from webhooks import actions, queue, quotas, retention
from webhooks.admin.explanation import reason
from webhooks.engine import drain
from webhooks.events import NewEvent, emit, emit_many
from webhooks.models import Delivery, Event, Webhook
from webhooks.quota import Quota, quota_of

pytestmark = pytest.mark.django_db
concurrent = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)
WEBHOOK = {"name": "New", "callback_url": "https://example.com/hook", "events": ["*"]}

granted: dict[str, Quota] = {}


def by_slug(workspace):
    """What WEBHOOKS["QUOTAS"] names here: a project's own rule."""
    return granted.get(workspace.slug, Quota())


def broken(workspace):
    raise RuntimeError("no answer")


def forgetful(workspace):
    return None


@pytest.fixture(autouse=True)
def quota(settings):
    """Return a function that sets the quota of the workspace "acme"."""
    settings.WEBHOOKS = {**settings.WEBHOOKS, "QUOTAS": f"{__name__}.by_slug"}
    granted.clear()
    return lambda **bounds: granted.update(acme=Quota(**bounds))


def news(workspace, count):
    return [NewEvent("order.created", workspace, {"n": number}) for number in range(count)]


def delays(events):
    """How many seconds after the first of them each event leaves."""
    left = [event.held_until or event.occurred_at for event in events]
    return [round((moment - left[0]).total_seconds()) for moment in left]


class TestWebhooks:
    def test_one_too_many_is_refused_by_the_form_with_a_sentence(self, client, workspace, quota):
        make_webhook(workspace, is_active=False)
        make_webhook(make_workspace("other"))
        quota(webhooks=1)
        client.force_login(make_user(superuser=True))
        data = {"name": "New", "callback_url": "https://example.com/", "events": ["*"], "method": "POST"}
        data |= {"content_type": "application/json", "max_attempts": "8", "workspace": str(workspace.pk)}
        response = client.post(reverse("admin:webhooks_webhook_add"), data)
        assert "as many webhooks as its quota allows (1)" in response.content.decode()
        assert Webhook.objects.filter(workspace=workspace).count() == 1

    def test_and_by_the_api(self, workspace, quota):
        one = make_webhook(workspace)
        quota(webhooks=1)
        client = APIClient()
        client.force_authenticate(make_user(superuser=True))
        address = "/api/v1/workspaces/acme/webhooks/"
        answer = client.post(address, WEBHOOK, format="json")
        assert answer.status_code == 400
        [sentence] = answer.json()["non_field_errors"]
        assert "quota allows (1)" in sentence
        actions.delete(one, by=None)
        assert client.post(address, WEBHOOK, format="json").status_code == 201

    def test_those_that_are_there_can_still_be_changed(self, workspace, quota):
        webhook = make_webhook(workspace)
        quota(webhooks=0)
        webhook.full_clean()
        actions.change(webhook, {"max_attempts": 3}, by=None)

    @concurrent
    def test_two_cannot_both_take_the_last_place(self, workspace, quota):
        quota(webhooks=1)

        def create(name):
            webhook = Webhook(workspace=workspace, name=name, callback_url="https://example.com/")
            actions.create(webhook, ["*"], by=None)

        with beside(lambda: create("second"), allowed=ValidationError) as start:
            create("first")
            assert not start()
        assert Webhook.objects.get().name == "first"

    @concurrent
    def test_and_no_emit_waits_for_who_takes_it(self, workspace, quota):
        make_webhook(workspace)
        quota(webhooks=5)
        with beside(lambda: emit("order.created", workspace=workspace, data={})) as start:
            quotas.check_room(workspace.pk)
            assert start() or connection.vendor == "sqlite"
        assert Delivery.objects.count() == 1


class TestEventsPerMinute:
    def test_a_burst_up_to_the_quota_leaves_at_once_and_the_rest_at_its_pace(self, workspace, quota):
        make_webhook(workspace)
        quota(events_per_minute=3)
        events = [emit("order.created", workspace=workspace, data={"n": n}) for n in range(8)]
        assert delays(events) == [0, 0, 0, 60, 60, 60, 120, 120]
        due = list(Delivery.objects.order_by("pk").values_list("due_at", flat=True))
        assert due[3:] == [event.held_until for event in events[3:]]
        assert all(event.held_until is None for event in events[:3])

    @pytest.mark.parametrize("sizes", [[8], [2, 6], [5, 3], [1, 1, 6]])
    def test_a_batch_is_held_as_its_events_one_by_one(self, workspace, quota, sizes):
        quota(events_per_minute=3)
        events = [event for size in sizes for event in emit_many(news(workspace, size))]
        assert delays(events) == [0, 0, 0, 60, 60, 60, 120, 120]

    def test_each_workspace_has_its_own(self, workspace, quota):
        other = make_workspace("other")
        quota(events_per_minute=2)
        mixed = [one for pair in zip(news(workspace, 4), news(other, 4), strict=True) for one in pair]
        events = emit_many(mixed)
        assert delays(events[0::2]) == [0, 0, 60, 60]
        assert [event.held_until for event in events[1::2]] == [None] * 4

    def test_what_left_a_minute_ago_counts_no_more(self, workspace, quota):
        quota(events_per_minute=2)
        emit_many(news(workspace, 2))
        Event.objects.update(occurred_at=timezone.now() - timedelta(seconds=61))
        assert emit("order.created", workspace=workspace, data={}).held_until is None

    def test_a_fast_clock_of_a_host_holds_nobody_for_longer_than_a_minute(self, workspace, quota):
        quota(events_per_minute=2)
        emit_many(news(workspace, 2))
        Event.objects.update(occurred_at=timezone.now() + timedelta(hours=1))
        held = emit("order.created", workspace=workspace, data={}).held_until
        assert held - queue.database_now() <= MINUTE

    def test_a_large_quota_is_held_over_less_than_a_minute(self, workspace, quota, monkeypatch):
        monkeypatch.setattr(quotas, "LOOK", 5)
        quota(events_per_minute=100)
        assert delays(emit_many(news(workspace, 12))) == [0] * 5 + [3] * 5 + [6] * 2

    def test_nothing_is_lost_and_what_is_held_is_sent_when_its_time_has_come(
        self, workspace, receiver, quota
    ):
        webhook = make_webhook(workspace, callback_url=receiver.url)
        quota(events_per_minute=2)
        emit_many(news(workspace, 5))
        now = queue.database_now()
        assert drain(linger=0) == 2
        pending = Delivery.objects.filter(status="pending").order_by("pk").first()
        assert "quota of events per minute" in reason(pending, None, now)
        assert drain(linger=0, clock=lambda: now + MINUTE + timedelta(seconds=5)) == 2
        assert drain(linger=0, clock=lambda: now + 2 * MINUTE + timedelta(seconds=5)) == 1
        assert len(receiver.requests) == webhook.deliveries.filter(status="succeeded").count() == 5

    def test_a_test_event_is_neither_held_nor_counted(self, workspace, quota):
        webhook = make_webhook(workspace)
        quota(events_per_minute=1)
        for _ in range(3):
            assert actions.send_test(webhook, "order.paid", by=None).held_until is None
        assert emit("order.created", workspace=workspace, data={}).held_until is None

    def test_it_costs_an_emit_one_statement_whatever_there_is(self, workspace, quota):
        for number in range(3):
            make_webhook(workspace, name=str(number))
        for limit, count in ((None, 1), (2, 1), (2, 1), (2, 40), (1000, 40)):
            quota(events_per_minute=limit)
            with CaptureQueriesContext(connection) as captured:
                emit_many(news(workspace, count))
            assert len(captured) == (5 if limit else 4), [query["sql"][:60] for query in captured]

    @concurrent
    def test_emits_of_a_workspace_do_not_wait_for_each_other(self, workspace, quota):
        make_webhook(workspace)
        quota(events_per_minute=1)
        emit("order.created", workspace=workspace, data={})
        with beside(lambda: emit("order.created", workspace=workspace, data={})) as start:
            emit("order.created", workspace=workspace, data={})
            assert start() or connection.vendor == "sqlite"
        assert Delivery.objects.count() == 3

    def test_a_fraction_counts_as_the_whole_number_below(self, workspace, quota):
        quota(events_per_minute=2.5)
        assert delays(emit_many(news(workspace, 3))) == [0, 0, 60]

    @pytest.mark.parametrize("limit", [0, -1, True, "5", float("nan"), float("inf"), 10**30])
    def test_a_quota_that_no_form_would_have_taken_counts_as_none(self, workspace, quota, limit):
        quota(events_per_minute=limit)
        assert [event.held_until for event in emit_many(news(workspace, 3))] == [None] * 3

    @pytest.mark.parametrize("name", ["broken", "forgetful"])
    def test_a_callable_that_does_not_answer_fails_no_emit(self, workspace, settings, caplog, name):
        settings.WEBHOOKS = {**settings.WEBHOOKS, "QUOTAS": f"{__name__}.{name}"}
        emit("order.created", workspace=workspace, data={})
        assert Event.objects.count() == 1
        assert "could not be asked for" in caplog.text
        assert quota_of(workspace) == Quota()


class TestDays:
    @pytest.fixture
    def aged(self, workspace):
        """A workspace and another one, each with deliveries that ended 9, 5 and 1 days ago, and one pending."""
        for one in (workspace, make_workspace("other")):
            webhook = make_webhook(one)
            for days in (9, 5, 1, 0):
                event = emit("order.created", workspace=one, data={"days": days})
                then = queue.database_now() - timedelta(days=days)
                Event.objects.filter(pk=event.pk).update(occurred_at=then)
                ended = {"status": "succeeded", "finished_at": then, "due_at": None} if days else {}
                Delivery.objects.filter(event=event).update(created_at=then, **ended)
            Webhook.objects.filter(pk=webhook.pk).update(version=2)
        # Owed since long ago: never pruned.
        Delivery.objects.filter(status="pending").update(created_at=queue.database_now() - timedelta(days=50))
        return workspace

    def kept(self, slug):
        rows = Event.objects.filter(workspace_key=slug).values_list("data", flat=True)
        deliveries = Delivery.objects.filter(event__workspace_key=slug).count()
        return sorted(rows), deliveries

    @pytest.mark.parametrize("batch", [1, 2, 1000])
    def test_less_is_kept_of_a_workspace_whose_quota_says_so(self, aged, quota, batch):
        quota(days=4)
        assert retention.prune(days=7, batch=batch) == 3
        assert self.kept("acme") == (['{"days":0}', '{"days":1}'], 2)
        assert self.kept("other") == (['{"days":0}', '{"days":1}', '{"days":5}'], 3)

    def test_also_where_the_others_is_kept_for_ever(self, aged, quota, settings):
        settings.WEBHOOKS = {**settings.WEBHOOKS, "RETENTION_DAYS": None}
        quota(days=4)
        assert retention.prune() == 2
        assert self.kept("other")[1] == 4

    def test_a_larger_quota_keeps_no_more_than_is_kept_of_everybody(self, aged, quota):
        quota(days=400)
        assert retention.prune(days=7) == 2

    def test_what_was_redelivered_since_stays(self, aged, quota):
        oldest = Delivery.objects.filter(event__workspace_key="acme").order_by("pk").first()
        actions.redeliver([oldest], by=None)
        quota(days=4)
        retention.prune(days=7)
        assert Delivery.objects.filter(pk=oldest.pk).exists()
        assert Event.objects.filter(pk=oldest.event_id).exists()


class TestUsage:
    def of(self, workspace):
        return {one.name: (one.used, one.limit, bool(one.message)) for one in quotas.usage(workspace)}

    def test_without_a_quota_it_says_what_is_used(self, workspace):
        make_webhook(workspace)
        emit("order.created", workspace=workspace, data={})
        assert self.of(workspace) == {
            "webhooks": (1, None, False),
            "events_per_minute": (1, None, False),
            "days": (0, 30, False),
        }

    def test_what_is_reached_is_said_in_a_sentence(self, workspace, quota):
        make_webhook(workspace)
        quota(webhooks=1, events_per_minute=2, days=7)
        emit_many(news(workspace, 2))
        assert self.of(workspace) == {
            "webhooks": (1, 1, True),
            "events_per_minute": (2, 2, False),
            "days": (0, 7, False),
        }
        emit_many(news(workspace, 3))
        Event.objects.filter(pk=Event.objects.order_by("pk").first().pk).update(
            occurred_at=timezone.now() - timedelta(days=3)
        )
        assert self.of(workspace)["events_per_minute"] == (5, 2, True)
        assert self.of(workspace)["days"] == (3, 7, False)
        [message] = [one.message for one in quotas.usage(workspace) if one.name == "events_per_minute"]
        assert message.startswith("3 events are above the quota and are sent later")
