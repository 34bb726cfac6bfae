"""Who has been asked to drain, and who stays to wait for what falls due soon."""

from __future__ import annotations

from django.db import models


class Waker(models.Model):
    """One row, id 1. It only saves work: a lost or stale row delays nothing beyond the next sweep."""

    ROW = 1

    # When a drain was last asked for; null once a drain has started.
    asked_at = models.DateTimeField(null=True)
    # The one drain that lingers to send retries on time, and until when it may be believed alive.
    linger_claim = models.UUIDField(null=True)
    linger_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"asked at {self.asked_at}"
