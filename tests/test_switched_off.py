"""What still arrives of a webhook that has been switched off."""

import pytest

from tests.factories import make_webhook, make_workspace
from tests.test_pauses import failed, state, verdict
from webhooks import actions, queue
from webhooks.events import emit
from webhooks.health import Notice
from webhooks.models import WebhookState
from webhooks.queue import claim, record
from webhooks.retry import Outcome

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def webhook():
    return make_webhook(make_workspace())


@pytest.fixture
def in_flight(webhook):
    for _ in range(2):
        emit("order.created", workspace=webhook.workspace, data={})
    return claim(9, alone=True)


def test_a_success_after_a_410_does_not_tell_the_owners_that_all_is_well(webhook, in_flight):
    first, second = in_flight.deliveries
    record([verdict(in_flight, first, Outcome.GONE, error_kind="http_4xx", status_code=410)], in_flight.now)
    assert record([verdict(in_flight, second, Outcome.SUCCESS)], in_flight.now).told == []
    after = WebhookState.objects.get()
    assert (after.notice, after.told) == ("disabled", 1)
    webhook.refresh_from_db()
    actions.activate(webhook, by=None)
    emit("order.created", workspace=webhook.workspace, data={})
    probe = claim(9, alone=True)
    told = record([verdict(probe, probe.deliveries[0], Outcome.SUCCESS)], probe.now).told
    assert [one.notice for one in told] == [Notice.RECOVERED]


def test_a_failure_after_it_was_switched_off_counts_no_warning_as_given(webhook, in_flight):
    now = queue.database_now()
    state(webhook, consecutive_failures=9, failing_since=now - queue.SWEEP_INTERVAL)
    actions.deactivate(webhook, by=None)
    told = record([failed(in_flight, one) for one in in_flight.deliveries], in_flight.now).told
    after = WebhookState.objects.get()
    assert (told, after.notice, after.told) == ([], "", 0)


def test_switching_on_and_off_again_forgets_neither_the_failure_nor_what_was_told(webhook):
    now = queue.database_now()
    state(webhook, consecutive_failures=9, failing_since=now, told=2)
    for _ in range(2):
        actions.deactivate(webhook, by=None)
        actions.activate(webhook, by=None)
    for _ in range(3):
        emit("order.created", workspace=webhook.workspace, data={})
    assert WebhookState.objects.get().told == 1
    assert len(claim(9, alone=True).deliveries) == 1
