"""One healthy receiver beside 20 that trickle, stall or flood, all at once, through the engine on PostgreSQL.

    python -m benchmarks.bad_receivers [--seconds 12]

A delivery for the healthy receiver is emitted every 50 ms, first alone, then while each bad receiver has two
requests or more in flight. Its time runs from the emit to the end of the attempt. The receivers run in
processes of their own, and so does the worker; PostgreSQL is the embedded one.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.sockets import FLOODS, SLOW, serving_apart

from .stage import ROOT, migrate, parser_of, postgresql, scratch, wait_until

BAD = 20
IN_FLIGHT_EACH = 2
TIMEOUT = 3.0
PACE = 0.05
# What must be kept: seconds, bytes, seconds.
P99_MARGIN = 0.1
GROWTH = 50_000_000
EXCESS = 0.2
OVER_TLS = ("stalled-tls", "trickled-tls")
KINDS = tuple(dict.fromkeys([*OVER_TLS, *SLOW, *FLOODS]))
HEALTHY_EVENT, BAD_EVENT = "activity.published", "activity.updated"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Durations in seconds, memory in bytes."""

    idle: list[float]
    beside: list[float]
    growth: int
    bad_attempts: int
    longest_bad: float


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=float, default=12)
    seconds = parser.parse_args().seconds
    kinds = [KINDS[number % len(KINDS)] for number in range(BAD)]
    os.environ["WEBHOOKS"] = json.dumps(
        {"TIMEOUT": TIMEOUT, "CONNECT_TIMEOUT": TIMEOUT, "RETRY_SCHEDULE": [0.5], "RETRY_JITTER": 0}
    )
    with (
        scratch() as folder,
        serving_apart("keep-alive") as [healthy],
        serving_apart(*kinds) as bad,
        postgresql(folder),
    ):
        prepare(healthy, dict(zip(bad, kinds, strict=True)))
        measured = measure(seconds)
    return report(measured)


def prepare(healthy: str, bad: dict[str, str]) -> None:
    migrate()
    from webhooks.models import Webhook
    from workspace.models import Workspace

    workspace = Workspace.objects.create(name="Benchmark", slug="benchmark")
    Webhook.objects.create(workspace=workspace, name="healthy", callback_url=healthy).subscribe(HEALTHY_EVENT)
    for number, (url, kind) in enumerate(bad.items()):
        webhook = Webhook.objects.create(
            workspace=workspace,
            name=f"{kind} {number}",
            callback_url=url.replace("http:", "https:") if kind in OVER_TLS else url,
            max_attempts=2,
        )
        webhook.subscribe(BAD_EVENT)


def measure(seconds: float) -> Measured:
    from webhooks.models import Attempt

    with working() as worker:
        emit_for(1, beside=False)  # connections are opened, caches filled
        idle = emit_for(seconds, beside=False)
        before = resident(worker.pid)
        beside = emit_for(seconds, beside=True)
        growth = resident(worker.pid) - before
    bad = Attempt.objects.exclude(delivery__event__type=HEALTHY_EVENT)
    durations = list(bad.values_list("duration_ms", flat=True))
    assert len(durations) >= BAD * IN_FLIGHT_EACH, "the bad receivers were not called"
    return Measured(
        idle=idle,
        beside=beside,
        growth=growth,
        bad_attempts=len(durations),
        longest_bad=max(durations) / 1000,
    )


@contextmanager
def working() -> Iterator[subprocess.Popen[str]]:
    """Run a worker until the block ends."""
    code = "from benchmarks.bad_receivers import work; work()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdout.readline()  # it is ready
        yield process
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def work() -> None:
    """Deliver what is due, until the standard input ends."""
    import django

    django.setup()
    from webhooks.engine import drain

    watcher = threading.Thread(target=sys.stdin.read, daemon=True)
    watcher.start()
    print("ready", flush=True)
    while watcher.is_alive():
        drain(budget=math.inf)
        time.sleep(PACE / 4)


def emit_for(seconds: float, *, beside: bool) -> list[float]:
    """Emit at an even pace, and return how long each delivery of the healthy receiver took."""
    from webhooks.events import emit
    from webhooks.models import Attempt, Delivery, Event
    from workspace.models import Workspace

    workspace = Workspace.objects.get()
    started = time.monotonic()
    waves, ids = 0, []
    for number in range(int(seconds / PACE)):
        if beside and number * PACE >= waves * TIMEOUT:
            waves += 1
            for _ in range(IN_FLIGHT_EACH):
                emit(BAD_EVENT, workspace=workspace, data={"number": number})
        ids.append(emit(HEALTHY_EVENT, workspace=workspace, data={"number": number}).pk)
        time.sleep(max(started + (number + 1) * PACE - time.monotonic(), 0))
    wait_until(lambda: not Delivery.objects.filter(status="pending").exists(), 60)
    emitted = dict(Event.objects.filter(pk__in=ids).values_list("pk", "occurred_at"))
    attempts = Attempt.objects.filter(delivery__event__in=ids, outcome="success")
    ends = attempts.values_list("delivery__event", "started_at", "duration_ms")
    durations = [(start - emitted[pk]).total_seconds() + ms / 1000 for pk, start, ms in ends]
    assert len(durations) == len(ids), "a delivery to the healthy receiver failed"
    return durations


def resident(pid: int) -> int:
    """Return the memory that a process holds, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def report(measured: Measured) -> int:
    """Print what was measured against what must be kept; return 0 if all of it was."""
    p99_idle, p99_beside = p99(measured.idle), p99(measured.beside)
    rows = [
        ("healthy p50, idle", milliseconds(statistics.median(measured.idle)), "", None),
        ("healthy p50, beside", milliseconds(statistics.median(measured.beside)), "", None),
        ("healthy p99, idle", milliseconds(p99_idle), "", None),
        (
            "healthy p99, beside",
            milliseconds(p99_beside),
            f"within {milliseconds(P99_MARGIN)} of idle",
            p99_beside - p99_idle <= P99_MARGIN,
        ),
        (
            "growth of the worker",
            f"{measured.growth / 1e6:.1f} MB",
            f"under {GROWTH / 1e6:.0f} MB",
            measured.growth < GROWTH,
        ),
        (
            f"longest of {measured.bad_attempts:,} bad attempts",
            f"{measured.longest_bad:.2f} s",
            f"at most {TIMEOUT + EXCESS:.1f} s",
            measured.longest_bad <= TIMEOUT + EXCESS,
        ),
    ]
    for name, value, bound, kept in rows:
        verdict = "" if kept is None else "kept" if kept else "missed"
        print(f"{name:32} {value:>10}  {bound:24} {verdict}".rstrip())
    return 0 if all(kept is not False for *_, kept in rows) else 1


def p99(durations: list[float]) -> float:
    return statistics.quantiles(durations, n=100)[98]


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
