"""One django-q2 task per delivery, as one would write it first.

python -m benchmarks.contenders.tasks ASSIGNMENT
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping

from benchmarks.contenders.engine import start_over
from benchmarks.contenders.queue import main, mark
from benchmarks.stage import emit_deliveries, prepare

TASK = "benchmarks.one_task_per_delivery.deliver"


class Tasks:
    def __init__(self, processes: int) -> None:
        self.processes = processes
        # The engine must not be woken: it would take the deliveries away.
        os.environ["BENCHMARK_WAKE"] = "notify"

    def prepare(self, receiver: str, webhooks: int) -> None:
        start_over()
        prepare(receiver, webhooks)
        from django_q.models import Schedule

        Schedule.objects.all().delete()

    def owe(self, count: int) -> int:
        deliveries = emit_deliveries(count)
        self._ask(deliveries)
        return len(deliveries)

    def emit(self, number: int) -> None:
        from webhooks.events import emit
        from workspace.models import Workspace

        event = emit("activity.published", workspace=Workspace.objects.get(), data={"text": mark(number)})
        self._ask(event.deliveries.values_list("pk", flat=True))

    def _ask(self, deliveries: Iterable[int]) -> None:
        from django_q.tasks import async_task

        for pk in deliveries:
            async_task(TASK, pk)

    def recorded(self) -> int:
        from webhooks.models import Delivery

        return Delivery.objects.filter(status="succeeded").count()

    def commands(self) -> list[list[str]]:
        return [[sys.executable, "-m", "django", "qcluster"]]

    def environment(self) -> Mapping[str, str]:
        return {"BENCHMARK_WORKERS": str(self.processes)}


if __name__ == "__main__":
    main(Tasks)
