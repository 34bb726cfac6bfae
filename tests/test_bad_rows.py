"""What a fixture or an `update()` wrote past the rules: it harms nobody else, and can be seen and mended."""

import math

import pytest

from tests.factories import make_webhook, make_workspace
from webhooks import limits
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "fields",
    [
        *(
            {"retry_schedule": schedule}
            for schedule in (["5"], [[5]], [None], [1e300], [-5], {"a": 1}, "5s", 5)
        ),
        *({"rate_limit": rate} for rate in (math.inf, -math.inf, 1e-300, -1, 0)),
        {"max_in_flight": 0},
        {"timeout": -1},
        {"max_attempts": 0},
    ],
)
def test_each_webhook_is_attempted_once_whatever_stands_in_the_row_of_one(receiver, fields):
    workspace = make_workspace()
    receiver.answer = lambda request: (500, {}, b"")
    webhooks = [make_webhook(workspace, name=name, callback_url=receiver.url) for name in ("bad", "good")]
    Webhook.objects.filter(name="bad").update(**fields)
    emit("order.created", workspace=workspace, data={})
    assert drain(linger=0) == 2
    assert [webhook.deliveries.get().attempt_count for webhook in webhooks] == [1, 1]
    assert len(receiver.requests) == 2


def test_a_bad_schedule_or_rate_counts_as_none():
    assert limits.delays_of([1, 2], (5,)) == [1, 2]
    assert limits.delays_of(None, (5,)) == limits.delays_of(["1"], (5,)) == (5,)
    assert limits.usable_rate(2) == 2
    assert {limits.usable_rate(rate) for rate in (None, 0, -1, math.nan, math.inf)} == {None}
