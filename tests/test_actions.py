import logging
import uuid
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError

from tests.factories import make_user, make_webhook, make_workspace
from webhooks import actions, audit, queue
from webhooks.actions import deliveries
from webhooks.events import emit
from webhooks.exceptions import UnknownEventType
from webhooks.models import Delivery, Event, Webhook, WebhookState
from webhooks.models.credentials import ENCRYPTED

pytestmark = pytest.mark.django_db

ENDED = ("succeeded", "failed", "cancelled")
SECRET = "correct-horse-battery"


@pytest.fixture
def webhook():
    return make_webhook(make_workspace())


@pytest.fixture
def user():
    return make_user()


@pytest.fixture
def wakes(monkeypatch):
    """How often a drain was asked for."""
    asked = []
    monkeypatch.setattr(queue, "wake_after_commit", lambda: asked.append(1))
    monkeypatch.setattr("webhooks.queue.parking.wake", lambda: asked.append(1))
    return asked


def owed(webhook, **changes):
    event = emit("order.created", workspace=webhook.workspace, data={})
    rows = Delivery.objects.filter(event=event, webhook=webhook)
    rows.update(**changes)
    return rows.get()


def ended(webhook, status="failed"):
    return owed(
        webhook,
        status=status,
        ended_because="exhausted",
        due_at=None,
        finished_at=queue.database_now(),
        attempt_count=8,
        attempts_before=3,
        lost_claims=4,
        claim=uuid.uuid4(),
    )


def test_every_column_that_a_person_may_set_is_changed_by_the_action():
    """A column that is added later must be audited and compared like the others."""
    otherwise = {"id", "workspace", "is_active", "created_at", "updated_at", *ENCRYPTED}
    editable = {field.name for field in Webhook._meta.concrete_fields if field.editable}
    assert set(actions.CHANGEABLE) == editable - otherwise


@pytest.mark.parametrize("status", ENDED)
def test_redelivery_begins_anew_in_the_same_row(webhook, user, wakes, status):
    delivery = ended(webhook, status)
    wakes.clear()
    assert actions.redeliver([delivery], by=user) == 1
    again = Delivery.objects.get()
    assert (again.pk, again.status, again.ended_because, again.finished_at) == (
        delivery.pk,
        "pending",
        "",
        None,
    )
    assert (again.attempt_count, again.attempts_before, again.attempts_made) == (8, 8, 0)
    assert (again.lost_claims, again.claim) == (0, None)
    assert abs(again.due_at - queue.database_now()) < timedelta(seconds=5)
    assert queue.next_due().is_due
    assert wakes == [1]


def test_what_is_pending_or_of_a_deleted_webhook_is_not_redelivered(webhook, wakes):
    claim = uuid.uuid4()
    pending = owed(webhook, claim=claim)
    other = make_webhook(webhook.workspace, name="Other")
    orphan = ended(other)
    actions.delete(other, by=None)
    wakes.clear()
    assert actions.redeliver([pending, orphan], by=None) == 0
    assert Delivery.objects.get(pk=pending.pk).claim == claim
    assert Delivery.objects.get(pk=orphan.pk).status == "failed"
    assert wakes == []


def test_more_deliveries_than_one_statement_takes_are_redelivered(webhook, monkeypatch):
    monkeypatch.setattr(deliveries, "BATCH", 2)
    for _ in range(5):
        ended(webhook)
    assert actions.redeliver(Delivery.objects.all(), by=None) == 5
    assert actions.cancel(Delivery.objects.all(), by=None) == 5


def test_cancelling_ends_the_pending_and_takes_them_from_whoever_sends_them(webhook, user):
    sending, done = owed(webhook, claim=uuid.uuid4()), ended(webhook, "succeeded")
    assert actions.cancel([sending, done], by=user) == 1
    cancelled = Delivery.objects.get(pk=sending.pk)
    assert (cancelled.status, cancelled.ended_because) == ("cancelled", "by_hand")
    assert (cancelled.claim, cancelled.due_at) == (None, None)
    assert cancelled.finished_at is not None
    assert Delivery.objects.get(pk=done.pk).status == "succeeded"
    assert [entry.object_id for entry in LogEntry.objects.all()] == [str(sending.pk)]


def test_a_rotated_secret_is_generated_or_taken_as_it_is(webhook, user):
    version = webhook.version
    generated = actions.rotate_secret(webhook, by=user)
    assert generated.startswith("whsec_")
    assert Webhook.objects.get().secret == generated
    assert actions.rotate_secret(webhook, by=user, secret=f" {SECRET} ") == f" {SECRET} "
    assert Webhook.objects.get().secret == f" {SECRET} "
    assert Webhook.objects.get().version == version + 2
    actions.remove_secret(webhook, by=user)
    assert Webhook.objects.get().has_secret is False


@pytest.mark.parametrize("refused", ["", f"whsec_{SECRET}!", "whsec_"])
def test_a_secret_that_cannot_sign_changes_nothing(webhook, user, refused):
    actions.rotate_secret(webhook, by=None, secret=SECRET)
    with pytest.raises(ValidationError) as error:
        actions.rotate_secret(webhook, by=user, secret=refused)
    assert SECRET not in str(error.value)
    assert webhook.secret == Webhook.objects.get().secret == SECRET
    assert not LogEntry.objects.exists()


def parked(webhook):
    return Delivery.objects.create(
        event=emit("order.created", workspace=webhook.workspace, data={}),
        webhook=webhook,
        workspace=webhook.workspace,
        event_type="order.created",
        created_at=queue.database_now(),
    )


@pytest.mark.django_db(transaction=True)
def test_activation_sends_what_waited(webhook, user, wakes):
    actions.deactivate(webhook, by=user)
    waiting = [parked(webhook), parked(webhook)]
    wakes.clear()
    actions.activate(webhook, by=user)
    assert Webhook.objects.get().is_active
    assert Delivery.objects.filter(pk__in=[one.pk for one in waiting], due_at__isnull=False).count() == 2
    assert wakes == [1]


@pytest.mark.django_db(transaction=True)
def test_activation_after_failures_tries_one_delivery_first(webhook, user, wakes):
    actions.deactivate(webhook, by=user)
    first, second = parked(webhook), parked(webhook)
    now = queue.database_now()
    WebhookState.objects.create(
        webhook=webhook, consecutive_failures=9, failing_since=now, pauses=3, told=3, drip=2,
        disabled_at=now, disabled_because="Gone.",
    )  # fmt: skip
    actions.activate(webhook, by=user)
    state = WebhookState.objects.get()
    assert (state.disabled_at, state.disabled_because, state.consecutive_failures) == (None, "", 0)
    assert (state.failing_since, state.pauses, state.drip, state.told) == (None, 0, None, 1)
    assert now <= state.paused_until <= queue.database_now()
    assert Delivery.objects.get(pk=first.pk).due_at is not None
    assert Delivery.objects.get(pk=second.pk).due_at is None


@pytest.mark.django_db(transaction=True)
def test_resuming_ends_the_pause_and_tries_the_first_delivery(webhook, user, wakes):
    assert not actions.resume(webhook, by=user)
    later = queue.database_now() + timedelta(hours=5)
    first, _ = owed(webhook, due_at=later), owed(webhook, due_at=later)
    WebhookState.objects.create(
        webhook=webhook, consecutive_failures=9, failing_since=later, paused_until=later
    )
    wakes.clear()
    assert actions.resume(webhook, by=user)
    assert WebhookState.objects.get().paused_until <= queue.database_now()
    assert Delivery.objects.get(pk=first.pk).due_at <= queue.database_now()
    assert wakes == [1]
    assert LogEntry.objects.get().change_message == "Resumed."
    assert [one.pk for one in queue.claim(9, alone=True).deliveries] == [first.pk]


def test_deactivation_touches_no_delivery(webhook):
    delivery = owed(webhook)
    actions.deactivate(webhook, by=None)
    assert not Webhook.objects.get().is_active
    assert Delivery.objects.get().due_at == delivery.due_at


def test_deletion_hides_frees_the_name_and_forgets_the_secrets(webhook, django_assert_max_num_queries):
    webhook.headers, webhook.authorization = {"X-Api-Key": SECRET}, f"Bearer {SECRET}"
    webhook.save()
    for _ in range(2):  # the second one overlaps
        actions.rotate_secret(webhook, by=None)
    assert Webhook.objects.get().rotating_until
    for _ in range(3):
        owed(webhook)
    # However many deliveries there are: the queue ends them when it finds them.
    with django_assert_max_num_queries(5):
        actions.delete(webhook, by=None)
    assert not Webhook.objects.exists()
    deleted = Webhook.with_deleted.get()
    assert (deleted.is_active, deleted.has_secret) == (False, False)
    assert (deleted.previous_secret, deleted.previous_secret_expires_at) == ("", None)
    assert (deleted.headers, deleted.authorization) == ({}, "")
    assert abs(deleted.deleted_at - queue.database_now()) < timedelta(seconds=5)
    assert set(Delivery.objects.values_list("status", flat=True)) == {"pending"}
    make_webhook(webhook.workspace)
    while queue.claim(100, alone=True).touched:
        pass
    assert set(Delivery.objects.values_list("ended_because", flat=True)) == {"webhook_deleted"}


def test_a_test_event_goes_to_its_webhook_alone(webhook, user, wakes):
    make_webhook(webhook.workspace, name="Other")
    event = actions.send_test(webhook, "order.paid", by=user)
    stored = Event.objects.get()
    assert (stored.pk, stored.is_test, stored.type) == (event.pk, True, "order.paid")
    assert stored.data == '{"object":{"number":"A-1"}}'
    delivery = Delivery.objects.get()
    assert (delivery.webhook_id, delivery.status) == (webhook.pk, "pending")
    assert queue.next_due().is_due
    assert wakes == [1]
    with pytest.raises(UnknownEventType):
        actions.send_test(webhook, "order.eaten", by=user)
    assert Event.objects.count() == 1


def every_action(webhook, by):
    delivery = ended(webhook)
    actions.redeliver([delivery], by=by)
    actions.cancel([delivery], by=by)
    secrets = [actions.rotate_secret(webhook, by=by), actions.rotate_secret(webhook, by=by, secret=SECRET)]
    actions.remove_secret(webhook, by=by)
    actions.deactivate(webhook, by=by)
    actions.activate(webhook, by=by)
    actions.send_test(webhook, "order.paid", by=by)
    actions.delete(webhook, by=by)
    return secrets


def test_each_action_of_a_person_is_one_audit_row_without_a_secret(webhook, user, caplog):
    caplog.set_level(logging.DEBUG)
    secrets = every_action(webhook, user)
    entries = list(LogEntry.objects.order_by("pk"))
    assert [entry.change_message.partition(";")[0].rstrip(".") for entry in entries] == [
        "Redelivered", "Cancelled", "Secret rotated", "Secret rotated", "Secret removed", "Deactivated",
        "Activated", "Test event order.paid sent", "Deleted",
    ]  # fmt: skip
    assert {entry.user_id for entry in entries} == {user.pk}
    told = caplog.text + "".join(f"{entry.object_repr} {entry.change_message}" for entry in entries)
    assert not [secret for secret in secrets if secret in told]


def test_each_action_of_nobody_is_a_log_line_without_a_secret(webhook, caplog):
    caplog.set_level(logging.DEBUG)
    secrets = every_action(webhook, None)
    assert not LogEntry.objects.exists()
    lines = [record.getMessage() for record in caplog.records if record.name == "webhooks"]
    assert f"webhook {webhook.pk}: Secret rotated." in lines
    assert len([line for line in lines if line.startswith(("webhook ", "delivery "))]) == 9
    assert not [secret for secret in secrets if secret in caplog.text]


def test_without_the_admin_a_log_line_names_the_person(webhook, user, caplog, monkeypatch):
    monkeypatch.setattr(audit.apps, "is_installed", lambda name: False)
    caplog.set_level(logging.INFO, "webhooks")
    actions.deactivate(webhook, by=user)
    assert f"webhook {webhook.pk}: Deactivated. By user {user.pk}." in caplog.messages
    assert not LogEntry.objects.exists()
