"""The clock of a worker's host jumps by an hour, to and fro.

PostgreSQL decides by its own clock what is due: nobody notices. SQLite's is the host's: what should be sent an
hour ago is sent at once, what should be sent now an hour later, but nothing is lost and nothing sent again and again.
"""

import pytest
from django.db import connection

from webhooks.models import Attempt

from . import workers
from .workers import DELIVER, LEASE

CONCURRENCY = 32


@pytest.fixture
def clock(tmp_path):
    return HostClock(tmp_path / "offset")


class HostClock:
    """The clock of the processes that are started with `environment`; see host_clock.py."""

    def __init__(self, file):
        self._file = file
        self.environment = {"DJANGO_SETTINGS_MODULE": "tests.chaos.host_clock", "CLOCK_OFFSET": str(file)}
        self.set(0)

    def set(self, offset):
        """Set it to so many seconds beside the right time."""
        new = self._file.with_suffix(".new")
        new.write_text(str(offset))
        new.replace(self._file)


@pytest.mark.parametrize("offset", [3600, -3600])
def test_a_clock_that_jumps(scene, clock, database_url, notified, offset):
    env = {**workers.environment(database_url, DELIVER, CONCURRENCY=CONCURRENCY), **clock.environment}
    scene.fleet.start(DELIVER, env)
    scene.emit(300)
    scene.wait_received(100)
    clock.set(offset)
    scene.emit(300)
    if connection.vendor == "postgresql":
        scene.wait_delivered(LEASE)
    else:
        scene.wait_quiet(1)
    clock.set(0)
    scene.emit(300)
    scene.wait_delivered(2 * LEASE)
    finding = scene.examine()
    assert not finding.repeated
    late = Attempt.objects.filter(late=True).count()
    scene.say(f"{late} sent again because the clock jumped")
    assert late <= (0 if connection.vendor == "postgresql" else 2 * CONCURRENCY)
