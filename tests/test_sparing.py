"""What a drain spares: work that was done already, and what its threads would take from each other."""

import gc

import pytest

from tests.factories import make_webhook
from webhooks import actions, encoding, engine, queue, signals
from webhooks.collector import THRESHOLD
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.exceptions import InvalidRequest
from webhooks.models import Delivery
from webhooks.transport.incoming import _parsed

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_is_written_once_for_all_that_get_it(workspace, receiver, settings):
    calls = []

    def encode(envelope):
        calls.append(envelope.id)
        return encoding.encode_json(envelope)

    settings.WEBHOOKS = {**settings.WEBHOOKS, "ENCODERS": {"text/x": f"{__name__}.encode"}}
    globals()["encode"] = encode
    for name in ("a", "b", "c"):
        make_webhook(workspace, name=name, callback_url=receiver.url, content_type="text/x")
    events = [emit("order.created", workspace=workspace, data={"n": number}) for number in range(2)]
    assert drain(linger=0) == 6
    assert sorted(calls) == sorted(str(event.pk) for event in events)
    assert len({request.body for request in receiver.requests}) == 2


class Encoder:
    """What a project may have: it has an order, and no hash."""

    def __eq__(self, other):
        return self is other

    def __call__(self, envelope):
        return encoding.encode_json(envelope)


unhashable = Encoder()


def test_an_encoder_needs_no_hash(workspace, receiver, settings):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "ENCODERS": {"text/x": f"{__name__}.unhashable"}}
    make_webhook(workspace, callback_url=receiver.url, content_type="text/x")
    emit("order.created", workspace=workspace, data={})
    assert drain(linger=0) == 1
    assert Delivery.objects.get().status == "succeeded"


def test_what_cannot_be_sent_keeps_nothing_else_alive(workspace, receiver, monkeypatch):
    seen = []
    judged = engine.judged
    monkeypatch.setattr(engine, "judged", lambda one, jitter: seen.append(one.result) or judged(one, jitter))
    make_webhook(workspace, callback_url=receiver.url, content_type="text/unknown")
    emit("order.created", workspace=workspace, data={})
    assert drain(linger=0) == 1
    [error] = seen
    assert isinstance(error, InvalidRequest)
    assert error.__traceback__ is None


def test_a_webhook_is_made_anew_only_when_its_row_has_changed(workspace):
    webhook = make_webhook(workspace)
    made = []
    for _ in range(3):
        emit("order.created", workspace=workspace, data={})
        [delivery] = queue.claim(1, alone=True).deliveries
        made.append(delivery.webhook)
        Delivery.objects.all().delete()
        if len(made) == 2:
            actions.rotate_secret(webhook, by=None, secret="new-secret")
    assert made[0] is made[1]
    assert made[2] is not made[1]
    assert made[2].secret == "new-secret"


def test_while_a_drain_runs_the_collector_is_patient_and_the_turn_its_own(workspace, receiver, monkeypatch):
    drains, seen = [], []
    monkeypatch.setattr(engine.Drain, "step", noted(engine.Drain.step, drains))

    def look(**_):
        seen.append((gc.get_threshold()[0], drains[-1].sender.turns._turn.locked()))

    make_webhook(workspace, callback_url=receiver.url)
    emit("order.created", workspace=workspace, data={})
    before = gc.get_threshold()
    signals.attempt_finished.connect(look)
    try:
        assert drain(linger=0) == 1
    finally:
        signals.attempt_finished.disconnect(look)
    assert seen == [(THRESHOLD, True)]
    assert gc.get_threshold() == before
    assert not drains[-1].sender.turns._turn.locked()


def noted(step, drains):
    def noting(drain):
        drains.append(drain)
        return step(drain)

    return noting


def test_header_lines_that_come_again_are_not_mixed_up():
    lines = [
        b"Set-Cookie: a=1\r\n",
        b"no colon\r\n",
        b"SET-COOKIE:b=2 \r\n",
        b"Set-Cookie: a=1\r\n",
        b"X: \xe9\r\n",
    ]
    for _ in range(2):
        headers = _parsed(lines)
        assert list(headers.items()) == [("Set-Cookie", "a=1, b=2, a=1"), ("X", "é")]
        headers["X"] = "changed"
