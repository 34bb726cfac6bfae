"""What each workspace may use: what the operators wrote on it."""

from __future__ import annotations

from webhooks.quota import Quota

from .models import Workspace


def quota_of(workspace: Workspace) -> Quota:
    """`WEBHOOKS["QUOTAS"]` names it."""
    return Quota(
        webhooks=workspace.max_webhooks,
        events_per_minute=workspace.max_events_per_minute,
        days=workspace.max_days,
    )
