"""A database that is full or read-only: nothing is sent without a claim that lasts, and nothing is lost."""

import logging
import threading
from contextlib import ExitStack

import pytest
from django.db import DatabaseError, transaction

from tests.conftest import missing
from tests.factories import make_webhook, make_workspace
from tests.unwritable import full_disk, read_only
from webhooks import queue
from webhooks.engine import drain
from webhooks.events import NewEvent, emit, emit_many
from webhooks.models import Attempt, Delivery, Event

pytestmark = pytest.mark.django_db(transaction=True)

WEBHOOKS = 8
EVENTS = 30
TEXT = "x" * 4000


@pytest.fixture
def workspace(receiver):
    workspace = make_workspace()
    for number in range(WEBHOOKS):
        make_webhook(workspace, name=str(number), callback_url=receiver.url)
    return workspace


@pytest.fixture
def owed(workspace):
    return emit_many([NewEvent("order.created", workspace, {"n": number}) for number in range(EVENTS)])


@pytest.fixture(params=[read_only, full_disk])
def unwritable(request):
    with ExitStack() as stack:
        try:
            fault = stack.enter_context(request.param())
        except OSError as error:
            missing(f"no disk of its own can be made: {error}")
        yield fault
        fault.off()


def all_recorded(receiver):
    """Whether every delivery has arrived and is recorded, each once."""
    arrived = [int(request.headers["X-Webhook-Delivery"]) for request in receiver.requests]
    rows = Delivery.objects.filter(status="succeeded", attempt_count=1, lost_claims=0)
    assert sorted(arrived) == sorted(rows.values_list("pk", flat=True))
    assert Attempt.objects.filter(late=False).count() == len(arrived) == Delivery.objects.count()
    return True


@pytest.mark.parametrize("moment", ["clear_wake", "claim"])
def test_nothing_is_sent_that_could_not_be_claimed(owed, unwritable, receiver, monkeypatch, moment):
    call = getattr(queue, moment)

    def meanwhile(*arguments, **options):
        unwritable.on()
        return call(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(DatabaseError):
        patch.setattr(queue, moment, meanwhile)
        drain(linger=0)
    assert receiver.requests == []
    unwritable.off()
    untouched = Delivery.objects.filter(status="pending", claim=None, lost_claims=0, attempt_count=0)
    assert untouched.count() == WEBHOOKS * EVENTS
    assert drain(linger=0) == WEBHOOKS * EVENTS
    assert all_recorded(receiver)


def test_what_was_sent_meanwhile_is_recorded_once_it_can_be(owed, unwritable, receiver, caplog):
    first, broken = threading.Lock(), threading.Event()

    def answer(request):
        if first.acquire(blocking=False):
            unwritable.on()
            broken.set()
        broken.wait(20)
        return 200, {}, TEXT.encode()

    class Recovers(logging.Handler):
        """The database can be written to again as soon as the drain has noticed that it cannot."""

        def emit(self, record):
            if "trying again" in record.getMessage():
                unwritable.off()

    receiver.answer = answer

    handler = Recovers()
    logging.getLogger("webhooks").addHandler(handler)
    try:
        assert drain(linger=0) == WEBHOOKS * EVENTS
    finally:
        logging.getLogger("webhooks").removeHandler(handler)
    assert "trying again" in caplog.text
    assert all_recorded(receiver)


def test_an_emit_that_cannot_be_stored_fails_and_leaves_nothing(workspace, unwritable, receiver):
    unwritable.on()
    with pytest.raises(DatabaseError), transaction.atomic():
        emit_many([NewEvent("order.created", workspace, {"text": TEXT}) for _ in range(10 * EVENTS)])
    unwritable.off()
    assert not Event.objects.exists()
    assert not Delivery.objects.exists()
    emit("order.created", workspace=workspace, data={})
    assert drain(linger=0) == WEBHOOKS
    assert all_recorded(receiver)
