"""What people register: a callback URL with its events and secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from .. import addresses, catalogue, encoding, limits
from ..conf import settings
from ..exceptions import InvalidRequest, UnknownEventType
from ..fields import WorkspaceForeignKey
from ..quota import quota_of
from .credentials import Credentials

MAX_ATTEMPTS_LIMIT = 20
QUOTA_REACHED = (
    "This workspace has as many webhooks as its quota allows (%(limit)d). Delete one that is not needed, or ask "
    "for a larger quota."
)
NAME_TAKEN = "This workspace already has a webhook with this name."


def content_type_choices() -> list[tuple[str, str]]:
    """Return the content types that a webhook can ask for: the built-in ones, then the project's own."""
    return [(name, name) for name in (*encoding.BUILT_IN, *settings.ENCODERS) if name]


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def active(self) -> WebhookQuerySet:
        """Those that are sent to."""
        return self.filter(is_active=True, deleted_at=None)


class _PresentManager(models.Manager["Webhook"]):
    def get_queryset(self) -> models.QuerySet[Webhook]:
        return super().get_queryset().filter(deleted_at=None)


class Webhook(Credentials):
    """A registered callback URL. Deleted softly: `objects` hides what is deleted, `with_deleted` does not."""

    class Method(models.TextChoices):
        POST = "POST", "POST"
        PUT = "PUT", "PUT"
        PATCH = "PATCH", "PATCH"
        DELETE = "DELETE", "DELETE"
        GET = "GET", "GET"

    workspace = WorkspaceForeignKey(verbose_name=_("workspace"))
    name = models.CharField(_("Name"), max_length=100)
    callback_url = models.CharField(_("Callback URL"), max_length=addresses.MAX_URL_LENGTH)
    method = models.CharField(_("Method"), max_length=6, choices=Method.choices, default=Method.POST)
    content_type = models.CharField(
        _("Content-Type"), max_length=100, choices=content_type_choices, default=encoding.JSON
    )
    max_attempts = models.PositiveSmallIntegerField(
        _("Max attempts"),
        default=8,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_ATTEMPTS_LIMIT)],
    )
    is_active = models.BooleanField(_("Status"), default=True)
    # Bounds and pace of its own; None: the project's.
    timeout = models.FloatField(_("Timeout"), null=True, blank=True)
    connect_timeout = models.FloatField(_("Connect timeout"), null=True, blank=True)
    retry_schedule = models.JSONField(_("Retry schedule"), null=True, blank=True)
    rate_limit = models.FloatField(_("Rate limit"), null=True, blank=True)
    max_in_flight = models.PositiveSmallIntegerField(_("Max in flight"), null=True, blank=True)
    ordered = models.BooleanField(_("Ordered"), default=False)
    # Rises with each save: whoever keeps a copy can tell that it is out of date.
    version = models.PositiveBigIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("last changed"), auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = _PresentManager.from_queryset(WebhookQuerySet)()
    with_deleted = WebhookQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"],
                condition=Q(deleted_at=None),
                name="webhooks_webhook_name_per_workspace",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, **kwargs: Any) -> None:
        if self._state.adding:
            super().save(**kwargs)
            return
        if kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = {*kwargs["update_fields"], "version", "updated_at"}
        self.version = F("version") + 1
        super().save(**kwargs)
        self.refresh_from_db(fields=["version"])

    @property
    def patterns(self) -> list[str]:
        """What the webhook subscribes to, in alphabetical order; uses prefetched subscriptions."""
        return sorted(subscription.pattern for subscription in self.subscriptions.all())

    def subscribe(self, *patterns: str) -> None:
        """Subscribe to event types ("activity.published"), a noun's ("activity.*") or all ("*").

        Raises UnknownEventType for a pattern that no registered type can match; then none is added.
        """
        for pattern in patterns:
            catalogue.check_pattern(pattern)
        Subscription.objects.bulk_create(
            [Subscription(webhook=self, pattern=pattern) for pattern in patterns], ignore_conflicts=True
        )

    def set_patterns(self, patterns: list[str]) -> None:
        """Make `patterns` the whole of what the webhook subscribes to. Those already there need not be known."""
        with transaction.atomic(using=self._state.db):
            present = set(self.subscriptions.values_list("pattern", flat=True))
            self.subscriptions.exclude(pattern__in=patterns).delete()
            self.subscribe(*(pattern for pattern in dict.fromkeys(patterns) if pattern not in present))

    def clean(self) -> None:
        """Check what no single field can. Raises ValidationError by field, in words that say what to do."""
        errors: dict[str, str] = {}
        for field, check in (
            ("callback_url", self._callback_url_error),
            ("name", self._name_error),
            ("secret", self.secret_error),
            ("headers", self.headers_error),
            ("authorization", self.authorization_error),
            (NON_FIELD_ERRORS, self.quota_error),
        ):
            message = check()
            if message:
                errors[field] = message
        errors.update(self._limit_errors())
        if errors:
            raise ValidationError(errors)

    def _callback_url_error(self) -> str | None:
        if not self.callback_url:
            return None  # "This field is required" says it
        try:
            url = addresses.checked_url(self.callback_url, addresses.configured_policy())
        except InvalidRequest as error:
            return str(error)
        query = parse_qs(urlsplit(url).query, keep_blank_values=True)
        if self.method == self.Method.GET and encoding.PAYLOAD_FIELD in query:
            return "With GET the event is sent in the query parameter “payload”; this URL already has one."
        return None

    def _limit_errors(self) -> dict[str, str]:
        checks: dict[str, Callable[[Any], str | None]] = {
            "timeout": lambda seconds: limits.timeout_error(seconds, settings.TIMEOUT),
            "connect_timeout": lambda seconds: limits.timeout_error(seconds, settings.CONNECT_TIMEOUT),
            "retry_schedule": limits.retry_schedule_error,
            "rate_limit": limits.rate_limit_error,
            "max_in_flight": lambda count: limits.max_in_flight_error(count, settings.IN_FLIGHT_PER_WEBHOOK),
        }
        given = {name: getattr(self, name) for name in checks if getattr(self, name) is not None}
        messages = {name: checks[name](value) for name, value in given.items()}
        return {name: message for name, message in messages.items() if message}

    def quota_error(self) -> str | None:
        """Return why the workspace can have no further webhook; None for one that it has already."""
        if settings.QUOTAS is None or self.workspace_id is None or not self._state.adding:
            return None
        limit = quota_of(self.workspace).webhooks
        if not isinstance(limit, int) or Webhook.objects.filter(workspace=self.workspace_id).count() < limit:
            return None
        return QUOTA_REACHED % {"limit": limit}

    def _name_error(self) -> str | None:
        if self.workspace_id is None or not self.name or self.deleted_at is not None:
            return None
        others = Webhook.objects.filter(workspace=self.workspace_id, name=self.name).exclude(pk=self.pk)
        return NAME_TAKEN if others.exists() else None


class WebhookState(models.Model):
    """A webhook's health and pace, written only by the queue and by people's actions; no row means healthy.

    Apart from Webhook, so that saving a form never overwrites it.
    """

    webhook = models.OneToOneField(Webhook, models.CASCADE, primary_key=True, related_name="state")
    consecutive_failures = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    # What the latest failure was, in the words of error_kinds.
    error_kind = models.CharField(max_length=20, blank=True, default="")
    status_code = models.PositiveSmallIntegerField(null=True)
    # Nothing is sent before this moment; after it one delivery at a time, until one succeeds.
    paused_until = models.DateTimeField(null=True)
    # How many pauses have followed one another.
    pauses = models.PositiveSmallIntegerField(default=0)
    # While the backlog drips: how many deliveries may be in flight at once, and successes since that last rose.
    drip = models.PositiveSmallIntegerField(null=True)
    drip_successes = models.PositiveSmallIntegerField(default=0)
    # The rate limit's clock: when the next request may be sent.
    sendable_at = models.DateTimeField(null=True)
    disabled_at = models.DateTimeField(null=True)
    disabled_because = models.CharField(max_length=200, blank=True, default="")
    # How much of the current failure the owners were told of, what they are still to be told, and when.
    told = models.PositiveSmallIntegerField(default=0)
    notice = models.CharField(max_length=20, blank=True, default="")
    notice_due_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["failing_since"],
                condition=Q(failing_since__isnull=False),
                name="webhooks_state_failing",
            ),
            models.Index(
                fields=["notice_due_at"],
                condition=Q(notice_due_at__isnull=False),
                name="webhooks_state_notice",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.webhook}: {self.consecutive_failures} failures in a row"


class Subscription(models.Model):
    """A pattern of event types that a webhook wants: "activity.published", "activity.*" or "*"."""

    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="subscriptions", db_index=False)
    pattern = models.CharField(max_length=catalogue.MAX_NAME_LENGTH)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["webhook", "pattern"], name="webhooks_subscription_once")
        ]

    def __str__(self) -> str:
        return self.pattern

    def clean(self) -> None:
        try:
            catalogue.check_pattern(self.pattern)
        except UnknownEventType as error:
            raise ValidationError({"pattern": str(error)}) from None
