"""What must be sent, and every request that was made for it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .. import catalogue
from ..encoding import PAYLOAD_FIELD
from ..fields import WorkspaceForeignKey
from ..headers import MASK
from ..retry import Outcome
from .event import Event
from .webhook import Webhook


class Delivery(models.Model):
    """The obligation to send one event to one webhook.

    In flight while `claim` is set and `due_at`, then the lease's end, has not passed. Parked while pending with
    `due_at` null: its webhook is inactive or paused, or ordered and still owes an earlier one.
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    class EndedBecause(models.TextChoices):
        EXHAUSTED = "exhausted", _("every attempt failed")
        PERMANENT = "permanent", _("no attempt could ever succeed")
        GONE = "gone", _("the receiver answered 410 Gone")
        WORKER_LOST = "worker_lost", _("sending it ended the worker, five times")
        WEBHOOK_DELETED = "webhook_deleted", _("its webhook was deleted")
        BY_HAND = "by_hand", _("cancelled by hand")

    event = models.ForeignKey(
        Event, models.DO_NOTHING, related_name="deliveries", db_index=False, db_constraint=False
    )
    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries", db_index=False)
    # Copied from the event for the lists.
    workspace = WorkspaceForeignKey(db_index=False)
    event_type = models.CharField(_("event"), max_length=catalogue.MAX_NAME_LENGTH)
    status = models.CharField(_("status"), max_length=9, choices=Status.choices, default=Status.PENDING)
    ended_because = models.CharField(
        _("ended because"), max_length=15, choices=EndedBecause.choices, blank=True, default=""
    )
    due_at = models.DateTimeField(_("next attempt"), null=True)
    claim = models.UUIDField(null=True)
    lost_claims = models.PositiveSmallIntegerField(default=0)
    attempt_count = models.PositiveIntegerField(_("attempts"), default=0)
    attempts_before = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(_("created"))
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [models.UniqueConstraint(fields=["event", "webhook"], name="webhooks_delivery_once")]
        indexes = [
            # Serves new work, retries and the recovery of what a killed worker held.
            models.Index(fields=["due_at"], condition=Q(status="pending"), name="webhooks_delivery_due"),
            # The next three say "pending" each in a way of its own: a query that says it in the same way can be
            # answered by no other of them, whatever the statistics are (see queue/candidate_sql.py).
            # What is due of one webhook, where a backlog that cannot be sent fills the earliest due rows.
            models.Index(
                fields=["webhook", "due_at"],
                condition=Q(due_at__isnull=False),
                name="webhooks_delivery_due_of",
            ),
            # What is in flight, counted by webhook at each claim.
            models.Index(
                fields=["due_at", "webhook"],
                condition=Q(claim__isnull=False),
                name="webhooks_delivery_in_flight",
            ),
            # The first of an ordered webhook, and whatever else is asked of one webhook's backlog.
            models.Index(
                fields=["webhook", "id"],
                condition=Q(finished_at__isnull=True),
                name="webhooks_delivery_unfinished",
            ),
            models.Index(
                fields=["webhook"],
                condition=Q(status="pending", due_at__isnull=True),
                name="webhooks_delivery_parked",
            ),
            # Those that may be killing workers: claimed one at a time, alone. The few that ended so stay in it.
            models.Index(
                fields=["due_at"], condition=Q(lost_claims__gte=3), name="webhooks_delivery_suspects"
            ),
            models.Index(fields=["webhook", "-id"], name="webhooks_delivery_of_webhook"),
            models.Index(fields=["workspace", "-id"], name="webhooks_delivery_list"),
            models.Index(
                fields=["workspace", "-id"], condition=Q(status="failed"), name="webhooks_delivery_failed"
            ),
            # For pruning by age. Without the condition a look for what has not ended might walk along its NULLs.
            models.Index(
                fields=["finished_at"],
                condition=Q(finished_at__isnull=False),
                name="webhooks_delivery_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} #{self.pk}"

    @property
    def attempts_made(self) -> int:
        """Attempts since it was created or last redelivered: what `max_attempts` bounds."""
        return self.attempt_count - self.attempts_before


class Attempt(models.Model):
    """One HTTP request for a delivery, or the reason why none could be made. Inserted, never changed."""

    class OutcomeChoices(models.TextChoices):
        SUCCESS = Outcome.SUCCESS.value, _("Success")
        TRANSIENT = Outcome.TRANSIENT.value, _("Failed, may work later")
        PERMANENT = Outcome.PERMANENT.value, _("Failed for good")
        GONE = Outcome.GONE.value, _("Gone")

    # Without a constraint: the look-up per inserted row would cost a fifth of the rate.
    delivery = models.ForeignKey(Delivery, models.DO_NOTHING, related_name="attempts", db_constraint=False)
    number = models.PositiveIntegerField(_("number"))
    started_at = models.DateTimeField(_("started"))
    duration_ms = models.PositiveIntegerField(_("duration"))
    outcome = models.CharField(_("outcome"), max_length=9, choices=OutcomeChoices.choices)
    status_code = models.PositiveSmallIntegerField(_("status code"), null=True)
    error_kind = models.CharField(_("error kind"), max_length=20, blank=True, default="")
    error = models.TextField(_("error"), blank=True, default="")
    request_method = models.CharField(max_length=6)
    request_url = models.TextField()
    request_headers = models.JSONField(default=dict)
    request_body_sha256 = models.CharField(max_length=64, blank=True, default="")
    response_headers = models.JSONField(default=dict)
    response_body = models.TextField(blank=True, default="")
    response_truncated = models.BooleanField(default=False)
    # Recorded after the delivery had gone on without it: its lease had run out, or a person had acted.
    late = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.outcome}"

    @property
    def url_without_payload(self) -> str:
        """The URL as those are shown it who may not see payloads: a GET's ends with its payload."""
        start, field, _payload = self.request_url.partition(f"{PAYLOAD_FIELD}=")
        return (
            f"{start}{field}{MASK}"
            if field and self.request_method == Webhook.Method.GET
            else self.request_url
        )
