import sys
from pathlib import Path

import certifi
import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.views.debug import get_default_exception_reporter_filter
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
        ("QUOTAS", "nowhere.quota_of"),
        ("QUOTAS", 5),
        ("ENCODERS", {"text/xml": "nowhere.encode"}),
        ("ALLOWED_HOSTS", "crm.example.internal"),
        ("ALLOWED_HOSTS", ["10.0.0.1"]),
        ("ALLOWED_HOSTS", ["[fd00::1]"]),
        ("ALLOWED_HOSTS", ["fd00::1"]),
        ("ALLOWED_HOSTS", ["0x7f000001"]),
        ("ALLOWED_HOSTS", ["crm.example.internal:8080"]),
        ("ALLOWED_HOSTS", ["https://crm.example.internal"]),
        ("ALLOWED_HOSTS", ["crm.example.internal/hook"]),
        ("ALLOWED_HOSTS", ["*"]),
        ("ALLOWED_HOSTS", ["*."]),
        ("ALLOWED_HOSTS", ["crm.*.internal"]),
        ("ALLOWED_HOSTS", [""]),
        ("ALLOWED_HOSTS", [7]),
        ("DENIED_NETWORKS", "10.0.0.0/8"),
        ("DENIED_NETWORKS", ["10.0.0.1/8"]),
        ("DENIED_NETWORKS", None),
        ("ALLOWED_PORTS", 443),
        ("ALLOWED_PORTS", []),
        ("ALLOWED_PORTS", ["443"]),
        ("ALLOWED_PORTS", [0]),
        ("ALLOWED_PORTS", [65536]),
        ("ALLOWED_PORTS", [True]),
        ("HTTPS_ONLY", "no"),
        ("HTTPS_ONLY", None),
        ("EGRESS_PROXY", "proxy.example.internal:3128"),
        ("EGRESS_PROXY", "https://proxy.example.internal:3128"),
        ("EGRESS_PROXY", "http://proxy.example.internal"),
        ("EGRESS_PROXY", "http://proxy.example.internal:0"),
        ("EGRESS_PROXY", "http://proxy.example.internal:3128/path"),
        ("EGRESS_PROXY", 3128),
        ("DISABLE_AFTER", 0),
        ("DISABLE_AFTER", None),
        ("DISABLE_AFTER", float("inf")),
        ("DISABLE_AFTER", 10**12),
        ("RETRY_SCHEDULE", [5, float("inf")]),
        ("ROTATION_OVERLAP", -1),
        ("ROTATION_OVERLAP", 30 * 24 * 3600 + 1),
        ("ROTATION_OVERLAP", None),
        ("BASE_URL", "app.example.com"),
        ("BASE_URL", "https://app.example.com/path"),
        ("BASE_URL", "https://app.example.com/"),
        ("BASE_URL", "https://user@app.example.com"),
        ("BASE_URL", "ftp://app.example.com"),
        ("BASE_URL", "https://"),
        ("BASE_URL", ""),
    ],
)
def test_each_bad_value_is_named(settings, name, value):
    settings.WEBHOOKS = {name: value}
    [error] = checks.check_settings()
    assert error.id == "webhooks.E002"
    assert f"WEBHOOKS[{name!r}]" in error.msg
    assert error.msg.endswith(".")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_HOSTS", ["crm.example.internal", "*.Example.Internal", "bücher.example"]),
        ("DENIED_NETWORKS", ["10.0.0.0/8", "2000::/3"]),
        ("ALLOWED_PORTS", [443, 65535]),
        ("HTTPS_ONLY", True),
        ("EGRESS_PROXY", "http://proxy.example.internal:3128"),
        ("EGRESS_PROXY", "http://[fd00::1]:3128/"),
        ("EGRESS_PROXY", "http://ann:p%40ss@10.0.0.1:3128"),
        ("ROTATION_OVERLAP", 0),
        ("ROTATION_OVERLAP", 30 * 24 * 3600),
        ("BASE_URL", "http://localhost:8000"),
        ("BASE_URL", "https://app.example.com"),
    ],
)
def test_each_good_value_is_accepted(settings, name, value):
    settings.WEBHOOKS = {name: value}
    assert checks.check_settings() == []


@pytest.mark.parametrize(
    "url",
    [
        "http://ann:hunter2@",
        "http://ann:hunter2@:3128",
        "http://ann:hunter2@proxy:99999",
        "http://ann:hunter2@proxy:3128/x",
        "http://ann:hun/ter2@proxy:3128",
        "http://ann:hunter2@pro xy:3128",
        "http://ann:hunter2@-proxy:3128",
        "http://ann:hunter2@1.2.3.4.5:3128",
        "http://ann:hunter2%0A@proxy:3128",
        "http://an%3An:hunter2@proxy:3128",
        "socks5://ann:hunter2@proxy:3128",
        "http://ann:hunter2\uff03@proxy:3128",
    ],
)
def test_a_wrong_proxy_is_explained_without_its_password(settings, url):
    settings.WEBHOOKS = {"EGRESS_PROXY": url}
    [error] = checks.check_settings()
    assert error.msg.startswith("WEBHOOKS['EGRESS_PROXY'] ")
    assert "hun" not in str(error)
    assert "ter2" not in str(error)


def test_a_ca_bundle_must_be_readable_and_hold_certificates(settings, tmp_path):
    def problem(content):
        bundle = tmp_path / "bundle.pem"
        if content is not None:
            bundle.write_bytes(content)
        settings.WEBHOOKS = {"CA_BUNDLE": str(bundle)}
        return " ".join(error.msg for error in checks.check_settings())

    assert "cannot be read (No such file or directory)" in problem(None)
    assert "at least one certificate" in problem(b"")
    assert "at least one certificate" in problem(
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    assert problem(Path(certifi.where()).read_bytes()) == ""
    settings.WEBHOOKS = {"CA_BUNDLE": str(tmp_path)}
    assert "cannot be read" in checks.check_settings()[0].msg


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


@pytest.fixture
def _fresh_filter():
    """Django keeps the first filter that it made."""
    get_default_exception_reporter_filter.cache_clear()
    yield
    get_default_exception_reporter_filter.cache_clear()


@pytest.mark.usefixtures("_fresh_filter")
def test_a_password_that_error_reports_would_show_is_found(settings):
    settings.WEBHOOKS = {"EGRESS_PROXY": "http://ann:hunter2@proxy.example:3128"}
    assert checks.check_error_reports() == []
    settings.DEFAULT_EXCEPTION_REPORTER_FILTER = "django.views.debug.SafeExceptionReporterFilter"
    get_default_exception_reporter_filter.cache_clear()
    [warning] = checks.check_error_reports()
    assert "hunter2" not in str(warning)
    settings.WEBHOOKS = {"EGRESS_PROXY": "http://proxy.example:3128"}
    assert checks.check_error_reports() == []
