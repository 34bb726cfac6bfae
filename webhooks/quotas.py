"""Holding a workspace to its quota, and telling its people how much of it is used.

What a workspace has used is read off its webhooks and events: nothing is counted that emits would queue for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .conf import settings, workspace_model
from .models import Event, Webhook
from .models.database import alias, connection, stored_key
from .models.event import first_event_id
from .queue import clock_sql, database_now
from .queue.clock import as_moment
from .quota import Quota, quota_of

MINUTE = timedelta(minutes=1)
# How many events back an emit looks at most: a larger quota is held over as much less than a minute.
LOOK = 500


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How much of one bound a workspace uses."""

    name: str
    """"webhooks", "events_per_minute" or "days", as in Quota."""
    label: str
    used: int
    limit: float | None
    """None: there is no bound."""
    message: str
    """What has come of the bound and what can be done, for people; "" while it is not reached."""


def usage(workspace: Any) -> list[Usage]:
    """Return what the workspace uses of each bound."""
    quota = quota_of(workspace)
    now = database_now()
    return [_webhooks(workspace, quota), _events(workspace, quota, now), _days(workspace, quota, now)]


def check_room(workspace_id: Any) -> None:
    """Raise ValidationError when the workspace may have no further webhook; asked by whoever will insert one.

    The workspace's row stays locked until the commit, so that two cannot both take the last place. Emits do not
    wait for that lock.
    """
    if settings.QUOTAS is None:
        return
    rows = workspace_model()._default_manager.using(alias())
    workspace: Any = rows.select_for_update(no_key=True, of=("self",)).get(pk=workspace_id)
    message = Webhook(workspace=workspace).quota_error()
    if message:
        raise ValidationError(message)


def hold(events: Sequence[Event]) -> None:
    """Set `held_until` of those unsaved events that are above their workspace's quota of events per minute.

    An event leaves no sooner than a minute after the one that stands as many places before it as the quota
    says: so no minute sees more of them, and what is held leaves at the quota's pace. Emits that run at the same
    time do not see each other's events, so as many more may leave.
    """
    for batch in _by_workspace(events):
        limit = _pace(batch[0].workspace)
        if limit is not None:
            places = min(limit, LOOK)
            now, left = _left_before(batch, places)
            _hold(batch, left, MINUTE * places / limit, now)


def days_kept(workspace: Any, default: float | None) -> float | None:
    """Return how many days the workspace's ended deliveries are kept; `default`: everybody's, None for ever."""
    days = quota_of(workspace).days
    if days is None or not _is_at_least_one(days):
        return default
    return days if default is None else min(days, default)


def _by_workspace(events: Sequence[Event]) -> list[list[Event]]:
    batches: dict[Any, list[Event]] = {}
    for event in events:
        batches.setdefault(event.workspace_id, []).append(event)
    return list(batches.values())


def _pace(workspace: Any) -> int | None:
    limit = quota_of(workspace).events_per_minute
    # What no form would have taken counts as none: no emit may fail, or wait for ever, because of it.
    return None if limit is None or not _is_at_least_one(limit) else int(limit)


def _is_at_least_one(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 1 <= value < 10**9


def _left_before(batch: Sequence[Event], places: int) -> tuple[datetime, list[datetime | None]]:
    """Return the database's clock, and when the event left that stands `places` before the batch's first, its second, …

    None: there is none. One statement, which walks over at most so many places of an index.
    """
    skipped = max(places - len(batch), 0)
    with connection().cursor() as cursor:
        workspace_id = stored_key(batch[0].workspace_id)
        cursor.execute(_statement(), [workspace_id, places - skipped, skipped])
        rows = [[as_moment(value) for value in row] for row in cursor.fetchall()]
    now = rows[0][0]
    # A host whose clock is fast says that an event occurred in the future: it has left nevertheless.
    left = [held_until or min(occurred_at, now) for _, held_until, occurred_at in rows if occurred_at]
    return now, [*[None] * (places - skipped - len(left)), *reversed(left)]


def _statement() -> str:
    db = connection()
    quote = db.ops.quote_name
    workspace = quote(str(Event._meta.get_field("workspace").column))
    return f"""
        SELECT {clock_sql(db)}, past.held_until, past.occurred_at FROM (SELECT 1) AS one LEFT JOIN (
            SELECT id, held_until, occurred_at FROM {quote(Event._meta.db_table)}
            WHERE {workspace} = %s AND NOT is_test ORDER BY id DESC LIMIT %s OFFSET %s
        ) AS past ON TRUE ORDER BY past.id DESC
    """  # noqa: S608  names and the clock are ours; every value is a parameter


def _hold(batch: Sequence[Event], left: list[datetime | None], window: timedelta, now: datetime) -> None:
    """`left`: as `_left_before` returns it; what the batch's own events come to is put behind it."""
    for number, event in enumerate(batch):
        before = left[number]
        if before is not None and before + window > now:
            event.held_until = before + window
        left.append(event.held_until or now)


def _webhooks(workspace: Any, quota: Quota) -> Usage:
    used = Webhook.objects.filter(workspace=workspace).count()
    return Usage(
        name="webhooks",
        label=_("Webhooks"),
        used=used,
        limit=quota.webhooks,
        message=Webhook(workspace=workspace).quota_error() or "",
    )


def _events(workspace: Any, quota: Quota, now: datetime) -> Usage:
    events = Event.objects.filter(workspace=workspace, is_test=False)
    held = events.filter(held_until__gt=now).order_by("-held_until")
    message = ""
    if count := held.count():
        until = held[0].held_until
        message = ngettext(
            "%(count)d event is above the quota and is sent later, at %(until)s UTC.",
            "%(count)d events are above the quota and are sent later, the last of them at %(until)s UTC.",
            count,
        ) % {"count": count, "until": f"{until:%Y-%m-%d %H:%M}"}
    return Usage(
        name="events_per_minute",
        label=_("Events per minute"),
        used=events.filter(pk__gt=first_event_id(now - MINUTE)).count(),
        limit=_pace(workspace),
        message=message,
    )


def _days(workspace: Any, quota: Quota, now: datetime) -> Usage:
    oldest = (
        Event.objects.filter(workspace=workspace).order_by("pk").values_list("occurred_at", flat=True).first()
    )
    limit = days_kept(workspace, settings.RETENTION_DAYS)
    return Usage(
        name="days",
        label=_("Days kept"),
        used=0 if oldest is None else max((now - oldest).days, 0),
        limit=limit,
        message="",
    )
