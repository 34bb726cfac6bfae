"""SIGTERM at random moments: what is in flight ends, what is not yet sent is handed back, nothing is sent twice."""

import time

from tests.processes import wait_for
from webhooks.models import Delivery

from . import workers
from .workers import CLUSTER, DELIVER, GRACE, LEASE

ROUNDS = 4
# So many that what is claimed need not all have been sent when the signal comes.
CLAIMED = 250


def stopped_again_and_again(scene, rng, unit):
    longest = 0
    for _ in range(ROUNDS):
        started = time.monotonic()
        scene.emit(CLAIMED)
        scene.wait_tended(lambda since=started: scene.receiver.active(since), 30)
        time.sleep(rng.uniform(0, 0.3))
        longest = max(longest, unit.terminate(GRACE))
        wait_for(lambda: not unit.pids(), 5, "the end of every child")
        assert not Delivery.objects.filter(claim__isnull=False).exists()
        unit.start()
    scene.say(f"stopped {ROUNDS} times, the longest took {longest:.1f} s")
    scene.wait_delivered(2 * LEASE)
    assert not scene.examine().repeated


def test_deliver(scene, rng, database_url, notified):
    [unit] = scene.fleet.start(DELIVER, workers.environment(database_url, DELIVER, CONCURRENCY=CLAIMED))
    stopped_again_and_again(scene, rng, unit)


def test_cluster(scene, rng, database_url):
    # To the main process alone, as systemd's KillMode=mixed sends it.
    [unit] = scene.fleet.start(CLUSTER, workers.environment(database_url, CLUSTER, CONCURRENCY=CLAIMED))
    stopped_again_and_again(scene, rng, unit)
