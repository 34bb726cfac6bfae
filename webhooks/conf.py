"""The app's settings: `WEBHOOKS = {…}` and `WEBHOOKS_WORKSPACE_MODEL`, read at access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from .nearest import hint

if TYPE_CHECKING:
    from django.db.models import Model


class Settings:
    """Every key that `WEBHOOKS` may hold, with its default. Durations are seconds, sizes are bytes."""

    # Fernet keys, newest first; None: derived from SECRET_KEY and SECRET_KEY_FALLBACKS.
    ENCRYPTION_KEYS: Sequence[str] | None = None
    # Dotted path of the class that says who may see and do what.
    ACCESS: str = "webhooks.access.ModelPermissions"
    # The field of the workspace model that stands in URLs and in the envelope's "workspace".
    WORKSPACE_LOOKUP_FIELD: str = "slug"
    # CIDR networks that may be called although they are not public.
    ALLOWED_NETWORKS: Sequence[str] = ()
    # Host names that may be called wherever they lead; "*.example.internal" stands for every name below it.
    ALLOWED_HOSTS: Sequence[str] = ()
    # CIDR networks that are never called, whatever is allowed.
    DENIED_NETWORKS: Sequence[str] = ()
    # The ports that may be called; None: all.
    ALLOWED_PORTS: Sequence[int] | None = None
    # Whether only https:// may be registered and called.
    HTTPS_ONLY: bool = False
    # URL of the proxy through which every request leaves, in a tunnel: "http://[user:password@]host:port".
    EGRESS_PROXY: str | None = None
    # Path of a PEM file with certificate authorities that are trusted beside the public ones.
    CA_BUNDLE: str | None = None
    # Content type → dotted path of `encode(envelope) -> bytes`, beside the three built-in ones.
    ENCODERS: Mapping[str, str] = {}
    # Name of the django-q2 cluster that sends; None: the default cluster.
    CLUSTER: str | None = None
    # Delay before the second, third, … attempt; the last repeats.
    RETRY_SCHEDULE: Sequence[float] = (5, 60, 300, 1800, 7200, 18000, 36000)
    RETRY_JITTER: float = 0.2
    # The longest that a webhook may ask for, and what it gets when it asks for nothing.
    CONNECT_TIMEOUT: float = 5
    TIMEOUT: float = 15
    LEASE: float = 60
    DRAIN_BUDGET: float = 10
    CONCURRENCY: int = 512
    IN_FLIGHT_PER_WEBHOOK: int = 8
    RESPONSE_BODY_LIMIT: int = 65536
    RESPONSE_HEADERS_LIMIT: int = 8192
    # A webhook that fails this long without a success is disabled.
    DISABLE_AFTER: float = 5 * 24 * 3600
    # How long the former secret signs beside the new one after a rotation.
    ROTATION_OVERLAP: float = 24 * 3600
    # Scheme and host of this site, for links in e-mails: "https://app.example.com"; None: no links.
    BASE_URL: str | None = None
    # Dotted path of a callable `(webhook) -> path of its page`, for the same links; None: the page in the admin.
    WEBHOOK_PAGE: str | None = None
    # Ended deliveries, their attempts and their events are kept this long; None: for ever.
    RETENTION_DAYS: float | None = 30
    # Dotted path of a callable `(workspace) -> webhooks.quota.Quota`; None: no workspace has a bound.
    QUOTAS: str | None = None
    # "django-q2": a task is asked for; "notify": PostgreSQL's NOTIFY, for `manage.py webhooks deliver`.
    WAKE: str = "django-q2"

    def __getattribute__(self, name: str) -> Any:
        if name.isupper():
            configured = _configured()
            if name in configured:
                return configured[name]
        return super().__getattribute__(name)


# A row is sent only if its lease still covers its whole timeout and this many seconds for recording it.
RECORD_MARGIN = 5

KEYS = frozenset(name for name in vars(Settings) if name.isupper())


def _configured() -> Mapping[str, Any]:
    configured: Mapping[str, Any] = getattr(django_settings, "WEBHOOKS", {})
    if not configured.keys() <= KEYS:
        raise ImproperlyConfigured(unknown_keys_message(configured.keys() - KEYS))
    return configured


def unknown_keys_message(unknown: set[str]) -> str:
    """One sentence for each unknown key, with the nearest known one."""
    return " ".join(f"WEBHOOKS has no setting {name}.{hint(name, KEYS)}" for name in sorted(unknown))


settings = Settings()


def workspace_model_name() -> str:
    """Return "app_label.ModelName" of the tenant model, chosen before the first migrate."""
    return getattr(django_settings, "WEBHOOKS_WORKSPACE_MODEL", "workspace.Workspace")


def workspace_model() -> type[Model]:
    """Return the tenant model. Raises ImproperlyConfigured when no installed app has it."""
    name = workspace_model_name()
    try:
        return apps.get_model(name)
    except (LookupError, ValueError):
        raise ImproperlyConfigured(
            f"WEBHOOKS_WORKSPACE_MODEL names {name}, which no installed app has: "
            'set it to your tenant model, as "app_label.ModelName".'
        ) from None
