"""From emit to the receiver at low load: `manage.py webhooks deliver`, and django-q2 with its ORM broker.

    python -m benchmarks.latency [--events 300] [--pause 0.05]

The clock runs from just before `emit()` to the first line of the request, in one process, on PostgreSQL.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmarks.receiving import receiving
from benchmarks.stage import ROOT, migrate, parser_of, postgresql, scratch, wait_until

if TYPE_CHECKING:
    from workspace.models import Workspace


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--pause", type=float, default=0.05)
    options = parser.parse_args()
    with scratch() as folder:
        arrived: dict[str, float] = {}

        def answer(headers: Mapping[str, str], _body: bytes) -> int:
            arrived.setdefault(headers["webhook-id"], time.perf_counter())
            return 200

        with postgresql(folder), receiving(answer) as url:
            workspace = prepare(url)
            for title, command, wake in (
                ("deliver", ["webhooks", "deliver"], "notify"),
                ("django-q2, ORM broker", ["qcluster"], "django-q2"),
            ):
                figures = measure(workspace, arrived, command, wake, options.events, options.pause)
                report(title, figures)


def prepare(url: str) -> Workspace:
    migrate()
    from webhooks.models import Webhook
    from workspace.models import Workspace

    workspace = Workspace.objects.create(name="Benchmark", slug="benchmark")
    webhook = Webhook.objects.create(workspace=workspace, name="one", callback_url=url, secret="secret")
    webhook.subscribe("*")
    return workspace


def measure(
    workspace: Workspace,
    arrived: dict[str, float],
    command: list[str],
    wake: str,
    events: int,
    pause: float,
) -> list[float]:
    """Return the milliseconds from emit to arrival of each event but the first few."""
    from django.conf import settings

    from webhooks.events import emit

    settings.WEBHOOKS = {**settings.WEBHOOKS, "WAKE": wake}
    environment = {**os.environ, "BENCHMARK_WAKE": wake}
    process = subprocess.Popen(
        [sys.executable, "-m", "django", *command], cwd=ROOT, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    emitted: dict[str, float] = {}
    try:
        warm = str(emit("activity.published", workspace=workspace, data={"n": 0}).pk)
        wait_until(lambda: warm in arrived, 60)
        for number in range(events):
            started = time.perf_counter()
            emitted[str(emit("activity.published", workspace=workspace, data={"n": number}).pk)] = started
            time.sleep(pause)
        wait_until(lambda: emitted.keys() <= arrived.keys(), 60)
    finally:
        process.terminate()
        process.wait(30)
    return [1000 * (arrived[key] - started) for key, started in emitted.items()][10:]


def report(title: str, figures: list[float]) -> None:
    cuts = statistics.quantiles(figures, n=100)
    print(
        f"{title}: p50 {statistics.median(figures):.1f} ms, p99 {cuts[98]:.1f} ms, most {max(figures):.1f} ms"
    )


if __name__ == "__main__":
    main()
