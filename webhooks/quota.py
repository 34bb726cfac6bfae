"""What a workspace may use, as the project's own callable says. Where nothing is said, there is no bound."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from django.utils.module_loading import import_string

from .conf import settings

logger = logging.getLogger("webhooks")


@dataclass(frozen=True, kw_only=True)
class Quota:
    """The bounds of one workspace; None: there is none."""

    webhooks: int | None = None
    """How many webhooks it may have, those that are switched off included."""
    events_per_minute: int | None = None
    """How many of its events a minute are sent; what is above that is sent later, at this pace. At least 1."""
    days: float | None = None
    """How long its ended deliveries are kept, where that is shorter than RETENTION_DAYS."""


def quota_of(workspace: Any) -> Quota:
    """Return what `WEBHOOKS["QUOTAS"]` says of `workspace`. Never raises: it is asked in the midst of an emit."""
    if settings.QUOTAS is None:
        return Quota()
    try:
        quota = import_string(settings.QUOTAS)(workspace)
        if not isinstance(quota, Quota):
            raise TypeError(f"{settings.QUOTAS} must return a webhooks.quota.Quota")
    except Exception:
        logger.exception("The quota of workspace %s could not be asked for: it has none now.", workspace.pk)
        return Quota()
    return quota
