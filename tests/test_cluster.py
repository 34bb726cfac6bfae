"""django-q2's real cluster: separate workers, killed workers."""

import os
import signal
import time
from collections import Counter
from contextlib import suppress

import pytest
from django.db import connection, transaction
from django_q.models import OrmQ, Task
from django_q.tasks import async_task

from tests.factories import make_webhook, make_workspace
from tests.processes import descendants, environment, running, wait_for
from webhooks import queue
from webhooks.events import emit
from webhooks.models import Attempt, Delivery

pytestmark = pytest.mark.django_db(transaction=True)


def cluster_environment(database_url, **webhooks):
    return {
        **environment(database_url, **webhooks),
        "TEST_SETTINGS": os.environ["DJANGO_SETTINGS_MODULE"],
        "DJANGO_SETTINGS_MODULE": "tests.cluster_settings",
    }


def test_four_recycled_workers_return_to_each_task_its_own_rows(database_url):
    count = 60
    with running("-m", "django", "qcluster", env=cluster_environment(database_url)):
        for number in range(count):
            async_task("tests.cluster_tasks.echo", number, save=True)
        wait_for(lambda: Task.objects.count() >= count, 90, "every task's answer")
    tasks = Task.objects.filter(func="tests.cluster_tasks.echo")
    assert all(task.success for task in tasks)
    wrong = sum(task.result["wrong"] for task in tasks)
    assert wrong == 0
    assert len({task.result["pid"] for task in tasks}) > 4  # recycled along the way
    if connection.vendor == "postgresql":
        assert len({task.result["backend"] for task in tasks}) > 4


def test_nothing_is_lost_when_the_workers_are_killed(database_url, receiver):
    workspace = make_workspace()
    for number in range(5):
        make_webhook(workspace, name=str(number), callback_url=receiver.url, secret="s", max_attempts=1)
    receiver.answer = slowly
    with transaction.atomic():
        for number in range(100):
            emit("order.created", workspace=workspace, data={"n": number})
    env = cluster_environment(database_url, LEASE=8, TIMEOUT=2, DRAIN_BUDGET=3)
    with running("-m", "django", "qcluster", env=env) as process:
        wait_for(lambda: len(receiver.requests) > 60, 40, "the first requests")
        for pid in [process.pid, *descendants(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
    assert Delivery.objects.filter(status="pending").exists()
    OrmQ.objects.all().delete()  # what the broker knew may be gone as well
    with running("-m", "django", "qcluster", env=env):
        queue.enqueue()
        wait_for(lambda: not Delivery.objects.exclude(status="succeeded").exists(), 60, "every delivery")
    arrived = Counter(request.headers["X-Webhook-Delivery"] for request in receiver.requests)
    assert set(arrived) == {str(pk) for pk in Delivery.objects.values_list("pk", flat=True)}
    assert len(arrived) == 500
    # Sent again is only what had been claimed, and not yet recorded, when the workers died.
    again = [key for key, count in arrived.items() if count > 1]
    assert len(again) <= 5 * 8
    assert Attempt.objects.filter(late=False).count() == 500


def slowly(request):
    time.sleep(0.02)
    return 200, {}, b"ok"
