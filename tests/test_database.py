import os

import pytest
from django.core.management import call_command
from django.db import connection

pytestmark = pytest.mark.django_db


def test_the_database_is_the_one_that_the_run_is_for():
    assert connection.vendor == os.environ.get("TEST_DATABASE_VENDOR", "sqlite")


def test_the_models_are_what_the_migrations_made():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_the_sweep_is_scheduled_once_a_minute():
    from django_q.models import Schedule

    sweep = Schedule.objects.get(name="webhooks-sweep")
    assert (sweep.func, sweep.schedule_type, sweep.minutes, sweep.repeats) == (
        "webhooks.tasks.sweep",
        "I",
        1,
        -1,
    )
