"""What a webhook missed since a time, and that it is sent once, in order, and to nobody else."""

import re
import uuid
from datetime import datetime, timedelta, timezone

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ

from tests.concurrency import at_once, beside
from tests.factories import make_user, make_webhook, make_workspace
from webhooks import actions, queue, retention
from webhooks.actions import recovery
from webhooks.events import NewEvent, emit, emit_many
from webhooks.exceptions import ConcurrentChange
from webhooks.models import Delivery, Event, Subscription, Waker, Webhook

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def webhook(workspace):
    return make_webhook(workspace, is_active=False)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(recovery, "BATCH", 3)


def missed_by(webhook, count=1):
    """Emit so many events while the webhook is inactive; it is active afterwards."""
    Webhook.objects.filter(pk=webhook.pk).update(is_active=False)
    events = emit_many([NewEvent("order.created", webhook.workspace, {}) for _ in range(count)])
    Webhook.objects.filter(pk=webhook.pk).update(is_active=True)
    return events


def recover(webhook, ago=HOUR, **options):
    return actions.recover(webhook, since=queue.database_now() - ago, by=None, **options)


def owed(webhook):
    return list(Delivery.objects.filter(webhook=webhook).order_by("pk").values_list("event_id", flat=True))


def ended(webhook, status, **changes):
    """A delivery that ended so after eight attempts."""
    event = emit("order.created", workspace=webhook.workspace, data={})
    rows = Delivery.objects.filter(event=event, webhook=webhook)
    rows.update(
        status=status, ended_because="exhausted", due_at=None, finished_at=queue.database_now(),
        attempt_count=8, attempts_before=3, lost_claims=4, claim=uuid.uuid4(), **changes,
    )  # fmt: skip
    return rows.get()


class TestWhatWasMissed:
    def test_it_is_owed_in_the_order_of_the_events_and_due_now(self, webhook, small_batches):
        events = missed_by(webhook, 10)
        assert recover(webhook) == 10
        assert owed(webhook) == [event.pk for event in events]
        now = queue.database_now()
        for delivery in Delivery.objects.all():
            assert (delivery.status, delivery.ended_because, delivery.claim) == ("pending", "", None)
            assert (delivery.attempt_count, delivery.lost_claims, delivery.finished_at) == (0, 0, None)
            assert (delivery.workspace, delivery.event_type) == (webhook.workspace, "order.created")
            assert now - timedelta(seconds=30) < delivery.due_at == delivery.created_at <= now
        assert len(queue.claim(20, alone=True).deliveries) > 0

    def test_doing_it_again_does_nothing(self, webhook):
        missed_by(webhook, 4)
        assert recover(webhook) == 4
        before = list(Delivery.objects.order_by("pk").values())
        assert recover(webhook) == 0
        assert list(Delivery.objects.order_by("pk").values()) == before

    def test_what_is_held_stays_held_and_what_was_held_does_not(self, webhook):
        now = queue.database_now()
        later, before = missed_by(webhook, 2)
        Event.objects.filter(pk=later.pk).update(held_until=now + HOUR)
        Event.objects.filter(pk=before.pk).update(held_until=now - HOUR)
        assert recover(webhook) == 2
        assert Delivery.objects.get(event=later).due_at == now + HOUR
        assert now <= Delivery.objects.get(event=before).due_at <= queue.database_now()

    @pytest.mark.parametrize(
        ("patterns", "expected"),
        [
            (["*"], {"order.created", "order.paid", "orders.created", "invoice.paid"}),
            (["order.*"], {"order.created", "order.paid"}),
            (["order.paid"], {"order.paid"}),
            (["order.paid", "order.*", "invoice.*"], {"order.created", "order.paid", "invoice.paid"}),
            ([], set()),
        ],
    )
    def test_only_what_it_is_subscribed_to(self, workspace, patterns, expected):
        webhook = make_webhook(workspace, is_active=False, patterns=())
        Subscription.objects.bulk_create(Subscription(webhook=webhook, pattern=one) for one in patterns)
        for type_name in ("order.created", "order.paid", "orders.created", "invoice.paid"):
            [event] = missed_by(webhook)
            Event.objects.filter(pk=event.pk).update(type=type_name)
        assert recover(webhook) == len(expected)
        assert set(Delivery.objects.values_list("event_type", flat=True)) == expected

    def test_neither_test_events_nor_other_workspaces_nor_other_webhooks(self, webhook):
        other = make_webhook(webhook.workspace, name="Other")
        elsewhere = make_webhook(make_workspace("elsewhere"))
        emit("order.created", workspace=elsewhere.workspace, data={})
        actions.send_test(other, "order.created", by=None)
        [event] = missed_by(webhook)
        assert recover(webhook) == 1
        assert owed(webhook) == [event.pk]
        assert (len(owed(other)), len(owed(elsewhere))) == (2, 1)

    def test_since_then_and_not_before(self, webhook):
        now = queue.database_now()
        events = missed_by(webhook, 3)
        for event, ago in zip(events, (2 * HOUR, HOUR, timedelta(0)), strict=True):
            Event.objects.filter(pk=event.pk).update(occurred_at=now - ago)
        assert actions.recover(webhook, since=now - HOUR, by=None) == 2
        assert owed(webhook) == [event.pk for event in events[1:]]

    def test_the_very_moment_of_an_event_is_since_then(self, webhook):
        events = missed_by(webhook, 20)
        assert actions.recover(webhook, since=events[0].occurred_at, by=None) == 20

    def test_since_long_before_there_was_anything(self, webhook, workspace):
        missed_by(webhook, 2)
        eternity = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
        assert actions.missed(webhook, since=eternity).new == 2
        assert actions.recover(webhook, since=eternity, by=None) == 2

    def test_what_was_subscribed_to_later(self, workspace):
        webhook = make_webhook(workspace, patterns=("order.paid",))
        created, paid = (emit(name, workspace=workspace, data={}) for name in ("order.created", "order.paid"))
        webhook.subscribe("order.created")
        assert recover(webhook) == 1
        assert owed(webhook) == [paid.pk, created.pk]

    def test_a_batch_costs_the_same_statements_whatever_its_size(self, webhook, monkeypatch):
        monkeypatch.setattr(recovery, "BATCH", 40)
        costs = []
        for count in (1, 39):
            missed_by(webhook, count)
            with CaptureQueriesContext(connection) as captured:
                assert recover(webhook) == count
            costs.append([kind_of(query["sql"]) for query in captured])
        assert costs[0] == costs[1]
        assert costs[0].count("INSERT webhooks_delivery") == 1
        missed_by(webhook, 120)
        with CaptureQueriesContext(connection) as captured:
            assert recover(webhook) == 120
        of_three = [kind_of(query["sql"]) for query in captured]
        # A savepoint, the events, their deliveries, and its release.
        assert len(of_three) - len(costs[0]) == 2 * 4
        assert of_three.count("INSERT webhooks_delivery") == 3


class TestWhatFailed:
    def test_it_is_sent_again_as_by_redelivery(self, workspace, small_batches):
        webhook = make_webhook(workspace)
        failed = [ended(webhook, "failed") for _ in range(7)]
        assert actions.missed(webhook, since=queue.database_now() - HOUR) == (0, 7)
        assert recover(webhook) == 7
        assert owed(webhook) == [delivery.event_id for delivery in failed]
        for again in Delivery.objects.all():
            assert (again.status, again.ended_because, again.finished_at) == ("pending", "", None)
            assert (again.attempt_count, again.attempts_made, again.lost_claims) == (8, 0, 0)
            assert (again.claim, again.due_at <= queue.database_now()) == (None, True)
        assert recover(webhook) == 0

    def test_what_succeeded_is_pending_or_was_cancelled_stays_as_it_is(self, workspace):
        webhook = make_webhook(workspace)
        for status in ("succeeded", "cancelled", "pending"):
            ended(webhook, status)
        before = list(Delivery.objects.order_by("pk").values())
        assert actions.missed(webhook, since=queue.database_now() - HOUR) == (0, 0)
        assert recover(webhook) == 0
        assert list(Delivery.objects.order_by("pk").values()) == before

    def test_of_the_same_events_only(self, workspace):
        webhook, other = make_webhook(workspace, patterns=("order.*",)), make_webhook(workspace, name="Other")
        test, old, unwanted, wanted = (ended(webhook, "failed") for _ in range(4))
        Delivery.objects.filter(webhook=other).update(status="failed")
        Event.objects.filter(pk=test.event_id).update(is_test=True)
        Event.objects.filter(pk=old.event_id).update(occurred_at=queue.database_now() - 2 * HOUR)
        Event.objects.filter(pk=unwanted.event_id).update(type="invoice.paid")
        assert recover(webhook) == 1
        assert Delivery.objects.get(status="pending") == wanted

    def test_a_batch_costs_the_same_statements_whatever_its_size(self, workspace, monkeypatch):
        monkeypatch.setattr(recovery, "BATCH", 10)
        webhook = make_webhook(workspace)
        costs = []
        for count in (1, 9, 30):
            for _ in range(count):
                ended(webhook, "failed")
            with CaptureQueriesContext(connection) as captured:
                assert recover(webhook) == count
            costs.append(len(captured))
        assert costs[0] == costs[1]
        # The look, a savepoint, the lock, the update, and its release.
        assert costs[2] - costs[0] == 2 * 5


def test_rows_are_looked_up_and_not_joined_whatever_the_statistics_say(webhook):
    """40,000 failed deliveries took 100 s to count where the tables had last been analyzed while they were empty."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite joins in the order that a statement says")
    missed_by(webhook, 3)
    wanted = recovery._wanted(webhook, queue.database_now() - HOUR)
    for rows in (recovery._failed(webhook, wanted), recovery._unowed(webhook, wanted)):
        plan = rows.explain()
        assert "SubPlan" in plan
        assert not re.search("Join|Nested Loop", plan), plan


def kind_of(sql):
    """Return the verb of a statement and the first table that it names."""
    return " ".join([sql.split()[0], *re.findall(r'"(webhooks_[a-z]+)"', sql)[:1]])


class TestRefused:
    @pytest.fixture(autouse=True)
    def _nothing_is_written(self, webhook):
        missed_by(webhook, 2)
        yield
        assert not Delivery.objects.exists()
        assert not LogEntry.objects.exists()

    def test_a_time_without_a_zone(self, webhook):
        with pytest.raises(ValidationError) as error:
            actions.recover(webhook, since=datetime(2026, 1, 31, 9), by=make_user())  # noqa: DTZ001
        assert error.value.message_dict == {"since": [recovery.NAIVE]}

    @pytest.mark.parametrize("ahead", [timedelta(minutes=1), timedelta(days=300000)])
    def test_a_time_in_the_future(self, webhook, ahead):
        with pytest.raises(ValidationError) as error:
            recover(webhook, -ahead)
        assert error.value.message_dict == {"since": [recovery.IN_THE_FUTURE]}

    def test_an_inactive_webhook(self, webhook):
        Webhook.objects.update(is_active=False)
        for act in (recover, lambda one: actions.missed(one, since=queue.database_now())):
            with pytest.raises(ValidationError, match="Activate it first"):
                act(webhook)

    def test_a_deleted_webhook(self, webhook):
        actions.delete(Webhook.objects.get(), by=None)
        with pytest.raises(ConcurrentChange, match="deleted"):
            recover(webhook)


class TestItsTraces:
    def test_the_webhooks_history_says_since_when_and_how_much(self, webhook):
        missed_by(webhook, 2)
        user = make_user()
        since = datetime(2026, 1, 31, 10, 30, tzinfo=timezone(timedelta(hours=2)))
        actions.recover(webhook, since=since, by=user, via="API")
        actions.recover(webhook, since=since, by=user)
        entries = LogEntry.objects.order_by("pk")
        assert [(entry.object_id, entry.user, entry.change_message) for entry in entries] == [
            (str(webhook.pk), user, "Recovered since 2026-01-31 08:30:00 UTC: 2 deliveries. (API)"),
            (str(webhook.pk), user, "Recovered since 2026-01-31 08:30:00 UTC: 0 deliveries."),
        ]

    @pytest.mark.django_db(transaction=True)
    def test_one_drain_is_asked_for_and_none_when_nothing_was_missed(self, small_batches):
        webhook = make_webhook(make_workspace(), is_active=False)
        missed_by(webhook, 7)
        assert recover(webhook) == 7
        assert OrmQ.objects.count() == 1
        Waker.objects.update(asked_at=None)
        assert recover(webhook) == 0
        assert OrmQ.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_what_was_done_before_an_interruption_stays_done(self, small_batches, monkeypatch):
        webhook = make_webhook(make_workspace(), is_active=False)
        events = missed_by(webhook, 8)
        create, calls = recovery._deliveries_created, []

        def create_twice(*arguments):
            calls.append(arguments)
            if len(calls) == 3:
                raise RuntimeError("killed")
            return create(*arguments)

        monkeypatch.setattr(recovery, "_deliveries_created", create_twice)
        with pytest.raises(RuntimeError):
            recover(webhook)
        assert owed(webhook) == [event.pk for event in events[:6]]
        monkeypatch.undo()
        assert recover(webhook) == 2
        assert owed(webhook) == [event.pk for event in events]


@pytest.mark.django_db(transaction=True)
class TestBesideOthers:
    @pytest.fixture
    def webhook(self):
        return make_webhook(make_workspace(), is_active=False)

    def test_two_people_at_once_make_no_second_delivery(self, webhook, monkeypatch):
        monkeypatch.setattr(recovery, "BATCH", 5)
        events = missed_by(webhook, 23)
        at_once(*[lambda: recover(webhook)] * 3)
        assert owed(webhook) == [event.pk for event in events]

    def test_a_webhook_deleted_meanwhile_is_owed_nothing(self, webhook):
        missed_by(webhook, 3)
        stale = recovery._wanted(webhook, queue.database_now() - HOUR)
        actions.delete(Webhook.objects.get(), by=None)
        assert recovery._owe(webhook, stale) == 0
        assert not Delivery.objects.exists()

    def test_a_webhook_removed_meanwhile_breaks_nothing(self, webhook):
        """Its row itself, as with its workspace: the foreign key of what is written would point at nothing."""
        missed_by(webhook, 3)
        wanted = recovery._wanted(webhook, queue.database_now() - HOUR)
        with beside(lambda: recovery._owe(webhook, wanted)) as start:
            Webhook.objects.filter(pk=webhook.pk).delete()
            assert not start()
        assert not Delivery.objects.exists()

    @pytest.mark.parametrize("pruned_first", [True, False])
    def test_no_delivery_is_left_without_its_event(self, webhook, pruned_first):
        missed_by(webhook, 3)
        Event.objects.update(occurred_at=queue.database_now() - timedelta(days=40))
        works = [lambda: retention.prune(days=30), lambda: recover(webhook, timedelta(days=50))]
        first, second = works if pruned_first else reversed(works)
        with beside(second) as start:
            first()
            assert not start()
        assert Event.objects.count() == Delivery.objects.count() == (0 if pruned_first else 3)

    def test_emitting_waits_for_nobody(self, webhook):
        missed_by(webhook, 3)
        if connection.vendor == "sqlite":
            pytest.skip("SQLite has one writer")
        with beside(lambda: emit("order.created", workspace=webhook.workspace, data={})) as start:
            recover(webhook)
            assert start()
        assert Delivery.objects.count() == 4
