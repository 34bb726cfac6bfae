from datetime import timedelta

import pytest
from django.db import connection, transaction

from tests.concurrency import at_once
from tests.factories import make_webhook
from tests.verdicts import verdict
from webhooks import actions, queue
from webhooks.events import emit
from webhooks.models import Attempt, Delivery, Waker, Webhook
from webhooks.queue import claim, claiming, hand_back, record

pytestmark = pytest.mark.django_db(transaction=True)


def owe(workspace, count):
    with transaction.atomic():
        for number in range(count):
            emit("order.created", workspace=workspace, data={"n": number})


def test_a_claim_takes_no_more_than_the_cap_leaves_free(workspace):
    make_webhook(workspace, name="a")
    make_webhook(workspace, name="b")
    owe(workspace, 20)
    first = claim(100, alone=True)
    assert len(first.deliveries) == 16
    assert not claim(100, alone=False).deliveries
    mine = first.deliveries[:3]
    record([verdict(first, delivery) for delivery in mine], first.now)
    assert len(claim(100, alone=False).deliveries) == 3
    assert all(delivery.webhook.name and delivery.event.data for delivery in first.deliveries)


def test_a_busy_webhooks_backlog_hides_nobody(workspace, monkeypatch):
    monkeypatch.setattr("webhooks.queue.candidates.HEAD", 10)
    make_webhook(workspace, name="noisy", patterns=["order.created"])
    owe(workspace, 30)
    claim(100, alone=False)
    quiet = make_webhook(workspace, name="quiet", patterns=["order.paid"])
    emit("order.paid", workspace=workspace, data={})
    assert [delivery.webhook for delivery in claim(100, alone=False).deliveries] == [quiet]


def test_attempts_know_the_keys_that_they_were_stored_under(workspace):
    make_webhook(workspace, name="a")
    make_webhook(workspace, name="b")
    owe(workspace, 3)
    claimed = claim(6, alone=True)
    for part in (claimed.deliveries[:2], claimed.deliveries[2:]):
        verdicts = [verdict(claimed, delivery) for delivery in reversed(part)]
        record(verdicts, claimed.now)
        for one in verdicts:
            assert (one.attempt._state.adding, one.attempt._state.db) == (False, "default")
            stored = Attempt.objects.get(pk=one.attempt.pk)
            assert (stored.delivery_id, stored.started_at) == (one.attempt.delivery_id, claimed.now)
            assert (stored.request_headers, stored.late) == ({}, False)


def test_a_record_whose_commit_went_unheard_is_harmless_to_repeat(workspace):
    make_webhook(workspace)
    owe(workspace, 1)
    claimed = claim(1, alone=True)
    verdicts = [verdict(claimed, claimed.deliveries[0])]
    assert record(verdicts, claimed.now).fenced
    assert not record(verdicts, claimed.now).fenced
    assert list(Attempt.objects.order_by("pk").values_list("late", flat=True)) == [False, True]
    assert Delivery.objects.get().attempt_count == 1


@pytest.mark.parametrize("in_turn", [True, False])
def test_six_claimers_take_each_row_once(workspace, monkeypatch, in_turn):
    if not in_turn:  # a claimer that hangs is overtaken: then a row's own lock must do
        monkeypatch.setattr(claiming, "_turn_taken", lambda db: (queue.database_now(), False))
    for number in range(10):
        make_webhook(workspace, name=str(number))
    owe(workspace, 40)
    taken = []

    def work():
        for _ in range(20):
            claimed = claim(20, alone=False)
            taken.extend(delivery.pk for delivery in claimed.deliveries)
            record([verdict(claimed, delivery) for delivery in claimed.deliveries], claimed.now)

    at_once(*[work] * 6)
    assert len(taken) == len(set(taken)) == 400
    assert Delivery.objects.filter(status="succeeded", attempt_count=1, lost_claims=0).count() == 400


def test_a_lease_that_ran_out_is_claimed_again_and_the_late_result_changes_nothing(workspace):
    make_webhook(workspace)
    owe(workspace, 1)
    first = claim(1, alone=True)
    again = claim(1, alone=True, now=first.now + timedelta(seconds=61))
    [delivery] = again.deliveries
    assert Delivery.objects.get().lost_claims == 2
    assert record([verdict(first, first.deliveries[0])], first.now).fenced == set()
    stored = Delivery.objects.get()
    assert (stored.status, stored.attempt_count, stored.claim) == ("pending", 0, again.token)
    assert Attempt.objects.get().late
    record([verdict(again, delivery)], again.now)
    stored.refresh_from_db()
    assert (stored.status, stored.attempt_count, stored.lost_claims, stored.due_at) == (
        "succeeded",
        1,
        0,
        None,
    )
    assert Attempt.objects.filter(late=False).count() == 1


def test_what_a_person_does_in_between_wins(workspace):
    make_webhook(workspace)
    owe(workspace, 1)
    claimed = claim(1, alone=True)
    actions.cancel(claimed.deliveries, by=None)
    record([verdict(claimed, claimed.deliveries[0])], claimed.now)
    stored = Delivery.objects.get()
    assert (stored.status, stored.ended_because) == ("cancelled", "by_hand")
    assert hand_back(claimed.token, [stored.pk], claimed.now) == 0


def test_handing_back_costs_nothing(workspace):
    make_webhook(workspace)
    owe(workspace, 1)
    claimed = claim(1, alone=True)
    assert hand_back(claimed.token, [claimed.deliveries[0].pk], claimed.now) == 1
    stored = Delivery.objects.get()
    assert (stored.claim, stored.lost_claims, stored.attempt_count) == (None, 0, 0)
    assert len(claim(1, alone=True).deliveries) == 1


def test_a_delivery_that_loses_its_claims_is_taken_alone_and_then_ends(workspace):
    make_webhook(workspace)
    owe(workspace, 3)
    bad = Delivery.objects.order_by("pk").last()
    Delivery.objects.filter(pk=bad.pk).update(lost_claims=3)
    assert bad.pk not in [delivery.pk for delivery in claim(10, alone=False).deliveries]
    alone = claim(10, alone=True)
    assert [delivery.pk for delivery in alone.deliveries] == [bad.pk]
    later = alone.now + timedelta(seconds=61)
    Delivery.objects.filter(pk=bad.pk).update(lost_claims=5)
    ended = claim(10, alone=True, now=later)
    assert (ended.touched, len(ended.deliveries)) == (1, 0)
    bad.refresh_from_db()
    assert (bad.status, bad.ended_because) == ("failed", "worker_lost")


def test_deliveries_of_an_inactive_webhook_wait_and_resume(workspace):
    webhook = make_webhook(workspace)
    owe(workspace, 12)
    actions.deactivate(webhook, by=None)
    emit("order.created", workspace=workspace, data={})
    assert claim(100, alone=True).touched == 12
    assert Delivery.objects.filter(due_at=None, status="pending").count() == 12
    assert queue.unpark() == 0
    actions.activate(webhook, by=None)
    assert len(claim(100, alone=True).deliveries) == 8


@pytest.mark.parametrize("off", [{"is_active": False}, {"is_active": False, "deleted_at": queue.Now()}])
def test_a_webhook_switched_off_between_the_look_and_the_lock_is_not_sent_to(workspace, monkeypatch, off):
    make_webhook(workspace)
    owe(workspace, 3)
    take = claiming.take

    def meanwhile(*arguments):
        Webhook.objects.update(**off)
        return take(*arguments)

    monkeypatch.setattr(claiming, "take", meanwhile)
    assert not claim(9, alone=True).deliveries
    assert not Delivery.objects.filter(claim__isnull=False).exists()
    assert claim(9, alone=True).touched == 3


def test_a_webhook_switched_on_between_the_look_and_the_parking_has_nothing_parked(workspace, monkeypatch):
    make_webhook(workspace)
    owe(workspace, 3)
    Webhook.objects.update(is_active=False)
    locked = claiming._locked

    def meanwhile(*arguments):
        Webhook.objects.update(is_active=True)
        return locked(*arguments)

    monkeypatch.setattr(claiming, "_locked", meanwhile)
    assert claim(9, alone=True).touched == 0
    assert len(claim(9, alone=True).deliveries) == 3


def test_deliveries_of_a_deleted_webhook_end(workspace):
    webhook = make_webhook(workspace)
    owe(workspace, 3)
    actions.deactivate(webhook, by=None)
    claim(100, alone=True)
    owe(workspace, 1)
    actions.delete(webhook, by=None)
    assert queue.unpark() == 3
    claim(100, alone=True)
    rows = Delivery.objects.values_list("status", "ended_because")
    assert set(rows) == {("cancelled", "webhook_deleted")}


def test_a_wake_up_is_asked_for_once_until_a_drain_starts(monkeypatch):
    asked = []
    monkeypatch.setattr("webhooks.queue.waking.async_task", lambda *args, **options: asked.append(args))
    queue.wake()
    queue.wake()
    assert asked == [("webhooks.tasks.drain",)]  # no argument: the broker keeps and shows them
    queue.clear_wake()
    queue.wake()
    assert len(asked) == 2
    Waker.objects.update(asked_at=queue.database_now() - timedelta(seconds=31))
    queue.wake()
    assert len(asked) == 3


def test_one_drain_lingers_at_a_time():
    import uuid

    first, second = uuid.uuid4(), uuid.uuid4()
    assert queue.linger(first)
    assert queue.linger(first)
    assert not queue.linger(second)
    queue.stop_lingering(first)
    assert queue.linger(second)


def test_the_claim_uses_the_partial_index_of_what_is_due(workspace):
    make_webhook(workspace)
    owe(workspace, 50)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE webhooks_delivery")
            cursor.execute("SET enable_seqscan = off")
        explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(
            f"{explain} SELECT id FROM webhooks_delivery WHERE status = 'pending' "
            "AND due_at <= CURRENT_TIMESTAMP ORDER BY due_at LIMIT 10"
        )
        plan = str(cursor.fetchall())
        if connection.vendor == "postgresql":
            cursor.execute("RESET enable_seqscan")
    assert "webhooks_delivery_due" in plan
