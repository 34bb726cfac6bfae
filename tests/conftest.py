"""Real parts for tests: receivers on real sockets, and a skip that .ci/run does not forgive."""

import os
import shutil
import sys
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.signals import got_request_exception
from django.db import connection
from django.views.debug import ExceptionReporter

from webhooks.queue import low_water

from .factories import make_user, make_workspace
from .networks import own_network

# With a foreign workspace model, what is about our `workspace` and `project` apps is left out, and the reverse; so is
# the network door, which knows of no workspace.
if apps.is_installed("workspace"):
    collect_ignore_glob = ["swapped/*"]
else:
    collect_ignore_glob = [
        "test_admin*",
        "test_demo*",
        "test_project*",
        "test_workspace*",
        "browser/*",
        "chaos/*",
        "test_benchmarks*",
        "test_addresses*",
        "test_dialling*",
        "test_proxy*",
        "test_resolver*",
        "test_tls*",
        "test_transport*",
    ]


@pytest.fixture(autouse=True)
def no_low_water(monkeypatch):
    """Tests put rows into the past, where a look that was slow on a busy machine would leave them for a while."""
    monkeypatch.setattr(low_water, "SLOW", float("inf"))


@pytest.fixture
def require():
    """Return a function that skips the test when a program is missing, or fails it under REQUIRE_ALL=1."""

    def needed(program):
        path = shutil.which(program)
        if path is None:
            missing(f"{program} is not installed")
        return path

    return needed


def missing(reason):
    """Skip the test for something that this machine lacks, or fail it under REQUIRE_ALL=1."""
    (pytest.fail if os.environ.get("REQUIRE_ALL") == "1" else pytest.skip)(reason)


@pytest.fixture
def network(require):
    """Put the test into a network of its own, see tests/networks.py."""
    require("ip")
    with ExitStack() as stack:
        try:
            own = stack.enter_context(own_network(ipv6=["2606:2800::1"]))
        except OSError as error:
            missing(f"no network of its own can be made: {error}")
        yield own


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


class Receiver:
    """A receiver on loopback. `answer(request) -> (status, headers, body)` may be replaced."""

    def __init__(self):
        self.requests = []
        self.answer = lambda request: (200, {}, b"ok")
        self.lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = SimpleNamespace(
                    method=self.command, path=self.path, headers=self.headers, body=body
                )
                with receiver.lock:
                    receiver.requests.append(request)
                status, headers, content = receiver.answer(request)
                lines = [f"HTTP/1.1 {status} Answer", f"Content-Length: {len(content)}"]
                lines += [f"{name}: {value}" for name, value in headers.items()]
                self.wfile.write("\r\n".join([*lines, "", ""]).encode() + content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

            def log_message(self, *args):
                pass

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def database_url():
    """The URL of the test database, for processes of their own."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    host = settings["OPTIONS"].get("host") or settings["HOST"]
    return f"postgresql://{settings['USER']}@/{settings['NAME']}?host={host}"


@pytest.fixture
def workspace():
    return make_workspace()


@pytest.fixture
def owner(client, workspace):
    """An owner of the workspace who is logged in."""
    user = make_user("olga", role="owner", workspace=workspace)
    client.force_login(user)
    return user


@pytest.fixture
def error_reports():
    """The pages that Django would show, or mail, for each request that ended in a server error."""
    pages = []

    def report(request, **_):
        pages.append(ExceptionReporter(request, *sys.exc_info()).get_traceback_html())

    got_request_exception.connect(report)
    yield pages
    got_request_exception.disconnect(report)


@pytest.fixture
def broken():
    """A function that fails: put in the place of another, it makes a server error."""

    def fail(*args, **kwargs):
        raise RuntimeError("broken")

    return fail
