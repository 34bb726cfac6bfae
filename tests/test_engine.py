"""drain(): from what is due to what is recorded, with real receivers."""

import hashlib
import hmac
import json
import os
import signal
import threading
import time
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs, urlsplit

import pytest
import standardwebhooks
import svix.webhooks
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from tests.factories import make_webhook, make_workspace
from webhooks import actions, engine, queue, signals, signing, tasks
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Attempt, Delivery, Webhook, WebhookState

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def webhook(workspace, receiver):
    return make_webhook(workspace, callback_url=receiver.url, secret="clé-日本")


def emit_one(workspace, **data):
    return emit("order.created", workspace=workspace, data=data or {"text": "ñ 日本"})


def only():
    return Delivery.objects.get()


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-www-form-urlencoded", "application/cloudevents+json"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_arrives_is_signed_byte_by_byte(workspace, webhook, receiver, method, content_type):
    webhook.method, webhook.content_type = method, content_type
    webhook.save()
    event = emit_one(workspace)
    assert drain(linger=0) == 1
    [request] = receiver.requests
    headers = request.headers
    assert request.method == method
    assert headers["Content-Type"] == content_type
    assert headers["X-Signature"] == hmac.new("clé-日本".encode(), request.body, hashlib.sha256).hexdigest()
    assert (headers["webhook-id"], headers["X-Webhook-Event"]) == (str(event.pk), "order.created")
    assert (headers["X-Webhook-Delivery"], headers["X-Webhook-Attempt"]) == (str(only().pk), "1")
    assert headers["User-Agent"].startswith("django-workspace-webhooks/")
    text = request.body.decode()
    if "form" in content_type:
        text = parse_qs(text)["payload"][0]
    assert json.loads(text)["data"] == {"text": "ñ 日本"}


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_get_carries_and_signs_the_query_parameter(workspace, webhook, receiver, content_type):
    webhook.method, webhook.content_type = "GET", content_type
    webhook.callback_url += "?a=b"
    webhook.save()
    emit_one(workspace)
    drain(linger=0)
    [request] = receiver.requests
    query = parse_qs(urlsplit(request.path).query)
    assert query["a"] == ["b"]
    payload = query["payload"][0].encode()
    assert json.loads(payload)["data"] == {"text": "ñ 日本"}
    assert (
        request.headers["X-Signature"] == hmac.new("clé-日本".encode(), payload, hashlib.sha256).hexdigest()
    )
    assert "Content-Type" not in request.headers
    assert request.body == b""


def test_no_secret_no_signature_of_any_kind(workspace, receiver):
    make_webhook(workspace, callback_url=receiver.url)
    emit_one(workspace)
    drain(linger=0)
    [request] = receiver.requests
    assert not any("signature" in name.lower() for name in request.headers)


@pytest.mark.parametrize("verifier", [standardwebhooks.Webhook, svix.webhooks.Webhook])
def test_the_standards_own_libraries_accept_the_request(workspace, webhook, receiver, verifier):
    webhook.secret = signing.generate_secret()
    webhook.save()
    emit_one(workspace)
    drain(linger=0)
    [request] = receiver.requests
    verifier(webhook.secret).verify(
        request.body, {name.lower(): value for name, value in request.headers.items()}
    )


def test_failures_are_retried_with_the_same_id_and_recorded_one_by_one(workspace, webhook, receiver):
    answers = iter(
        [
            (500, {}, b"no"),
            (302, {"Location": "http://127.0.0.1:1/"}, b""),
            (200, {"X-A": "b"}, b"yes \x00\xff"),
        ]
    )
    receiver.answer = lambda request: next(answers)
    emit_one(workspace)
    now = queue.database_now()
    for minutes in range(3):
        assert drain(linger=0, clock=lambda m=minutes: now + timedelta(minutes=m, seconds=1)) == 1
    delivery = only()
    assert (delivery.status, delivery.attempt_count, delivery.due_at) == ("succeeded", 3, None)
    attempts = list(Attempt.objects.order_by("pk"))
    assert [(a.number, a.status_code, a.outcome, a.error_kind) for a in attempts] == [
        (1, 500, "transient", "http_5xx"),
        (2, 302, "transient", "http_3xx"),
        (3, 200, "success", ""),
    ]
    assert attempts[1].response_headers["Location"] == "http://127.0.0.1:1/"
    assert attempts[2].response_body == "yes \\x00\\xff"
    assert attempts[2].request_headers["webhook-id"] == str(delivery.event_id)
    assert {request.headers["webhook-id"] for request in receiver.requests} == {str(delivery.event_id)}
    stamps = [int(request.headers["webhook-timestamp"]) for request in receiver.requests]
    assert stamps == sorted(set(stamps))


def test_max_attempts_counts_the_first_try_and_redeliver_starts_afresh(workspace, webhook, receiver):
    receiver.answer = lambda request: (500, {}, b"")
    webhook.max_attempts = 2
    webhook.save()
    emit_one(workspace)
    now = queue.database_now()
    for minutes in range(4):
        drain(linger=0, clock=lambda m=minutes: now + timedelta(minutes=m, seconds=1))
    delivery = only()
    assert (delivery.status, delivery.ended_because, delivery.attempt_count) == ("failed", "exhausted", 2)
    receiver.answer = lambda request: (200, {}, b"")
    assert actions.redeliver([delivery], by=None) == 1
    assert actions.redeliver([delivery], by=None) == 0
    drain(linger=0)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempt_count, delivery.attempts_made) == ("succeeded", 3, 1)
    assert list(Attempt.objects.order_by("pk").values_list("number", flat=True)) == [1, 2, 3]


def test_410_ends_the_delivery_and_disables_the_webhook(workspace, webhook, receiver):
    receiver.answer = lambda request: (410, {}, b"")
    emit_one(workspace)
    drain(linger=0)
    assert (only().status, only().ended_because) == ("failed", "gone")
    webhook.refresh_from_db()
    assert not webhook.is_active
    assert "410" in WebhookState.objects.get().disabled_because


@pytest.mark.parametrize(("size", "cut"), [(100, False), (101, True)])
def test_a_body_that_was_cut_is_a_success_and_recorded_as_cut(
    workspace, webhook, receiver, settings, size, cut
):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "RESPONSE_BODY_LIMIT": 100}
    receiver.answer = lambda request: (200, {}, b"a" * size)
    emit_one(workspace)
    drain(linger=0)
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.response_truncated, attempt.response_body) == ("success", cut, "a" * 100)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30),
        ("1000000000", 86400),
        ("-1", 1),
        ("nonsense", 1),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 1),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
        ("Fri, 31 Dec 99999 23:59:59 +9999", 1),
    ],
)
def test_retry_after_is_heeded_within_the_schedule_and_a_day(
    workspace, webhook, receiver, status, header, seconds
):
    receiver.answer = lambda request: (status, {"Retry-After": header}, b"")
    emit_one(workspace)
    drain(linger=0)
    wait = only().due_at - Attempt.objects.get().started_at
    assert timedelta(seconds=seconds) <= wait < timedelta(seconds=seconds + 5)


def test_retry_after_may_be_a_date(workspace, webhook, receiver):
    at = (queue.database_now() + timedelta(hours=2)).replace(microsecond=0)
    receiver.answer = lambda request: (503, {"Retry-After": format_datetime(at, usegmt=True)}, b"")
    emit_one(workspace)
    drain(linger=0)
    assert abs(only().due_at - at) < timedelta(milliseconds=10)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"callback_url": "http://10.0.0.1/"}, "refused_address"),
        ({"callback_url": "file:///etc/passwd"}, "bad_url"),
        ({"content_type": "text/unheard-of"}, "encoding"),
        ({"method": "TRACE"}, "bad_request"),
        ({"secret": "whsec_!"}, "bad_secret"),
    ],
)
def test_what_got_into_the_row_another_way_is_refused_at_send(workspace, webhook, changes, kind):
    for name, value in changes.items():
        setattr(webhook, name, value)
    webhook.save()
    emit_one(workspace)
    assert drain(linger=0) == 1
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.error_kind, attempt.status_code) == ("permanent", kind, None)
    assert (only().status, only().ended_because, only().attempt_count) == ("failed", "permanent", 1)


def test_a_name_that_leads_to_a_refused_address_is_retried_and_sees_no_packet(workspace, receiver, settings):
    make_webhook(workspace, callback_url=receiver.url.replace("127.0.0.1", "localhost"))
    settings.WEBHOOKS = {**settings.WEBHOOKS, "ALLOWED_NETWORKS": []}
    emit_one(workspace)
    drain(linger=0)
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.error_kind) == ("transient", "refused_address")
    assert "127" not in attempt.error
    assert receiver.requests == []


def test_a_secret_that_cannot_be_decrypted_sends_nothing_and_costs_nothing(
    workspace, webhook, receiver, settings, caplog
):
    settings.SECRET_KEY = "another"
    emit_one(workspace)
    emit_one(workspace)
    assert drain(linger=0) == 0
    assert receiver.requests == []
    for delivery in Delivery.objects.all():
        assert (delivery.status, delivery.claim, delivery.attempt_count, delivery.lost_claims) == (
            "pending",
            None,
            0,
            0,
        )
        assert delivery.due_at > delivery.created_at + timedelta(minutes=4)
    assert [record.levelname for record in caplog.records if record.name == "webhooks"] == ["ERROR"]


def test_a_webhook_deactivated_in_mid_retry_hears_nothing_more(workspace, webhook, receiver):
    receiver.answer = lambda request: (500, {}, b"")
    emit_one(workspace)
    drain(linger=0)
    actions.deactivate(webhook, by=None)
    later = queue.database_now() + timedelta(minutes=1)
    assert drain(linger=0, clock=lambda: later) == 0
    assert len(receiver.requests) == 1
    assert only().due_at is None


def test_at_its_budgets_end_a_drain_asks_for_the_next_before_its_slow_requests_end(
    workspace, webhook, receiver, monkeypatch
):
    asked = threading.Event()
    monkeypatch.setattr(queue, "wake", asked.set)
    receiver.answer = lambda request: (200 if asked.wait(10) else 500, {}, b"")
    emit_one(workspace)
    drain(budget=0.3, linger=0)
    assert Attempt.objects.get().status_code == 200


def test_each_drain_sends_by_the_row_as_it_is_then(workspace, webhook, receiver):
    for method in ("PUT", "PATCH"):
        # Past the model: what a worker remembers of a row must not depend on who changed it.
        Webhook.objects.update(method=method)
        emit_one(workspace)
        drain(linger=0)
    assert [request.method for request in receiver.requests] == ["PUT", "PATCH"]


def test_a_drain_lingers_for_a_retry_that_falls_due_soon(workspace, webhook, receiver):
    receiver.answer = lambda request: (200 if request.headers["X-Webhook-Attempt"] == "2" else 500, {}, b"")
    emit_one(workspace)
    assert drain(budget=20) == 2
    assert only().status == "succeeded"


def test_never_more_than_the_cap_at_once_at_one_receiver(workspace, webhook, receiver):
    lock = threading.Lock()
    now = most = 0

    def answer(request):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return 200, {}, b""

    receiver.answer = answer
    for _ in range(40):
        emit_one(workspace)
    assert drain(linger=0) == 40
    assert 1 < most <= 8


def test_sigterm_finishes_what_is_in_flight_and_hands_back_the_rest(workspace, webhook, receiver):
    passed_on = []
    previous = signal.signal(signal.SIGTERM, lambda *_: passed_on.append(True))
    try:

        def answer(request):
            if len(receiver.requests) == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.3)
            return 200, {}, b""

        receiver.answer = answer
        for _ in range(30):
            emit_one(workspace)
        recorded = drain(linger=0)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert passed_on == [True]
    assert recorded == len(receiver.requests) <= 16
    assert Delivery.objects.filter(status="succeeded").count() == recorded
    assert Delivery.objects.filter(claim__isnull=False).count() == 0
    assert Delivery.objects.filter(status="pending", lost_claims=0).count() == 30 - recorded


def test_an_exception_hands_back_before_it_leaves(workspace, webhook, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("the database went away")

    monkeypatch.setattr(queue, "record", broken)
    emit_one(workspace)
    with pytest.raises(RuntimeError):
        drain(linger=0)
    assert (only().status, only().claim, only().lost_claims) == ("pending", None, 0)


def test_a_row_whose_lease_no_longer_covers_a_request_is_not_sent(workspace, webhook, receiver, monkeypatch):
    emit_one(workspace)
    original = queue.claim

    def slow(*args, **options):
        claimed = original(*args, **options)
        return replace(claimed, monotonic=claimed.monotonic - 45)

    monkeypatch.setattr(queue, "claim", slow)
    assert drain(linger=0) == 0
    assert receiver.requests == []
    assert (only().status, only().claim, only().lost_claims) == ("pending", None, 0)


def in_flight(receiver, meanwhile):
    """Do something while the first request is in flight, and let it last until the drain has claimed again."""

    def answer(request):
        if len(receiver.requests) == 1:
            meanwhile()
            connection.close()
            time.sleep(0.5)
        return 500 if len(receiver.requests) == 1 else 200, {}, b""

    receiver.answer = answer


def test_a_delivery_whose_lease_ends_in_mid_request_is_not_sent_twice_by_one_drain(
    workspace, webhook, receiver
):
    # As on a host that stood still, or whose clock has jumped.
    in_flight(receiver, lambda: Delivery.objects.update(due_at=timezone.now() - timedelta(hours=1)))
    emit_one(workspace)
    assert drain(budget=10, linger=5) == 2
    assert [request.headers["X-Webhook-Attempt"] for request in receiver.requests] == ["1", "2"]
    assert list(Attempt.objects.values_list("number", "late")) == [(1, False), (2, False)]
    assert (only().status, only().attempt_count) == ("succeeded", 2)


def test_what_is_redelivered_after_a_change_is_sent_anew_though_its_first_request_is_in_flight(
    workspace, webhook, receiver, settings
):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "TIMEOUT": 2, "LEASE": 10}
    Webhook.objects.update(max_attempts=1)

    def mend():
        actions.cancel(Delivery.objects.all(), by=None)
        Webhook.objects.update(version=F("version") + 1, callback_url=receiver.url + "/mended")
        actions.redeliver(Delivery.objects.all(), by=None)

    in_flight(receiver, mend)
    emit_one(workspace)
    assert drain(budget=10, linger=5) == 2
    assert [request.path for request in receiver.requests] == ["/hook", "/hook/mended"]
    assert list(Attempt.objects.values_list("outcome", "late")) == [("transient", True), ("success", False)]
    assert (only().status, only().attempt_count) == ("succeeded", 1)


def test_the_outcome_is_announced_and_a_receiver_that_raises_harms_nothing(workspace, webhook):
    heard = []

    def listen(sender, **arguments):
        heard.append(arguments["delivery"].status)
        raise RuntimeError

    signals.delivery_succeeded.connect(listen)
    try:
        emit_one(workspace)
        drain(linger=0)
    finally:
        signals.delivery_succeeded.disconnect(listen)
    assert heard == ["succeeded"]
    assert only().status == "succeeded"


def test_a_test_event_goes_to_one_webhook_only(workspace, webhook, receiver):
    make_webhook(workspace, name="other", callback_url=receiver.url)
    event = actions.send_test(webhook, "order.paid", by=None)
    assert drain(linger=0) == 1
    assert event.is_test
    assert only().webhook == webhook


def test_the_commands_drain_sweep_and_prune(workspace, webhook, receiver, capsys):
    emit_one(workspace)
    call_command("webhooks", "drain")
    assert "1 attempts recorded" in capsys.readouterr().out
    actions.deactivate(webhook, by=None)
    with transaction.atomic():
        Delivery.objects.update(status="pending", due_at=None, finished_at=None)
    webhook.refresh_from_db()
    actions.activate(webhook, by=None)
    Delivery.objects.update(due_at=None)
    call_command("webhooks", "sweep")
    assert "1 deliveries resumed" in capsys.readouterr().out
    Delivery.objects.update(finished_at=queue.database_now() - timedelta(days=40))
    pending = emit_one(workspace)
    call_command("webhooks", "prune", "--days", "30")
    assert "1 deliveries removed" in capsys.readouterr().out
    assert not Attempt.objects.exists()
    assert list(Delivery.objects.values_list("event", flat=True)) == [pending.pk]
    assert Webhook.objects.count() == 1


def test_a_sweep_sends_what_stayed_parked(workspace, webhook, receiver):
    emit_one(workspace)
    Delivery.objects.update(due_at=None)
    assert drain(linger=0) == 0
    assert tasks.sweep() == 1
    assert only().status == "succeeded"


def test_a_drain_works_in_a_thread_of_any_process(workspace, webhook):
    from django.db import connections

    emit_one(workspace)
    results = []

    def work():
        results.append(drain(linger=0))
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert results == [1]
    assert engine.LINGER_PAUSE < 1


def no_bytes(envelope):
    return "日本"


def broken(envelope):
    raise KeyError("no such thing")


@pytest.mark.parametrize("path", ["tests.test_engine.no_bytes", "tests.test_engine.broken", "nowhere.encode"])
def test_a_projects_bad_encoder_ends_its_own_deliveries_only(workspace, webhook, receiver, settings, path):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "ENCODERS": {"text/x": path}}
    make_webhook(workspace, name="bad", callback_url=receiver.url, content_type="text/x")
    emit_one(workspace)
    assert drain(linger=0) == 2
    assert set(Delivery.objects.values_list("webhook__name", "status", "ended_because")) == {
        ("bad", "failed", "permanent"),
        ("CRM", "succeeded", ""),
    }


def test_a_delivery_without_its_event_ends_and_stops_nobody(workspace, webhook, receiver):
    gone = emit_one(workspace)
    emit_one(workspace)
    type(gone).objects.filter(pk=gone.pk).delete()
    assert drain(linger=0) == 1
    assert Delivery.objects.get(event_id=gone.pk).ended_because == "permanent"
    assert Delivery.objects.filter(status="succeeded").count() == 1


def test_a_drain_goes_on_when_its_last_results_free_what_waited_for_a_slot(
    workspace, webhook, receiver, settings
):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "IN_FLIGHT_PER_WEBHOOK": 1}

    def answer(request):
        time.sleep(2 * engine.PATIENCE)  # longer than a round waits: the next claim finds the cap used up
        return 200, {}, b""

    receiver.answer = answer
    for _ in range(3):
        emit_one(workspace)
    assert drain(linger=0) == 3


def test_a_drain_with_more_than_it_can_take_brings_one_other(
    workspace, webhook, receiver, settings, monkeypatch
):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "CONCURRENCY": 4}
    for _ in range(12):
        emit_one(workspace)
    asked = []
    monkeypatch.setattr(
        "webhooks.queue.waking.async_task", lambda *arguments, **options: asked.append(arguments)
    )
    assert drain(linger=0) == 12
    assert asked == [("webhooks.tasks.drain",)]


def test_a_drain_that_can_take_all_brings_nobody(workspace, webhook, receiver, monkeypatch):
    for _ in range(3):
        emit_one(workspace)
    asked = []
    monkeypatch.setattr(
        "webhooks.queue.waking.async_task", lambda *arguments, **options: asked.append(arguments)
    )
    assert drain(linger=0) == 3
    assert asked == []


def test_a_workspace_whose_receivers_hang_leaves_slots_to_others(workspace, receiver, settings):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "CONCURRENCY": 4, "TIMEOUT": 2, "DRAIN_BUDGET": 3}
    other = make_workspace("other")
    make_webhook(workspace, callback_url=f"{receiver.url}/hangs")
    make_webhook(other, callback_url=f"{receiver.url}/answers")
    answered = threading.Event()

    def answer(request):
        if request.path.endswith("/answers"):
            answered.set()
            return 200, {}, b""
        # Until the other has been heard, or for as long as the request lasts: then it would have had to wait.
        return (200, {}, b"") if answered.wait(2) else (500, {}, b"")

    receiver.answer = answer
    for _ in range(8):
        emit_one(workspace)
    # What the other is owed falls due when the slots have been given away.
    later = queue.database_now() + timedelta(milliseconds=300)
    Delivery.objects.filter(event=emit_one(other)).update(due_at=later)
    drain()
    hanging = Attempt.objects.filter(delivery__workspace=workspace)
    assert not hanging.exclude(status_code=200).exists()
