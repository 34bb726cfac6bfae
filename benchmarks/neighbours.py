"""Healthy webhooks beside others that hang, and beside long backlogs of a webhook and of a workspace; PostgreSQL.

    python -m benchmarks.neighbours [--seconds 8] [--backlog 1000000] [--flood 100000]

An event is emitted every 50 ms. The time of a healthy delivery runs from the emit to the end of its attempt.
"hanging": half of 20 webhooks, subscribed to the same events, never answer. "backlog": another webhook owns a
million due deliveries, which the worker sends meanwhile. "flood": another workspace owns 100,000, of 50 webhooks,
which two workers send meanwhile.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.backlog import add, begin
from benchmarks.bad_receivers import P99_MARGIN, PACE, milliseconds, p99
from benchmarks.stage import migrate, parser_of, postgresql, scratch, wait_until, workers
from benchmarks.surroundings import light_receiver

if TYPE_CHECKING:
    from workspace.models import Workspace

HALF = 10
# Webhooks of the workspace that floods.
FLOODING = 50
TIMEOUT = 3.0
EVENT = "activity.published"


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--backlog", type=int, default=1_000_000)
    parser.add_argument("--flood", type=int, default=100_000)
    options = parser.parse_args()
    os.environ["WEBHOOKS"] = json.dumps({"TIMEOUT": TIMEOUT, "CONNECT_TIMEOUT": TIMEOUT})
    with (
        scratch() as folder,
        postgresql(folder),
        light_receiver(folder / "healthy", "0") as (healthy, _),
        light_receiver(folder / "hanging", "never") as (hanging, _),
    ):
        migrate()
        kept = beside_hanging(healthy, hanging, options.seconds)
        kept &= beside_backlog(healthy, options.backlog, options.seconds)
        kept &= beside_flood(healthy, options.flood, options.seconds)
    return 0 if kept else 1


def beside_hanging(healthy: str, hanging: str, seconds: float) -> bool:
    from webhooks.models import Webhook
    from workspace.models import Workspace

    workspace = Workspace.objects.create(name="Neighbours", slug="neighbours")
    for number in range(HALF):
        register(workspace, f"healthy {number}", healthy)
        register(workspace, f"hanging {number}", hanging, is_active=False)
    with workers(1, budget=600):
        emit_for(1, workspace)  # connections are opened, caches filled
        idle = emit_for(seconds, workspace)
        Webhook.objects.filter(is_active=False).update(is_active=True)
        beside = emit_for(seconds, workspace)
    return report(f"{HALF} of {2 * HALF} webhooks hang", idle, beside)


def beside_backlog(healthy: str, rows: int, seconds: float) -> bool:
    from webhooks.models import Webhook

    begin(1)
    noisy = Webhook.objects.get()
    idle, beside = before_and_beside(healthy, rows, seconds, noisy.workspace, processes=1)
    return report(f"a backlog of {rows:,}", idle, beside)


def beside_flood(healthy: str, rows: int, seconds: float) -> bool:
    from workspace.models import Workspace

    begin(FLOODING)
    other = Workspace.objects.create(name="Other", slug="other")
    idle, beside = before_and_beside(healthy, rows, seconds, other, processes=2)
    return report(f"another workspace floods {rows:,}", idle, beside)


def before_and_beside(
    healthy: str, rows: int, seconds: float, workspace: Workspace, *, processes: int
) -> tuple[list[float], list[float]]:
    """Return the times of a healthy webhook of `workspace`, before there is a backlog and beside it."""
    from webhooks.models import Webhook

    Webhook.objects.update(callback_url=healthy)
    register(workspace, "healthy", healthy)
    with workers(processes, budget=600):
        emit_for(1, workspace)
        idle = emit_for(seconds, workspace)
        add(rows)
        return idle, emit_for(seconds, workspace)


def register(workspace: Workspace, name: str, url: str, *, is_active: bool = True) -> None:
    from webhooks.models import Webhook

    webhook = Webhook.objects.create(
        workspace=workspace, name=name, callback_url=url, is_active=is_active, max_attempts=1
    )
    webhook.subscribe(EVENT)


def emit_for(seconds: float, workspace: Workspace) -> list[float]:
    """Emit at an even pace, and return how many seconds each healthy delivery took."""
    from webhooks.events import emit
    from webhooks.models import Attempt, Delivery

    started = time.monotonic()
    events = {}
    for number in range(int(seconds / PACE)):
        event = emit(EVENT, workspace=workspace, data={"number": number})
        events[event.pk] = event.occurred_at
        time.sleep(max(started + (number + 1) * PACE - time.monotonic(), 0))
    owed = Delivery.objects.filter(event__in=events, webhook__name__startswith="healthy")
    wait_until(lambda: not owed.filter(status="pending").exists(), 60)
    ended = Attempt.objects.filter(delivery__in=owed, outcome="success")
    rows = ended.values_list("delivery__event", "started_at", "duration_ms")
    durations = [(start - events[event]).total_seconds() + ms / 1000 for event, start, ms in rows]
    assert len(durations) == owed.count() > 0, "a healthy delivery failed"
    return durations


def report(beside_what: str, idle: list[float], beside: list[float]) -> bool:
    """Print what the neighbour costs the healthy ones; return whether that is within the bound."""
    kept = p99(beside) - p99(idle) <= P99_MARGIN
    print(f"{beside_what}: healthy p50 {milliseconds(statistics.median(idle))} alone,", end=" ")
    print(f"{milliseconds(statistics.median(beside))} beside;", end=" ")
    print(f"p99 {milliseconds(p99(idle))} alone, {milliseconds(p99(beside))} beside;", end=" ")
    print(f"target: within {milliseconds(P99_MARGIN)}: {'kept' if kept else 'missed'}", flush=True)
    return kept


if __name__ == "__main__":
    sys.exit(main())
