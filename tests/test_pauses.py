"""What the queue does with the deliveries of a webhook that fails, and how it gets over it."""

import threading
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from django.db import connections, transaction

from tests.concurrency import at_once
from tests.factories import make_webhook
from webhooks import actions, queue
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.exceptions import SendError
from webhooks.health import Notice
from webhooks.models import Attempt, Delivery, Webhook, WebhookState
from webhooks.queue import Verdict, claim, record
from webhooks.retry import Outcome

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)


@pytest.fixture
def webhook(workspace):
    return make_webhook(workspace)


def owe(workspace, count):
    with transaction.atomic():
        for number in range(count):
            emit("order.created", workspace=workspace, data={"n": number})


def state(webhook, **fields):
    WebhookState.objects.update_or_create(webhook=webhook, defaults=fields)


def failed(claimed, delivery, due_at=None, **fields):
    return verdict(claimed, delivery, Outcome.TRANSIENT, due_at or claimed.now + MINUTE, **fields)


def verdict(claimed, delivery, outcome, due_at=None, **fields):
    attempt = Attempt(
        delivery_id=delivery.pk,
        number=1,
        started_at=claimed.now,
        duration_ms=1,
        outcome=outcome.value,
        **fields,
    )
    ended = {Outcome.SUCCESS: ("succeeded", ""), Outcome.GONE: ("failed", "gone")}
    status, because = ended.get(outcome, ("pending", ""))
    return Verdict(
        claim=claimed.token,
        attempt=attempt,
        outcome=outcome,
        status=status,
        ended_because=because,
        due_at=due_at,
    )


def test_what_falls_due_in_a_pause_is_parked_and_costs_no_attempt(workspace, webhook):
    now = queue.database_now()
    state(webhook, consecutive_failures=5, failing_since=now, paused_until=now + MINUTE, pauses=1)
    owe(workspace, 30)
    assert claim(100, alone=True).touched == 30
    assert set(Delivery.objects.values_list("due_at", "claim", "attempt_count", "lost_claims")) == {
        (None, None, 0, 0)
    }
    assert queue.unpark() == 0
    assert not claim(100, alone=True).touched


def test_the_end_of_a_pause_frees_one_delivery_and_only_that_is_claimed(workspace, webhook):
    now = queue.database_now()
    owe(workspace, 3)
    first = Delivery.objects.earliest("pk")
    Delivery.objects.exclude(pk=first.pk).update(due_at=None)
    state(webhook, consecutive_failures=5, failing_since=now, paused_until=now - MINUTE, pauses=1)
    owe(workspace, 5)
    assert queue.unpark() == 1
    probe = claim(100, alone=True)
    assert len(probe.deliveries) == 1
    assert not claim(100, alone=False).touched


def test_a_failed_probe_waits_for_the_next_pauses_end(workspace, webhook):
    now = queue.database_now()
    owe(workspace, 1)
    state(webhook, consecutive_failures=5, failing_since=now - MINUTE, paused_until=now, pauses=1, told=1)
    probe = claim(9, alone=True)
    told = record(
        [failed(probe, probe.deliveries[0], error_kind="http_5xx", status_code=503)], probe.now
    ).told
    after = WebhookState.objects.get()
    assert after.paused_until == Delivery.objects.get().due_at == probe.now + 2 * MINUTE
    assert (after.error_kind, after.status_code, list(told)) == ("http_5xx", 503, [])


def test_a_later_retry_time_of_its_own_outlasts_the_pause(workspace, webhook):
    now = queue.database_now()
    owe(workspace, 1)
    state(webhook, consecutive_failures=5, failing_since=now - MINUTE, paused_until=now, pauses=1, told=1)
    probe = claim(9, alone=True)
    record([failed(probe, probe.deliveries[0], probe.now + 60 * MINUTE)], probe.now)
    assert Delivery.objects.get().due_at == probe.now + 60 * MINUTE


def test_the_backlog_drips_after_a_recovery(workspace, webhook):
    now = queue.database_now()
    owe(workspace, 30)
    state(webhook, consecutive_failures=5, failing_since=now - MINUTE, paused_until=now, pauses=1, told=1)
    probe = claim(100, alone=True)
    recorded = record([verdict(probe, probe.deliveries[0], Outcome.SUCCESS)], probe.now)
    assert [one.notice for one in recorded.told] == [Notice.RECOVERED]
    assert len(claim(100, alone=False).deliveries) == 1
    WebhookState.objects.update(drip=3)
    assert len(claim(100, alone=False).deliveries) == 2


def test_five_failures_in_half_a_minute_pause_the_webhook_and_tell_its_owners_once(workspace, webhook):
    owe(workspace, 6)
    first = claim(1, alone=True)
    record([failed(first, first.deliveries[0])], first.now)
    later = first.now + timedelta(seconds=31)
    rest = claim(100, alone=True, now=later)
    told = record([failed(rest, delivery) for delivery in rest.deliveries], later).told
    assert [(one.webhook_id, one.notice) for one in told] == [(webhook.pk, Notice.FAILING)]
    after = WebhookState.objects.get()
    assert (after.consecutive_failures, after.notice, after.notice_due_at) == (6, "failing", later)
    assert after.paused_until == later + MINUTE


def test_healthy_successes_cost_one_look_at_the_states(workspace, django_assert_max_num_queries):
    for number in range(20):
        make_webhook(workspace, name=str(number))
    owe(workspace, 1)
    claimed = claim(100, alone=True)
    # The transaction's begin, the fence, the attempts, their last key, the deliveries, whose turn is next, the states.
    with django_assert_max_num_queries(8):
        record([verdict(claimed, one, Outcome.SUCCESS) for one in claimed.deliveries], claimed.now)
    assert not WebhookState.objects.exists()


def test_failures_of_many_webhooks_are_noted_in_a_fixed_number_of_statements(
    workspace, django_assert_max_num_queries
):
    for number in range(40):
        make_webhook(workspace, name=str(number))
    owe(workspace, 1)
    claimed = claim(100, alone=True)
    due_at = claimed.now + MINUTE
    with django_assert_max_num_queries(12):
        record([failed(claimed, one, due_at) for one in claimed.deliveries], claimed.now)
    assert WebhookState.objects.filter(consecutive_failures=1).count() == 40


def test_a_fault_of_ours_is_charged_to_nobody(workspace, webhook):
    owe(workspace, 1)
    for _ in range(12):
        Delivery.objects.update(due_at=queue.Now())
        claimed = claim(9, alone=True)
        record([failed(claimed, claimed.deliveries[0], error_kind="egress_proxy")], claimed.now)
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempt_count, delivery.attempts_made) == ("pending", 12, 0)
    assert not WebhookState.objects.exists()


def test_a_fault_of_ours_is_tried_again_within_about_a_minute(workspace, webhook, receiver, monkeypatch):
    def down(self, pairs, turn):
        for pair in pairs:
            if pair is not None:
                yield pair[0], SendError("egress_proxy", "The proxy could not be used.")

    monkeypatch.setattr("webhooks.transport.CurlAdapter.send_many", down)
    Webhook.objects.update(max_attempts=1)
    owe(workspace, 1)
    drain(linger=0)
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts_made) == ("pending", 0)
    assert timedelta(seconds=45) < delivery.due_at - queue.database_now() < timedelta(seconds=75)


def test_a_person_who_was_quicker_is_not_told_that_it_was_disabled(workspace, webhook):
    owe(workspace, 1)
    claimed = claim(9, alone=True)
    actions.deactivate(webhook, by=None)
    told = record([verdict(claimed, claimed.deliveries[0], Outcome.GONE)], claimed.now).told
    assert (list(told), WebhookState.objects.get().disabled_at) == ([], None)


def test_two_410_at_once_disable_once(workspace, webhook):
    owe(workspace, 2)
    claimed = claim(9, alone=True)
    told = record([verdict(claimed, one, Outcome.GONE) for one in claimed.deliveries], claimed.now).told
    assert [one.notice for one in told] == [Notice.DISABLED]
    after = Webhook.objects.get()
    assert (after.is_active, after.version) == (False, webhook.version + 1)


def test_a_new_callback_url_is_tried_at_once(workspace, webhook):
    now = queue.database_now()
    state(webhook, consecutive_failures=5, failing_since=now, paused_until=now + 60 * MINUTE, pauses=7)
    owe(workspace, 3)
    claim(100, alone=True)
    actions.change(webhook, {"callback_url": "http://127.0.0.1:8/"}, by=None)
    assert len(claim(100, alone=True).deliveries) == 1


def test_a_rate_limit_is_held_at_the_claim_and_hides_nobody(workspace, webhook):
    Webhook.objects.update(rate_limit=4)
    make_webhook(workspace, name="other")
    owe(workspace, 6)
    now = queue.database_now()

    def taken(seconds):
        claimed = claim(100, alone=False, now=now + timedelta(seconds=seconds))
        return Counter(delivery.webhook.name for delivery in claimed.deliveries)

    # A quarter of a second's worth may be made up for.
    assert taken(0) == {"CRM": 2, "other": 6}
    assert taken(0.1) == {}
    assert taken(0.5) == {"CRM": 2}
    assert WebhookState.objects.get().sendable_at > now + timedelta(seconds=0.5)


def test_the_sweep_warns_of_a_webhook_that_is_paused_for_hours(workspace, webhook, settings):
    now = queue.database_now()
    settings.WEBHOOKS = {**settings.WEBHOOKS, "DISABLE_AFTER": 100}
    ill = {"consecutive_failures": 9, "paused_until": now + 60 * MINUTE, "told": 1}
    state(webhook, failing_since=now - timedelta(seconds=49), **ill)
    assert queue.remind(now) == 0
    assert queue.remind(now + timedelta(seconds=2)) == 1
    assert WebhookState.objects.get().notice == "half"
    assert queue.remind(now + timedelta(seconds=3)) == 0
    assert queue.remind(now + timedelta(seconds=45)) == 1
    assert WebhookState.objects.get().notice == "nearly"


def test_each_webhook_may_have_a_retry_schedule_of_its_own(workspace, webhook, receiver):
    receiver.answer = lambda request: (500, {}, b"")
    Webhook.objects.update(retry_schedule=[700], callback_url=receiver.url)
    owe(workspace, 1)
    drain(linger=0)
    wait = Delivery.objects.get().due_at - Attempt.objects.get().started_at
    assert timedelta(seconds=700) <= wait < timedelta(seconds=710)


def test_nothing_stays_parked_when_a_webhook_is_switched_off_and_on_during_claims(
    workspace, webhook, receiver
):
    Webhook.objects.update(callback_url=receiver.url)
    errors, done = [], threading.Event()

    def switch():
        try:
            mine = Webhook.objects.get()
            while not done.is_set():
                actions.deactivate(mine, by=None)
                actions.activate(mine, by=None)
        except Exception as error:  # noqa: BLE001  the test must see it
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=switch)
    thread.start()
    try:
        for _ in range(20):
            owe(workspace, 3)
            drain(linger=0)
    finally:
        done.set()
        thread.join(30)
    assert errors == []
    queue.unpark()
    drain(linger=0)
    # Some were emitted while it was off; what was owed has arrived.
    assert not Delivery.objects.exclude(status="succeeded").exists()
    assert Delivery.objects.count() == len({one.headers["X-Webhook-Delivery"] for one in receiver.requests})


def test_states_written_in_opposite_order_do_not_deadlock(workspace):
    for number in range(8):
        make_webhook(workspace, name=str(number))
    owe(workspace, 30)

    def work(backwards):
        for _ in range(12):
            claimed = claim(40, alone=False)
            rows = list(reversed(claimed.deliveries)) if backwards else claimed.deliveries
            record([failed(claimed, one) for one in rows], claimed.now)

    at_once(partial(work, False), partial(work, True))
    charged = sum(WebhookState.objects.values_list("consecutive_failures", flat=True))
    assert charged == Attempt.objects.filter(late=False).count() > 0
