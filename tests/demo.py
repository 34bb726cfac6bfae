"""A running `manage.py demo` for tests, on free ports and a database of its own."""

import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from contextlib import contextmanager, suppress

import psycopg

from tests.processes import ROOT, wait_for


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def fresh_database(folder):
    """Yield the URL of an empty database of the vendor that the run is for."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        yield f"sqlite:///{folder}/demo.sqlite3"
        return
    name = f"demo_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield url.replace("/postgres?", f"/{name}?")
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def command(database_url, *arguments):
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "PYTHONUNBUFFERED": "1",
    }
    return {"args": [sys.executable, "manage.py", "demo", *arguments], "cwd": ROOT, "env": environment}


class Demo:
    def __init__(self, database_url):
        self.port, self.receiver_port = free_port(), free_port()
        ports = ("--port", str(self.port), "--receiver-port", str(self.receiver_port))
        self.process = subprocess.Popen(
            **command(database_url, *ports),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.url = f"http://127.0.0.1:{self.port}"
        self.callback_url = f"http://127.0.0.1:{self.receiver_port}/yours"

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def wait_for_line(self, text, seconds=60):
        wait_for(lambda: any(text in line for line in list(self.lines)), seconds, repr(text))


@contextmanager
def running_demo(folder):
    with fresh_database(folder) as database_url:
        demo = Demo(database_url)
        try:
            demo.wait_for_line("Open:")
            yield demo
        finally:
            with suppress(ProcessLookupError):
                demo.process.send_signal(signal.SIGINT)
            demo.process.wait(40)
            demo.reader.join(10)
            demo.process.stdout.close()
