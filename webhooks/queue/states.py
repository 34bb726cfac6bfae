"""The health of webhooks, kept while attempts are recorded and, where time alone changes it, by the sweep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet

from .. import health
from ..conf import settings
from ..health import Change, Health, Notice
from ..models import Webhook, WebhookState
from ..models.database import alias
from ..retry import Outcome
from .clock import database_now
from .rows import states, webhooks
from .waking import notify_after_commit

GONE = "The receiver answered 410 Gone."
_FIELDS = tuple(Health.__dataclass_fields__)
_WRITTEN = (
    *_FIELDS,
    "error_kind",
    "status_code",
    "disabled_at",
    "disabled_because",
    "notice",
    "notice_due_at",
)
HEALTHY = Q(consecutive_failures=0, paused_until=None, drip=None, told=0)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one attempt says of its webhook."""

    webhook_id: int
    outcome: Outcome
    error_kind: str
    status_code: int | None


@dataclass(frozen=True)
class Told:
    """What the owners of a webhook are to be told."""

    webhook_id: int
    notice: Notice


def note(
    findings: Sequence[Finding], unwell: set[int], now: datetime
) -> tuple[list[Told], dict[int, WebhookState]]:
    """Fold the findings, in their order, into the health of their webhooks; in the caller's transaction.

    `unwell` are the webhooks whose state is not simply well. Returns the notices, and the states of those and of
    the webhooks that failed. A batch of successes of healthy webhooks costs nothing.
    """
    by_webhook: dict[int, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_webhook[finding.webhook_id].append(finding)
    concerned = _failed(by_webhook) | (unwell & by_webhook.keys())
    if not concerned:
        return [], {}
    locked = locked_states(concerned)
    told = []
    for state in locked:
        notice = _folded(state, by_webhook[state.webhook_id], now)
        if notice is not None:
            told.append(Told(state.webhook_id, notice))
    write_states(locked, _WRITTEN)
    _switch_off([one.webhook_id for one in told if one.notice is Notice.DISABLED], now)
    return told, {state.webhook_id: state for state in locked}


def remind(now: datetime | None = None) -> int:
    """Set the warnings that have fallen due without a new failure; return how many those are.

    A webhook that is paused for hours is not heard of by any attempt. Asks for the mails that are due.
    """
    now = now or database_now()
    after = timedelta(seconds=settings.DISABLE_AFTER)
    with transaction.atomic(using=alias()):
        unwarned = states().filter(failing_since__lte=now - after / 2, told__gte=1, webhook__is_active=True)
        changed = []
        for state in _ordered_and_locked(unwarned):
            change = health.reminded(_health_of(state), now, after)
            if change.notice is not None:
                _apply(state, change, now)
                changed.append(state)
        write_states(changed, _WRITTEN)
        if states().filter(notice_due_at__lte=now).exists():
            notify_after_commit()
    return len(changed)


def activated(webhook_id: int, now: datetime) -> None:
    """Begin afresh: a person activates the webhook. In the caller's transaction, before the webhook is locked."""
    for state in locked_states([webhook_id]):
        _apply(state, health.after_activation(_health_of(state), now), now)
        state.disabled_at, state.disabled_because = None, ""
        write_states([state], _WRITTEN)


def resumed(webhook_id: int, now: datetime) -> bool:
    """End the webhook's pause, so that one delivery is tried at once; return whether there was a pause."""
    return bool(states().filter(webhook=webhook_id, paused_until__gt=now).update(paused_until=now))


def _failed(by_webhook: dict[int, list[Finding]]) -> set[int]:
    return {
        pk for pk, found in by_webhook.items() if any(one.outcome is not Outcome.SUCCESS for one in found)
    }


def locked_states(ids: Collection[int]) -> list[WebhookState]:
    """Lock the states of these webhooks, in the order of their ids; make those that are missing first."""
    present = set(states().filter(webhook__in=ids).values_list("webhook_id", flat=True))
    missing = sorted(set(ids) - present)
    if missing:
        states().bulk_create([WebhookState(webhook_id=pk) for pk in missing], ignore_conflicts=True)
    return list(_ordered_and_locked(states().filter(webhook__in=ids)))


def write_states(locked: Sequence[WebhookState], fields: Sequence[str]) -> None:
    """Write these fields of locked rows in one statement: they exist, so each is a conflict and an update."""
    if locked:
        states().bulk_create(locked, update_conflicts=True, unique_fields=["webhook"], update_fields=fields)


def _ordered_and_locked(rows: QuerySet[WebhookState]) -> QuerySet[WebhookState]:
    only = ("is_active", "deleted_at", "max_in_flight", "ordered")
    deferred = [field.name for field in Webhook._meta.concrete_fields if field.name not in ("id", *only)]
    return (
        rows.select_related("webhook")
        .defer(*(f"webhook__{name}" for name in deferred))
        .order_by("webhook_id")
        .select_for_update(of=("self",))
    )


def _folded(state: WebhookState, findings: Iterable[Finding], now: datetime) -> Notice | None:
    """Change the state as the findings ask; return the last notice that this gives rise to."""
    latest = None
    for finding in findings:
        change = _change(state, finding, now)
        if change.notice is not None and not _is_on(state):
            # A person, or another worker, was quicker: nothing that ends after that is news to the owners.
            change = Change(replace(change.health, told=state.told))
        _apply(state, change, now)
        if finding.outcome is not Outcome.SUCCESS:
            state.error_kind, state.status_code = finding.error_kind, finding.status_code
        if change.notice is not None:
            latest = change.notice
        if change.notice is Notice.DISABLED:
            state.disabled_at = now
            state.disabled_because = GONE if finding.outcome is Outcome.GONE else _failed_for()
            break
    return latest


def _change(state: WebhookState, finding: Finding, now: datetime) -> Change:
    before = _health_of(state)
    if finding.outcome is Outcome.SUCCESS:
        return health.after_success(before, cap_of(state.webhook))
    if finding.outcome is Outcome.GONE:
        return health.after_gone(before, now)
    return health.after_failure(before, now, timedelta(seconds=settings.DISABLE_AFTER))


def cap_of(webhook: Webhook) -> int:
    """Return how many deliveries of a healthy webhook may be in flight."""
    if webhook.ordered:
        return 1
    return min(settings.IN_FLIGHT_PER_WEBHOOK, webhook.max_in_flight or settings.IN_FLIGHT_PER_WEBHOOK)


def _failed_for() -> str:
    return (
        f"No delivery succeeded for {timedelta(seconds=settings.DISABLE_AFTER) / timedelta(days=1):g} days."
    )


def _is_on(state: WebhookState) -> bool:
    # The webhook was read beside the state but is not locked: whoever disabled it meanwhile has said so here.
    return state.webhook.is_active and state.webhook.deleted_at is None and state.disabled_at is None


def _health_of(state: WebhookState) -> Health:
    return Health(**{name: getattr(state, name) for name in _FIELDS})


def _apply(state: WebhookState, change: Change, now: datetime) -> None:
    for name, value in asdict(change.health).items():
        setattr(state, name, value)
    if change.notice is not None and state.webhook.deleted_at is None:
        state.notice, state.notice_due_at = change.notice.value, now


def _switch_off(ids: Collection[int], now: datetime) -> None:
    if not ids:
        return
    # no_key: a plain FOR UPDATE would stop every emit of the workspace.
    rows = webhooks().filter(pk__in=ids, is_active=True).order_by("pk").select_for_update(no_key=True)
    webhooks().filter(pk__in=list(rows.values_list("pk", flat=True))).update(
        is_active=False, version=F("version") + 1, updated_at=now
    )
