from datetime import datetime, timedelta, timezone

import pytest
import requests

from webhooks.exceptions import InvalidRequest, SendError, SendTimeout
from webhooks.retry import Outcome, Schedule, judge, next_due_at, parse_retry_after

NOW = datetime(2026, 1, 31, 9, 0, tzinfo=timezone.utc)
SCHEDULE = Schedule(delays=(5, 60, 300), jitter=0.2)


def answer(status: int) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    return response


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, Outcome.SUCCESS) for status in (200, 201, 204, 299)),
        *(
            (status, Outcome.TRANSIENT)
            for status in (300, 301, 302, 307, 308, 400, 401, 404, 409, 422, 429, 500, 503, 599)
        ),
        (410, Outcome.GONE),
    ],
)
def test_the_status_decides(status, outcome):
    assert judge(answer(status)) is outcome


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (SendError("dns", "no"), Outcome.TRANSIENT),
        (SendError("refused_address", "a name that leads inside"), Outcome.TRANSIENT),
        (SendTimeout("timeout", "no"), Outcome.TRANSIENT),
        (InvalidRequest("bad_url", "no"), Outcome.PERMANENT),
        (InvalidRequest("refused_address", "a literal address"), Outcome.PERMANENT),
    ],
)
def test_an_error_is_transient_unless_no_request_could_be_built(error, outcome):
    assert judge(error) is outcome


@pytest.mark.parametrize(("made", "seconds"), [(1, 5), (2, 60), (3, 300), (4, 300), (19, 300)])
def test_the_last_delay_repeats(made, seconds):
    assert next_due_at(SCHEDULE, made, 20, NOW, 0) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("made", [8, 9, 100])
def test_max_attempts_counts_every_try(made):
    assert next_due_at(SCHEDULE, made, 8, NOW, 0) is None
    assert next_due_at(SCHEDULE, 1, 1, NOW, 0) is None


@pytest.mark.parametrize(("jitter", "seconds"), [(-1, 48), (0, 60), (1, 72)])
def test_jitter_is_twenty_percent_each_way(jitter, seconds):
    assert next_due_at(SCHEDULE, 2, 8, NOW, jitter) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("1", 5),
        ("-1", 5),
        ("999999999", 86400),
        ("9" * 400, 86400),
        ("soon", 5),
        ("", 5),
        ("١٢", 5),
        ("Sat, 31 Jan 2026 09:02:00 GMT", 120),
        ("Sat, 31 Jan 2026 08:00:00 GMT", 5),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
        ("Sat, 31 Jan 2026 09:02:00", 120),
    ],
)
def test_retry_after_is_clamped_between_the_schedule_and_a_day(header, seconds):
    assert next_due_at(SCHEDULE, 1, 8, NOW, 0, header) == NOW + timedelta(seconds=seconds)


def test_retry_after_says_nothing_when_it_is_absent():
    assert parse_retry_after(None, NOW) is None
