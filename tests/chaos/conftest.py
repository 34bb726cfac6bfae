"""Chaos: real workers that are killed, stopped and misled. CHAOS_SEED=<number> repeats a run's random choices."""

import os
import random

import pytest

from .receiver import receiving
from .scene import Scene
from .workers import fleet

SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**9))
_said = []


@pytest.fixture
def rng(request):
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def notified(settings):
    """Emit for `webhooks deliver`, not for django-q2."""
    settings.WEBHOOKS = {**settings.WEBHOOKS, "WAKE": "notify"}


@pytest.fixture
def scene(request, transactional_db):
    def say(line):
        _said.append(f"{request.node.name}: {line}")

    with fleet() as units, receiving(units.senders, (0.05, 0.25)) as receiver:
        yield Scene(receiver, units, say)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section(f"chaos, CHAOS_SEED={SEED}")
    for line in _said:
        terminalreporter.write_line(line)
