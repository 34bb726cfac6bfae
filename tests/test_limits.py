import math

import pytest
from django.core.exceptions import ValidationError

from tests.factories import make_workspace
from webhooks import limits
from webhooks.models import Webhook


@pytest.mark.parametrize("seconds", [0.001, 2.5, 15])
def test_a_timeout_is_more_than_nothing_and_no_more_than_the_projects(seconds):
    assert limits.timeout_error(seconds, 15) is None


@pytest.mark.parametrize("seconds", [0, -1, 15.001, math.nan, math.inf, "5"])
def test_any_other_timeout_is_told_the_bounds(seconds):
    assert limits.timeout_error(seconds, 15) == "Give more than 0 and at most 15 seconds."


@pytest.mark.parametrize("delays", [[1], [86400], [5, 60.5], [1] * 20])
def test_a_schedule_is_up_to_20_delays_of_a_second_to_a_day(delays):
    assert limits.retry_schedule_error(delays) is None


@pytest.mark.parametrize(
    ("delays", "message"),
    [
        ([], "1 to 20 delays"),
        ([1] * 21, "1 to 20 delays"),
        ("5s", "1 to 20 delays"),
        ({"a": 1}, "1 to 20 delays"),
        (5, "1 to 20 delays"),
        ([0.999], "from 1 to 86400 seconds"),
        ([86401], "from 1 to 86400 seconds"),
        ([5, -1], "from 1 to 86400 seconds"),
        ([math.nan], "from 1 to 86400 seconds"),
        ([True], "from 1 to 86400 seconds"),
        (["5"], "from 1 to 86400 seconds"),
        ([None], "from 1 to 86400 seconds"),
        ([[5]], "from 1 to 86400 seconds"),
    ],
)
def test_any_other_schedule_is_told_why(delays, message):
    assert message in limits.retry_schedule_error(delays)


def test_a_rate_lies_between_one_in_100_seconds_and_1000_a_second():
    assert [limits.rate_limit_error(rate) for rate in (0.01, 5, 1000)] == [None] * 3
    for rate in (0, 0.009, 1000.1, -1, math.nan, math.inf, "5"):
        assert limits.rate_limit_error(rate) == "Give between 0.01 and 1000 requests per second."


def test_a_webhook_has_no_more_in_flight_than_the_project_allows():
    assert [limits.max_in_flight_error(count, 8) for count in (1, 8)] == [None] * 2
    for count in (0, 9, -1, 1.5, "1"):
        assert limits.max_in_flight_error(count, 8) == "Give a whole number between 1 and 8."


def test_a_stored_timeout_is_used_within_the_projects_bound():
    assert limits.within(2.5, 15) == 2.5
    assert [limits.within(seconds, 15) for seconds in (None, 16, 0, -1, math.nan, math.inf)] == [None] * 6


@pytest.mark.django_db
def test_clean_answers_by_field(settings):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "TIMEOUT": 10, "CONNECT_TIMEOUT": 2, "IN_FLIGHT_PER_WEBHOOK": 4}
    webhook = Webhook(workspace=make_workspace(), name="CRM", callback_url="https://example.com/")
    webhook.full_clean()
    within = {"timeout": 10, "connect_timeout": 2, "retry_schedule": [5], "rate_limit": 1, "max_in_flight": 4}
    beyond = {"timeout": 11, "connect_timeout": 3, "retry_schedule": [0], "rate_limit": 0, "max_in_flight": 5}
    for name, value in within.items():
        setattr(webhook, name, value)
    webhook.full_clean()
    for name, value in beyond.items():
        setattr(webhook, name, value)
    with pytest.raises(ValidationError) as caught:
        webhook.full_clean()
    assert set(caught.value.message_dict) == set(beyond)
    webhook.timeout, webhook.max_in_flight = "soon", "many"
    with pytest.raises(ValidationError):
        webhook.full_clean()
