"""The clock of a worker's host jumps by an hour, to and fro.

PostgreSQL decides by its own clock what is due: nobody notices. SQLite's is the host's: what should be sent an
hour ago is sent at once, what should be sent now an hour later, but nothing is lost and nothing sent again and again.
"""

import pytest
from django.db import connection

from webhooks.models import Attempt, Delivery

from . import workers
from .workers import DELIVER, LEASE

IN_FLIGHT = 30
LATER = 200


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


def settle(scene, stalls):
    """Wait for all that is owed or, when nothing falls due for an hour, until nothing is sent any more."""
    if stalls:
        scene.wait_quiet(2)
    else:
        scene.wait_delivered(LEASE)


@pytest.mark.parametrize("offset", [3600, -3600])
def test_a_clock_that_jumps(scene, clock, database_url, notified, offset):
    env = {**workers.environment(database_url, DELIVER), **clock.environment}
    units = scene.fleet.start(DELIVER, env, number=2)
    scene.receiver.pauses = (1, 1)
    scene.emit(IN_FLIGHT)
    scene.wait_received(IN_FLIGHT)
    clock.set(offset)
    stalls = connection.vendor == "sqlite" and offset < 0
    settle(scene, stalls)
    scene.receiver.pauses = (0.05, 0.25)
    scene.emit(LATER)
    settle(scene, stalls)
    assert not stalls or Delivery.objects.filter(status="pending").count() >= LATER
    clock.set(0)
    scene.emit(LATER)
    scene.wait_delivered(2 * LEASE)
    assert all(unit.process.poll() is None for unit in units)
    assert not scene.examine().repeated
    again = Attempt.objects.filter(late=True).count()
    scene.say(f"{again} sent once more because the clock jumped")
    # SQLite: what one process had in flight may look forsaken to the other, once.
    forsaken = connection.vendor == "sqlite" and offset > 0
    assert again <= (IN_FLIGHT if forsaken else 0)
