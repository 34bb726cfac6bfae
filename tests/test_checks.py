import sys

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django_q.models import Schedule

from webhooks import checks
from webhooks.conf import settings as app_settings


def ids(messages):
    return [message.id for message in messages]


def test_the_projects_own_settings_are_clean():
    assert checks.check_settings() == []
    assert checks.check_database() == []
    assert checks.check_workspace_model() == []
    assert checks.check_cluster() == []


def test_an_unknown_key_is_refused_with_the_nearest_known_one(settings):
    settings.WEBHOOKS = {"TIMEOUTS": 3}
    [error] = checks.check_settings()
    assert error.msg == "WEBHOOKS has no setting TIMEOUTS. Did you mean TIMEOUT?"
    with pytest.raises(ImproperlyConfigured, match="Did you mean TIMEOUT"):
        _ = app_settings.LEASE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIMEOUT", 0),
        ("TIMEOUT", "15"),
        ("CONCURRENCY", 1.5),
        ("CONCURRENCY", True),
        ("RETRY_SCHEDULE", []),
        ("RETRY_SCHEDULE", [5, -1]),
        ("RETRY_JITTER", 1),
        ("ALLOWED_NETWORKS", "10.0.0.0/8"),
        ("ALLOWED_NETWORKS", ["10.0.0.1/8"]),
        ("ENCRYPTION_KEYS", ["short"]),
        ("ENCRYPTION_KEYS", []),
        ("RETENTION_DAYS", 0),
        ("WAKE", "celery"),
        ("ACCESS", "nowhere.Access"),
        ("ENCODERS", {"text/xml": "nowhere.encode"}),
    ],
)
def test_each_bad_value_is_named(settings, name, value):
    settings.WEBHOOKS = {name: value}
    [error] = checks.check_settings()
    assert error.id == "webhooks.E002"
    assert f"WEBHOOKS[{name!r}]" in error.msg


def test_a_lease_too_short_to_send_anything_is_an_error(settings):
    settings.WEBHOOKS = {"LEASE": 20, "TIMEOUT": 15}
    assert ids(checks.check_settings()) == ["webhooks.E003"]


def test_a_pool_is_refused_where_processes_fork(monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", True)
    assert checks.check_pool() == []
    monkeypatch.setattr(sys, "argv", ["manage.py", "qcluster"])
    assert ids(checks.check_pool()) == ["webhooks.E006"]


def test_the_derived_key_is_mentioned_at_deployment(settings):
    assert ids(checks.check_encryption_keys()) == ["webhooks.W003"]
    assert "SECRET_KEY_FALLBACKS" in checks.check_encryption_keys()[0].hint
    assert django_settings.SECRET_KEY not in str(checks.check_encryption_keys())


def test_a_workspace_model_that_is_not_there_is_an_error(settings):
    settings.WEBHOOKS_WORKSPACE_MODEL = "nowhere.Team"
    assert ids(checks.check_workspace_model()) == ["webhooks.E004"]


@pytest.mark.django_db
def test_a_sweep_of_another_cluster_is_found_and_corrected(settings):
    Schedule.objects.filter(name="webhooks-sweep").update(cluster="elsewhere")
    assert ids(checks.check_sweep(databases=["default"])) == ["webhooks.W005"]
    call_command("migrate", verbosity=0)
    assert checks.check_sweep(databases=["default"]) == []
