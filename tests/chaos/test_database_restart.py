"""PostgreSQL ends at once, in the middle of everything, and comes back: the workers recover unaided."""

from pathlib import Path

import pytest
from django.db import connection

from tests.conftest import missing

from . import workers
from .postgresql import Server
from .workers import CLUSTER, DELIVER, LEASE

pytestmark = pytest.mark.skipif(
    "not __import__('django').db.connection.vendor == 'postgresql'", reason="SQLite is no server"
)


@pytest.fixture
def server(transactional_db):
    settings = connection.settings_dict
    folder = Path(settings["OPTIONS"].get("host") or settings["HOST"])
    if not (folder / "postmaster.opts").exists():
        missing("the PostgreSQL server is not the tests' own")
    server = Server(folder)
    yield server
    server.ensure_running()


def restarted_in_the_middle(scene, server, unit, seconds):
    scene.emit(500)
    scene.wait_received(100)
    server.stop()
    scene.wait_quiet(1)
    server.start()
    scene.emit(500)
    scene.wait_delivered(seconds)
    assert unit.process.poll() is None
    scene.examine()


def test_deliver(scene, server, database_url, notified):
    [unit] = scene.fleet.start(DELIVER, workers.environment(database_url, DELIVER))
    restarted_in_the_middle(scene, server, unit, 2 * LEASE)


def test_cluster(scene, server, database_url):
    [unit] = scene.fleet.start(CLUSTER, workers.environment(database_url, CLUSTER))
    # django-q2's pusher rests ten seconds before it tries again.
    restarted_in_the_middle(scene, server, unit, 10 + 2 * LEASE)
