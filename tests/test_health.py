from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from webhooks.health import (
    DRIP_STEP,
    Change,
    Health,
    Notice,
    after_activation,
    after_failure,
    after_gone,
    after_success,
    pause_length,
    reminded,
)

NOW = datetime(2026, 1, 31, 9, tzinfo=timezone.utc)
DAY = timedelta(days=1)
FIVE_DAYS = 5 * DAY


def failing(seconds, failures, **changes):
    return Health(consecutive_failures=failures, failing_since=NOW - timedelta(seconds=seconds), **changes)


def fail(health, now=NOW):
    return after_failure(health, now, FIVE_DAYS)


def test_the_first_failure_only_starts_the_count():
    assert fail(Health()) == Change(Health(consecutive_failures=1, failing_since=NOW))


@pytest.mark.parametrize(
    ("seconds", "failures_before", "pauses"),
    [(30, 4, True), (29, 4, False), (30, 3, False), (3600, 3, False)],
)
def test_a_pause_opens_after_five_failures_that_last_for_half_a_minute(seconds, failures_before, pauses):
    change = fail(failing(seconds, failures_before))
    assert (change.health.paused_until is not None) is pauses
    assert (change.notice is Notice.FAILING) is pauses


def test_pauses_double_from_a_minute_to_a_day():
    lengths = [pause_length(number) / timedelta(minutes=1) for number in range(13)]
    assert lengths == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1440, 1440]
    assert pause_length(30000) == DAY


def test_a_failed_probe_doubles_the_pause_and_tells_nobody_twice():
    paused = failing(60, 5, paused_until=NOW, pauses=1, told=1)
    change = fail(paused)
    assert change.health.paused_until == NOW + timedelta(minutes=2)
    assert (change.health.pauses, change.notice) == (2, None)


def test_what_was_in_flight_when_the_pause_began_does_not_lengthen_it():
    paused = failing(60, 5, paused_until=NOW + timedelta(seconds=50), pauses=1, told=1)
    assert fail(paused).health == replace(paused, consecutive_failures=6)


def test_a_success_ends_the_pause_and_lets_the_backlog_drip():
    change = after_success(failing(60, 9, paused_until=NOW, pauses=3, told=2), cap=4)
    assert change.notice is Notice.RECOVERED
    assert change.health == Health(pauses=3, drip=1, drip_successes=1)


def test_the_drip_widens_with_successes_until_it_is_no_drip_any_more():
    health, widths = after_success(failing(60, 9, paused_until=NOW, pauses=3), cap=4).health, []
    for _ in range(3 * DRIP_STEP):
        widths.append(health.drip)
        health = after_success(health, cap=4).health
    assert (health, set(widths)) == (Health(), {1, 2, 3, None})
    assert widths == sorted(widths, key=lambda width: width or 9)


def test_a_failure_in_the_drip_narrows_it_to_one():
    assert fail(Health(drip=3, drip_successes=4, pauses=2)).health.drip == 1


def test_a_recovery_that_nobody_was_told_of_is_not_told_either():
    assert after_success(failing(3, 2), cap=8) == Change(Health())


@pytest.mark.parametrize(("share", "told", "notice"), [
    (0.49, 1, None), (0.5, 1, Notice.HALF), (0.5, 0, Notice.HALF), (0.7, 2, None),
    (0.9, 2, Notice.NEARLY), (0.95, 0, Notice.NEARLY), (0.95, 3, None),
])  # fmt: skip
def test_owners_are_warned_at_half_and_at_nine_tenths_of_the_time(share, told, notice):
    health = failing(share * FIVE_DAYS.total_seconds(), 9, told=told, pauses=9)
    assert reminded(health, NOW, FIVE_DAYS).notice is notice


def test_a_webhook_that_fails_for_all_of_the_time_is_disabled():
    almost = failing(FIVE_DAYS.total_seconds() - 1, 9, paused_until=NOW, pauses=20, told=3)
    assert fail(almost).notice is None
    assert fail(almost, NOW + timedelta(seconds=1)).notice is Notice.DISABLED


def test_a_failure_months_after_another_disables_nothing():
    quiet = failing(60 * DAY.total_seconds(), 1)
    assert fail(quiet).notice is Notice.NEARLY
    assert fail(failing(60 * DAY.total_seconds(), 4)).notice is Notice.DISABLED


def test_a_410_disables_at_once_and_the_recovery_will_be_told():
    change = after_gone(Health(), NOW)
    assert change == Change(Health(consecutive_failures=1, failing_since=NOW, told=1), Notice.DISABLED)


def test_activation_forgets_everything_but_that_one_delivery_must_show_the_way():
    ill = failing(9, 9, paused_until=NOW + DAY, pauses=5, told=3, drip=2)
    assert after_activation(ill, NOW) == Change(Health(paused_until=NOW, told=1))
    assert after_activation(Health(drip=2, pauses=3), NOW) == Change(Health())
