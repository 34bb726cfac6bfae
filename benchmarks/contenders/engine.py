"""This engine, driven by django-q2 tasks or by `manage.py webhooks deliver`.

python -m benchmarks.contenders.engine ASSIGNMENT qcluster|deliver
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial

from benchmarks.contenders.queue import main, mark
from benchmarks.stage import emit_deliveries, migrate, prepare

WAKES = {"qcluster": "django-q2", "deliver": "notify"}


class Engine:
    def __init__(self, driver: str, processes: int) -> None:
        self.driver = driver
        self.processes = processes
        self.owed = 0
        os.environ["BENCHMARK_WAKE"] = WAKES[driver]

    def prepare(self, receiver: str, webhooks: int) -> None:
        start_over()
        prepare(receiver, webhooks)

    def owe(self, count: int) -> int:
        from webhooks.queue import enqueue

        self.owed = len(emit_deliveries(count))
        if self.driver == "qcluster":
            # As the sweep, or a drain at the end of its budget, asks for another.
            for _ in range(self.processes):
                enqueue()
        return self.owed

    def emit(self, number: int) -> None:
        from webhooks.events import emit
        from workspace.models import Workspace

        emit("activity.published", workspace=Workspace.objects.get(), data={"text": mark(number)})

    def recorded(self) -> int:
        from webhooks.models import Attempt

        # The last id costs nothing to read; counting, while the clock runs, would.
        last = Attempt.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        return last if last < self.owed else Attempt.objects.filter(outcome="success").count()

    def commands(self) -> list[list[str]]:
        django = [sys.executable, "-m", "django"]
        if self.driver == "qcluster":
            return [[*django, "qcluster"]]
        return [[*django, "webhooks", "deliver"]] * self.processes

    def environment(self) -> Mapping[str, str]:
        return {"BENCHMARK_WORKERS": str(self.processes)}


def start_over() -> None:
    """Make the tables, and empty them."""
    migrate()
    from django.core.management import call_command

    call_command("flush", verbosity=0, interactive=False)


if __name__ == "__main__":
    main(partial(Engine, sys.argv[2]))
