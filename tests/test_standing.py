"""One word and two sentences for each way in which a webhook can stand."""

from datetime import datetime, timedelta, timezone

import pytest
from django.utils import timezone as current

from webhooks.models import Webhook, WebhookState
from webhooks.standing import clock, disabled_on, last_error, paused_until, remaining, standing

NOW = datetime(2026, 1, 31, 9, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def found(*, is_active=True, **state):
    return standing(Webhook(is_active=is_active), WebhookState(**state), NOW)


@pytest.mark.parametrize(
    ("fields", "kind", "label", "well"),
    [
        ({}, "active", "Active", True),
        ({"consecutive_failures": 1, "failing_since": NOW}, "failing", "Failing", False),
        ({"consecutive_failures": 1, "failing_since": NOW, "drip": 1}, "failing", "Failing", False),
        ({"consecutive_failures": 5, "paused_until": NOW + MINUTE}, "paused", "Paused", False),
        ({"consecutive_failures": 5, "paused_until": NOW}, "recovering", "Recovering", False),
        ({"drip": 2}, "recovering", "Recovering", False),
        ({"is_active": False}, "inactive", "Inactive", True),
        ({"is_active": False, "paused_until": NOW + MINUTE}, "inactive", "Inactive", True),
        ({"is_active": False, "disabled_at": NOW}, "disabled", "Disabled", False),
        # Activated by something that knows nothing of health (an import): what is sent to is not disabled.
        ({"disabled_at": NOW}, "active", "Active", True),
    ],
)
def test_one_word_says_how_it_stands(fields, kind, label, well):
    stands = found(**fields)
    assert (stands.kind, stands.label, stands.is_well) == (kind, label, well)


@pytest.mark.parametrize(("is_active", "kind"), [(True, "active"), (False, "inactive")])
def test_no_state_means_healthy(is_active, kind):
    assert standing(Webhook(is_active=is_active), None, NOW).kind == kind


def test_the_sentences_say_since_when_and_what_comes():
    since = NOW - timedelta(minutes=5)
    assert found(consecutive_failures=1, failing_since=since).sentence == "The last attempt failed at 08:55."
    paused = found(consecutive_failures=7, failing_since=since, paused_until=NOW + 12 * MINUTE)
    assert paused.sentence == "7 attempts in a row have failed since 08:55."
    following = "Paused until 09:12 (in 12 minutes), then one delivery is tried."
    assert paused.following.replace("\xa0", " ") == following
    probing = found(consecutive_failures=7, failing_since=since, paused_until=since)
    assert probing.following.startswith("The pause is over: one delivery is tried")
    activated = found(paused_until=NOW)
    assert activated.sentence == "Attempts failed before it was activated."
    disabled = found(is_active=False, disabled_at=NOW, disabled_because="The receiver answered 410 Gone.")
    assert disabled.sentence == "Switched off at 09:00: The receiver answered 410 Gone."
    assert "check “Status” and save" in disabled.following


def test_times_are_the_readers_and_carry_the_date_unless_it_is_today():
    with current.override(timezone(timedelta(hours=2))):
        assert clock(NOW, NOW) == "11:00"
        assert clock(NOW - timedelta(hours=12), NOW) == "2026-01-30 23:00"
        assert clock(NOW - timedelta(hours=11), NOW) == "00:00"


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (7300, "2 hours")]
)
def test_what_remains_is_told_in_one_unit(seconds, text):
    assert remaining(NOW + timedelta(seconds=seconds), NOW).replace("\xa0", " ") == text


def test_the_last_error_is_told_only_while_something_is_wrong():
    state = WebhookState(error_kind="http_4xx", status_code=404)
    assert last_error(state) is None
    state.consecutive_failures = 1
    assert last_error(state).advice.startswith("Check the path of the callback URL")
    gone = WebhookState(error_kind="http_4xx", status_code=410, disabled_at=NOW)
    assert last_error(gone).advice.startswith("Activate the webhook again")
    assert last_error(WebhookState(error_kind="of a later version", consecutive_failures=1)) is None


def test_only_an_active_webhook_with_a_pause_ahead_is_paused():
    webhook = Webhook(pk=1)
    assert paused_until(Webhook(), NOW) is None
    webhook.state = WebhookState(paused_until=NOW + MINUTE)
    assert paused_until(webhook, NOW) == NOW + MINUTE
    assert paused_until(webhook, NOW + MINUTE) is None
    webhook.is_active = False
    assert paused_until(webhook, NOW) is None


def test_when_a_failing_webhook_is_disabled():
    assert disabled_on(WebhookState(failing_since=NOW), timedelta(days=5)) == NOW + timedelta(days=5)
    assert disabled_on(WebhookState(), timedelta(days=5)) is None
