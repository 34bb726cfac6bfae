"""Every attempt of a delivery sends the same event: the same id and bytes, under a timestamp of its own."""

from datetime import timedelta
from decimal import Decimal

import pytest
import standardwebhooks
import svix.webhooks
from django.db import connection

from tests.factories import make_webhook, make_workspace
from webhooks import actions, encoding, queue, signing
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)

TEN_MINUTES = timedelta(minutes=10)
DATA = {
    "z": 1.10,
    "a": [1e2, 1e-7, Decimal("1.10"), 2**70],
    "nul": "\x00",
    "é": "日本 🎉 \u2028",
    "b": {"y": 1, "x": 2},
}
TEXT = (
    '{"z":1.1,"a":[100.0,1e-07,"1.10",1180591620717411303424],"nul":"\\u0000",'
    '"é":"日本 🎉 \u2028","b":{"y":1,"x":2}}'
)


@pytest.fixture
def workspace():
    return make_workspace()


def drain_at(moment):
    Delivery.objects.filter(status="pending").update(due_at=moment - timedelta(seconds=1))
    assert drain(linger=0, clock=lambda: moment) == Delivery.objects.count()


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("content_type", encoding.BUILT_IN)
def test_every_attempt_sends_the_same_bytes(workspace, receiver, method, content_type):
    receiver.answer = lambda request: (500, {}, b"")
    make_webhook(
        workspace,
        callback_url=receiver.url,
        method=method,
        content_type=content_type,
        secret="s",
        max_attempts=2,
    )
    event = emit("order.created", workspace=workspace, data=DATA)
    now = queue.database_now()
    drain_at(now)
    # A later name of the workspace is none of this event's.
    type(workspace).objects.update(slug="renamed")
    drain_at(now + TEN_MINUTES)
    actions.redeliver(Delivery.objects.all(), by=None)
    drain_at(now + 24 * TEN_MINUTES)
    sent = [(request.path, request.body) for request in receiver.requests]
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert len({request.headers["X-Signature"] for request in receiver.requests}) == 1
    assert event.data == TEXT
    if (method, content_type) == ("POST", encoding.JSON):
        assert sent[0][1].endswith(b',"workspace":"acme","data":' + TEXT.encode() + b"}")


def test_what_is_stored_is_sent_as_it_stands(workspace, receiver):
    """Numbers and spaces that Python would write differently, as another program may have stored them."""
    make_webhook(workspace, callback_url=receiver.url)
    event = emit("order.created", workspace=workspace, data={})
    stored = '{"b": 1.10, "a":1E2 ,"a":2,"c":"\\u00e9"}'
    with connection.cursor() as cursor:
        cursor.execute("UPDATE webhooks_event SET data = %s", [stored])
    assert drain(linger=0) == 1
    assert receiver.requests[0].body.endswith(b'"data":' + stored.encode() + b"}")
    assert receiver.requests[0].headers["webhook-id"] == str(event.pk)


@pytest.mark.parametrize("verifier", [standardwebhooks.Webhook, svix.webhooks.Webhook])
def test_a_retry_after_ten_minutes_has_the_same_id_and_a_timestamp_that_verifies(
    workspace, receiver, verifier
):
    answers = iter([500, 200])
    receiver.answer = lambda request: (next(answers), {}, b"")
    secret = signing.generate_secret()
    make_webhook(workspace, callback_url=receiver.url, secret=secret)
    event = emit("order.created", workspace=workspace, data=DATA)
    now = queue.database_now()
    drain_at(now - TEN_MINUTES)
    drain_at(now)
    first, second = (
        {name.lower(): value for name, value in request.headers.items()} for request in receiver.requests
    )
    assert first["webhook-id"] == second["webhook-id"] == str(event.pk)
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == pytest.approx(600, abs=2)
    body = receiver.requests[1].body
    verifier(secret).verify(body, second)
    with pytest.raises((standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError)):
        verifier(secret).verify(body, first)
