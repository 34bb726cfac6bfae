"""One fact, frozen as it will be sent."""

from __future__ import annotations

import secrets
import time
import uuid
from datetime import datetime

from django.db import models
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from .. import catalogue
from ..encoding import Envelope
from ..fields import WorkspaceForeignKey


def uuid7(nanoseconds: int, random: int) -> uuid.UUID:
    """Return a UUIDv7 (RFC 9562 5.7) of a Unix time and 62 random bits.

    The 12 bits behind the milliseconds hold a finer fraction of the time (6.2, method 3), so that the ids of
    one transaction are in the order of its events.
    """
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    value = (milliseconds & (1 << 48) - 1) << 80 | 7 << 76 | (rest * 4096 // 1_000_000) << 64
    return uuid.UUID(int=value | 0b10 << 62 | random & (1 << 62) - 1)


def new_event_id() -> uuid.UUID:
    return uuid7(time.time_ns(), secrets.randbits(62))


def first_event_id(moment: datetime) -> uuid.UUID:
    """Return the id that stands before those of all events since `moment`."""
    return uuid7(int(moment.timestamp() * 1_000_000_000), 0)


class Event(models.Model):
    """One fact: its type, and `data` as the exact JSON text that every attempt sends."""

    id = models.UUIDField(primary_key=True, default=new_event_id, editable=False)
    workspace = WorkspaceForeignKey(verbose_name=_("workspace"), db_index=False)
    # The workspace's name in URLs when the event was emitted: a later renaming must not change sent bytes.
    workspace_key = models.CharField(max_length=255)
    type = models.CharField(_("type"), max_length=catalogue.MAX_NAME_LENGTH)
    subject = models.CharField(_("subject"), max_length=255, blank=True, default="")
    data = models.TextField(_("data"))  # never jsonb: the bytes must not change
    idempotency_key = models.CharField(_("idempotency key"), max_length=255, null=True, blank=True)  # noqa: DJ001
    is_test = models.BooleanField(_("test"), default=False)
    occurred_at = models.DateTimeField(_("occurred"))
    # Above the workspace's quota of events per minute: nothing of it is sent before this moment.
    held_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = [
            models.UniqueConstraint(fields=["workspace", "idempotency_key"], name="webhooks_event_once")
        ]
        indexes = [
            models.Index(fields=["workspace", "-id"], name="webhooks_event_list"),
            models.Index(
                fields=["workspace", "-held_until"],
                condition=models.Q(held_until__isnull=False),
                name="webhooks_event_held",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"

    @cached_property
    def payloads(self) -> dict[str, bytes]:
        """Payloads already made of it, by content type: many webhooks may get the same event."""
        return {}

    @property
    def envelope(self) -> Envelope:
        """What is said of this event on the wire, put together without parsing `data`."""
        return Envelope(
            id=str(self.id),
            type=self.type,
            timestamp=self.occurred_at,
            workspace=self.workspace_key,
            data=self.data,
        )
