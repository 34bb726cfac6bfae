"""A backlog that cannot be sent keeps nobody else waiting."""

import threading
from collections import Counter
from datetime import timedelta
from itertools import count

import pytest
from django.db import connections, transaction

from tests.factories import make_webhook, make_workspace
from webhooks import queue
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Delivery, WebhookState
from webhooks.queue import candidates, claim

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def workspace(monkeypatch):
    monkeypatch.setattr(candidates, "HEAD", 20)
    return make_workspace()


def owe(workspace, kind, count):
    with transaction.atomic():
        for number in range(count):
            emit(kind, workspace=workspace, data={"n": number})


@pytest.mark.parametrize("kind", ["paused", "ordered", "inactive"])
def test_what_must_wait_hides_nobody(workspace, kind):
    waiting = make_webhook(workspace, name="waiting", patterns=["order.paid"], ordered=kind == "ordered")
    make_webhook(workspace, name="good", patterns=["order.created"])
    owe(workspace, "order.paid", 50)
    owe(workspace, "order.created", 3)
    if kind == "paused":
        now = queue.database_now()
        WebhookState.objects.create(webhook=waiting, paused_until=now + timedelta(hours=1))
    if kind == "inactive":
        type(waiting).objects.filter(pk=waiting.pk).update(is_active=False)
    claimed = claim(8, alone=False)
    assert [one.webhook.name for one in claimed.deliveries].count("good") == 3
    parked = Delivery.objects.filter(due_at=None)
    assert 19 <= parked.count() == claimed.touched - len(claimed.deliveries)
    while claim(8, alone=False).touched:
        pass
    assert parked.count() == (49 if kind == "ordered" else 50)


def test_no_more_is_taken_than_was_asked_for(workspace):
    for number in range(4):
        make_webhook(workspace, name=str(number), patterns=["order.created"])
    owe(workspace, "order.created", 2)
    assert len(claim(5, alone=False).deliveries) == 5


@pytest.fixture
def all_but_one_busy(workspace, monkeypatch):
    """More webhooks than a tour visits, of which only the last can take anything."""
    monkeypatch.setattr(candidates, "TOUR", 2)
    monkeypatch.setattr(candidates, "_last_visited", {False: 0, True: 0})
    for number in range(4):
        make_webhook(workspace, name=f"busy {number}", patterns=["order.paid"])
    make_webhook(workspace, name="free", patterns=["order.created"])
    owe(workspace, "order.paid", 30)
    while claim(100, alone=False).deliveries:
        pass


@pytest.mark.usefixtures("all_but_one_busy")
def test_the_look_goes_from_webhook_to_webhook_where_the_head_cannot_be_sent(workspace):
    """Three claims find the one that can."""
    owe(workspace, "order.created", 20)
    names = [[one.webhook.name for one in claim(100, alone=False).deliveries] for _ in range(4)]
    assert [found for found in names if found] == [["free"] * 8]
    assert names.index(["free"] * 8) <= 2


@pytest.mark.usefixtures("all_but_one_busy")
def test_looking_for_what_kills_workers_does_not_begin_the_tour_anew(workspace):
    """Another process sends all that can be sent, and a suspect waits for its time: so each claim asks for it first."""
    suspect = Delivery.objects.filter(claim=None).earliest("pk")
    later = queue.database_now() + timedelta(hours=1)
    Delivery.objects.filter(pk=suspect.pk).update(lost_claims=3, due_at=later)
    owe(workspace, "order.created", 20)
    names = [[one.webhook.name for one in claim(100, alone=True).deliveries] for _ in range(4)]
    assert ["free"] * 8 in names


def test_a_tour_keeps_the_cap_and_sends_what_fell_due_first(workspace):
    make_webhook(workspace, name="busy", patterns=["order.paid"])
    owe(workspace, "order.paid", 50)
    claim(100, alone=False)
    free = make_webhook(workspace, name="free", patterns=["order.created"])
    owe(workspace, "order.created", 12)
    # Two of them are among the earliest due rows of all: they are found there, the others behind them.
    first = list(Delivery.objects.filter(webhook=free).order_by("-pk").values_list("pk", flat=True)[:2])
    Delivery.objects.filter(pk__in=first).update(due_at=queue.database_now() - timedelta(hours=1))
    taken = [{one.pk for one in claim(100, alone=False).deliveries} for _ in range(3)]
    assert taken[0] == set(first)
    assert len(taken[1]) == 6
    assert not taken[1] & taken[0]
    assert not taken[2]


def test_a_tour_parks_what_an_ordered_webhook_must_send_later(workspace, monkeypatch):
    """Its first delivery falls due last: until the others are out of the way, no look would find it."""
    monkeypatch.setattr(candidates, "_last_visited", {False: 0, True: 0})
    make_webhook(workspace, name="busy", patterns=["order.paid"])
    owe(workspace, "order.paid", 50)
    claim(100, alone=False)
    one_by_one = make_webhook(workspace, name="ordered", patterns=["order.created"], ordered=True)
    owe(workspace, "order.created", 12)
    first = Delivery.objects.filter(webhook=one_by_one).earliest("pk")
    Delivery.objects.filter(pk=first.pk).update(due_at=queue.database_now())
    taken = [one.pk for _ in range(13) for one in claim(100, alone=False).deliveries]
    assert taken == [first.pk]


def test_a_workspaces_flood_hides_no_other_workspace(workspace):
    """Though the flood can be sent, and fell due before."""
    for number in range(5):
        make_webhook(workspace, name=str(number), patterns=["order.paid"])
    owe(workspace, "order.paid", 20)
    other = make_workspace("other")
    make_webhook(other, name="other", patterns=["order.created"])
    owe(other, "order.created", 3)
    names = [one.webhook.name for one in claim(6, alone=False).deliveries]
    assert names.count("other") == 3
    # They take turns: what the other is owed is not behind what was claimed with it.
    assert [name == "other" for name in names] in ([True, False] * 3, [False, True] * 3)


def test_no_workspace_has_more_than_its_share_of_a_worker(workspace):
    for number in range(2):
        make_webhook(workspace, name=str(number), patterns=["order.paid"])
    owe(workspace, "order.paid", 8)
    other = make_workspace("other")
    make_webhook(other, name="other", patterns=["order.created"])
    owe(other, "order.created", 3)

    def taken(held):
        claimed = claim(100, alone=False, share=queue.Share(5, held))
        return Counter(one.workspace for one in claimed.deliveries)

    assert taken({}) == {workspace: 5, other: 3}
    assert taken({workspace.pk: 5}) == {}
    assert taken({workspace.pk: 3}) == {workspace: 2}


def test_the_room_beside_a_share_is_not_kept_for_a_large_batch(workspace, receiver, settings):
    """One workspace’s requests hang, and one of another’s: what is left is too little for most, but not for a third."""
    settings.WEBHOOKS = {**settings.WEBHOOKS, "CONCURRENCY": 8, "TIMEOUT": 8}
    others = [make_workspace("second"), make_workspace("third")]
    make_webhook(workspace, callback_url=receiver.url, patterns=["order.created"])
    for other in others:
        make_webhook(other, callback_url=receiver.url, patterns=["order.created"])
    numbers, came, waited = count(1), threading.Event(), []

    def answer(request):
        number = next(numbers)
        # Each is emitted when all before are under way: the share of the first, and one of the second.
        if number == 6:
            emit_beside(others[0])
        elif number == 7:
            emit_beside(others[1])
        elif number == 8:
            came.set()
        waited.append(came.wait(6))
        return 200, {}, b""

    def emit_beside(other):
        emit("order.created", workspace=other, data={})
        connections.close_all()

    receiver.answer = answer
    owe(workspace, "order.created", 6)
    drain(linger=0)
    assert waited == [True] * 8
