from datetime import datetime, timedelta, timezone

from webhooks.rate import allowed, spent

NOW = datetime(2026, 1, 31, 9, tzinfo=timezone.utc)


def sent_over(seconds, rate, polls_per_second):
    """How many requests a limit lets through when as many are always waiting."""
    memory, total = None, 0
    for poll in range(int(seconds * polls_per_second)):
        now = NOW + timedelta(seconds=poll / polls_per_second)
        count = allowed(memory, rate, now)
        memory = spent(memory, rate, now, count)
        total += count
    return total


def test_the_rate_is_kept_however_often_it_is_asked():
    for polls_per_second in (4, 7, 20, 1000):
        assert 50 * 20 - 1 <= sent_over(20, 50, polls_per_second) <= 50 * 20 * 1.02


def test_a_rate_below_one_lets_the_first_through_at_once_and_the_next_in_its_time():
    assert sent_over(99, 0.1, 20) == 10


def test_a_silence_is_no_licence_to_flood():
    assert allowed(NOW - timedelta(hours=1), 100, NOW) == 26
    assert allowed(None, 100, NOW) == 26


def test_nothing_is_allowed_before_the_time():
    later = spent(NOW, 10, NOW, 5)
    assert later == NOW + timedelta(seconds=0.5)
    assert allowed(later, 10, NOW) == 0
    assert allowed(later, 10, later) == 1
