"""System checks: what is set wrong, said before the first delivery rather than after it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from django.conf import settings as django_settings
from django.core import checks
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import connections, router
from django.views.debug import get_default_exception_reporter_filter
from django.views.decorators.debug import sensitive_variables
from django_q.conf import Conf
from django_q.models import Schedule

from .conf import KEYS, RECORD_MARGIN, settings, unknown_keys_message, workspace_model
from .models.database import alias
from .setting_rules import setting_problems

Messages = list[checks.CheckMessage]


def register() -> None:
    for check in (
        check_settings,
        check_workspace_model,
        check_pool,
        check_broker,
        check_cluster,
        check_database,
        check_error_reports,
    ):
        checks.register(check, "webhooks")
    checks.register(check_encryption_keys, "webhooks", deploy=True)
    checks.register(check_sweep, checks.Tags.database)


def check_settings(**_: Any) -> Messages:
    """Each setting on its own, then what they must be to one another."""
    configured = getattr(django_settings, "WEBHOOKS", {})
    unknown = set(configured) - KEYS
    if unknown:
        return [checks.Error(unknown_keys_message(unknown), id="webhooks.E001")]
    errors: Messages = []
    for name, problem in setting_problems():
        errors.append(checks.Error(f"WEBHOOKS[{name!r}] {problem}", id="webhooks.E002"))
    if not errors and settings.LEASE <= settings.TIMEOUT + RECORD_MARGIN:
        errors.append(
            checks.Error(
                f"WEBHOOKS['LEASE'] must be longer than TIMEOUT + {RECORD_MARGIN} seconds: nothing would ever be sent.",
                id="webhooks.E003",
            )
        )
    return errors


def check_workspace_model(**_: Any) -> Messages:
    """The workspace model is installed and has the field that stands in URLs."""
    try:
        model = workspace_model()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="webhooks.E004")]
    try:
        model._meta.get_field(settings.WORKSPACE_LOOKUP_FIELD)
    except ImproperlyConfigured:
        return []  # check_settings says it
    except FieldDoesNotExist:
        message = f"{model._meta.label} has no field {settings.WORKSPACE_LOOKUP_FIELD!r}: set WORKSPACE_LOOKUP_FIELD."
        return [checks.Error(message, id="webhooks.E005")]
    return []


def check_pool(**_: Any) -> Messages:
    """A pool that is open when django-q2 forks its workers makes them share sockets, and rows."""
    if "qcluster" not in sys.argv[1:2]:
        return []
    pooled = [alias for alias in connections if connections[alias].settings_dict["OPTIONS"].get("pool")]
    return [
        checks.Error(
            f"The database {alias!r} has a connection pool. qcluster forks: its workers would read each "
            "other's rows. Set OPTIONS['pool'] in web processes only.",
            id="webhooks.E006",
        )
        for alias in pooled
    ]


def check_broker(**_: Any) -> Messages:
    """Without a broker of its own choice django-q2 takes Redis on this machine, and its client need not be there."""
    if settings.WAKE != "django-q2":
        return []
    if not getattr(django_settings, "Q_CLUSTER", None):
        message = "Q_CLUSTER is not set, so nothing would wake the sender."
    else:
        try:
            # Its module alone: the broker itself would open a connection, at each command.
            import_module(_broker_module())
            return []
        except (ImportError, ValueError) as error:
            message = f"The broker that Q_CLUSTER names cannot be used: {error}."
    hint = 'Set Q_CLUSTER = {"name": "webhooks", "orm": "default", …}, as the README shows, or install its client.'
    return [checks.Error(message, hint=hint, id="webhooks.E008")]


def _broker_module() -> str:
    """Return the module of the broker that django-q2 will take, in its own order of precedence."""
    if Conf.BROKER_CLASS:
        return str(Conf.BROKER_CLASS).rpartition(".")[0]
    chosen = (
        (Conf.IRON_MQ, "ironmq"),
        (isinstance(Conf.SQS, dict), "aws_sqs"),
        (Conf.ORM, "orm"),
        (Conf.MONGO, "mongo"),
        (True, "redis_broker"),
    )
    return "django_q.brokers." + next(name for wanted, name in chosen if wanted)


def check_cluster(**_: Any) -> Messages:
    """django-q2 must not run a drain twice at once, nor end it before its time."""
    needed = settings.DRAIN_BUDGET + 2 * settings.TIMEOUT + RECORD_MARGIN
    warnings: Messages = []
    if Conf.TIMEOUT and needed >= Conf.TIMEOUT:
        warnings.append(
            checks.Warning(
                f"Q_CLUSTER['timeout'] is {Conf.TIMEOUT} s; a drain may need {needed:.0f} s.",
                id="webhooks.W001",
            )
        )
    if Conf.RETRY and needed >= Conf.RETRY:
        warnings.append(
            checks.Warning(
                f"Q_CLUSTER['retry'] is {Conf.RETRY} s; it must be above {needed:.0f} s, or drains run twice.",
                id="webhooks.W002",
            )
        )
    return warnings


def check_encryption_keys(**_: Any) -> Messages:
    if settings.ENCRYPTION_KEYS:
        return []
    return [
        checks.Warning(
            "Webhook secrets are encrypted with a key derived from SECRET_KEY.",
            hint="Set WEBHOOKS['ENCRYPTION_KEYS'] = [Fernet.generate_key()]; what is stored stays readable "
            "as long as SECRET_KEY, or SECRET_KEY_FALLBACKS, has the old key.",
            id="webhooks.W003",
        )
    ]


def check_database(**_: Any) -> Messages:
    """The queue's SQL is written for two databases, and SQLite needs three options to lose nothing."""
    connection = connections[alias()]
    if connection.vendor not in ("postgresql", "sqlite"):
        return [checks.Error(f"{connection.vendor} is not supported.", id="webhooks.E007")]
    mode = connection.settings_dict["OPTIONS"].get("transaction_mode")
    if connection.vendor == "sqlite" and mode != "IMMEDIATE":
        return [
            checks.Warning(
                "SQLite without transaction_mode IMMEDIATE loses deliveries to “database is locked”.",
                hint="OPTIONS: timeout 20, transaction_mode IMMEDIATE, init_command PRAGMA journal_mode=WAL.",
                id="webhooks.W004",
            )
        ]
    return []


@sensitive_variables()
def check_error_reports(**_: Any) -> Messages:
    """Error reports show the settings, and Django does not know that this one may hold a password."""
    proxy = settings.EGRESS_PROXY
    if not isinstance(proxy, str) or "@" not in proxy:
        return []
    shown = get_default_exception_reporter_filter().get_safe_settings()["WEBHOOKS"]
    if not isinstance(shown, dict) or shown.get("EGRESS_PROXY") != proxy:
        return []
    return [
        checks.Warning(
            "Django's error reports, on the page and by mail, show the password in WEBHOOKS['EGRESS_PROXY'].",
            hint="Set DEFAULT_EXCEPTION_REPORTER_FILTER = 'webhooks.error_reports.ErrorReportFilter'.",
            id="webhooks.W006",
        )
    ]


def check_sweep(databases: Sequence[str] | None = None, **_: Any) -> Messages:
    """A schedule of another cluster is run by nobody here (asked with `check --database`)."""
    using = router.db_for_write(Schedule)
    if not databases or using not in databases:
        return []
    if Schedule._meta.db_table not in connections[using].introspection.table_names():
        return []  # before the first migrate
    sweep = Schedule.objects.using(using).filter(name="webhooks-sweep").first()
    if sweep is None or (sweep.cluster or None) == settings.CLUSTER:
        return []
    return [
        checks.Warning(
            f"The schedule webhooks-sweep is for the cluster {sweep.cluster!r}, not {settings.CLUSTER!r}.",
            hint="manage.py migrate corrects it.",
            id="webhooks.W005",
        )
    ]
