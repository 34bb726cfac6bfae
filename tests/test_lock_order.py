"""Who waits for a row holds none that comes after it: so nobody waits for somebody who waits for him.

The order is deliveries, webhooks' states, webhooks, each by id. Every test holds the first row that somebody needs
and looks whether the rows that come later are still free.
"""

import threading
from contextlib import contextmanager

import pytest
from django.db import connection, connections, transaction

from tests.concurrency import beside
from tests.factories import make_webhook, make_workspace
from webhooks import actions
from webhooks.events import emit
from webhooks.models import Attempt, Delivery, Webhook, WebhookState
from webhooks.queue import Verdict, claim, record
from webhooks.retry import Outcome

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _several_writers():
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer")


@pytest.fixture
def webhooks():
    workspace = make_workspace()
    made = [make_webhook(workspace, name=str(number)) for number in range(4)]
    emit("order.created", workspace=workspace, data={})
    return made


def recording(outcome=Outcome.TRANSIENT):
    """Claim what is due; return what records it, in the opposite order of the ids."""
    claimed = claim(9, alone=True)
    verdicts = [verdict(claimed, delivery, outcome) for delivery in claimed.deliveries]
    verdicts.sort(key=lambda one: one.attempt.delivery_id, reverse=True)
    return lambda: record(verdicts, claimed.now)


def verdict(claimed, delivery, outcome):
    attempt = Attempt(
        delivery_id=delivery.pk, number=1, started_at=claimed.now, duration_ms=1, outcome=outcome.value
    )
    return Verdict(
        claim=claimed.token,
        attempt=attempt,
        outcome=outcome,
        status="pending" if outcome is Outcome.TRANSIENT else "failed",
        ended_because="" if outcome is Outcome.TRANSIENT else "gone",
        due_at=claimed.now if outcome is Outcome.TRANSIENT else None,
    )


@contextmanager
def waiting_behind(hold, work):
    """Yield, in the transaction that did `hold`, while `work` waits for it in a thread; it must end well later."""
    with beside(work) as start:
        hold()
        assert not start()
        yield


def lock(rows, **options):
    assert list(rows.select_for_update(**options))


def states_in_opposite_order(webhooks):
    """Write the states so that the table holds them in the opposite order of their ids."""
    for webhook in reversed(webhooks):
        WebhookState.objects.create(webhook=webhook)


def test_states_are_locked_in_the_order_of_their_ids(webhooks):
    states_in_opposite_order(webhooks)
    first = WebhookState.objects.filter(webhook=webhooks[0])
    with waiting_behind(lambda: lock(first), recording()):
        lock(WebhookState.objects.exclude(webhook=webhooks[0]), nowait=True)
    assert set(WebhookState.objects.values_list("consecutive_failures", flat=True)) == {1}


def test_missing_states_are_made_in_the_order_of_their_ids(webhooks):
    def make(webhook):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
        WebhookState.objects.create(webhook=webhook)

    with waiting_behind(lambda: make(webhooks[0]), recording()):
        make(webhooks[-1])
    assert set(WebhookState.objects.values_list("consecutive_failures", flat=True)) == {1}


def test_deliveries_are_locked_in_the_order_of_their_ids(webhooks):
    work = recording()
    first = Delivery.objects.earliest("pk").pk
    with waiting_behind(lambda: lock(Delivery.objects.filter(pk=first)), work):
        lock(Delivery.objects.exclude(pk=first), nowait=True)


def test_deliveries_are_locked_before_states(webhooks):
    states_in_opposite_order(webhooks)
    work = recording()
    with waiting_behind(lambda: lock(Delivery.objects.all()), work):
        lock(WebhookState.objects.all(), nowait=True)


@pytest.mark.parametrize("doing", ["gone", "activate", "change"])
def test_states_are_locked_before_webhooks(webhooks, doing):
    states_in_opposite_order(webhooks)
    webhook = webhooks[0]
    if doing != "gone":
        actions.deactivate(webhook, by=None)
    work = {
        "gone": recording(Outcome.GONE),
        "activate": lambda: actions.activate(webhook, by=None),
        "change": lambda: actions.change(webhook, {"is_active": True, "name": "Other"}, by=None),
    }[doing]
    with waiting_behind(lambda: lock(WebhookState.objects.all()), work):
        lock(Webhook.objects.all(), nowait=True, no_key=True)
    webhook.refresh_from_db()
    assert webhook.is_active == (doing != "gone")


def test_webhooks_are_locked_in_the_order_of_their_ids(webhooks):
    first = Webhook.objects.filter(pk=webhooks[0].pk)
    with waiting_behind(lambda: lock(first, no_key=True), recording(Outcome.GONE)):
        lock(Webhook.objects.exclude(pk=webhooks[0].pk), nowait=True, no_key=True)
    assert not Webhook.objects.filter(is_active=True).exists()


def test_switching_webhooks_off_stops_no_emit(webhooks):
    emitted = threading.Event()

    def emitting():
        emit("order.created", workspace=webhooks[0].workspace, data={})
        emitted.set()
        connections.close_all()

    work = recording(Outcome.GONE)
    thread = threading.Thread(target=emitting)
    with transaction.atomic():
        work()
        thread.start()
        in_time = emitted.wait(10)
    thread.join(30)
    assert in_time
