"""Who may see and do what. Admin, API and commands ask here; nothing decides beside it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from .conf import settings, workspace_model

# What can be asked for. "payloads": see event data, and the bodies of requests and responses; "recover":
# re-create what a webhook missed; "secret": rotate or remove a webhook's secret.
ACTIONS = ("view", "payloads", "add", "change", "delete", "redeliver", "recover", "secret")


class Access(Protocol):
    """What the class named by `WEBHOOKS["ACCESS"]` offers."""

    def workspaces(self, user: Any) -> QuerySet[Any]:
        """Return the workspaces that `user` may see."""

    def may(self, user: Any, workspace: Any, action: str) -> bool:
        """Return whether `user` may do `action`, one of ACTIONS, in `workspace`."""

    def recipients(self, workspace: Any) -> list[str]:
        """Return the e-mail addresses of those who should know that a webhook fails."""


class ModelPermissions:
    """Django's model permissions, which hold in every workspace alike. The default."""

    _permissions = {
        "view": "webhooks.view_webhook",
        "payloads": "webhooks.view_event",
        "add": "webhooks.add_webhook",
        "change": "webhooks.change_webhook",
        "delete": "webhooks.delete_webhook",
        "redeliver": "webhooks.change_delivery",
        "recover": "webhooks.change_delivery",
        "secret": "webhooks.change_webhook",
    }

    def workspaces(self, user: Any) -> QuerySet[Any]:
        everyones = workspace_model()._default_manager.all()
        return everyones if self.may(user, None, "view") else everyones.none()

    def may(self, user: Any, workspace: Any, action: str) -> bool:
        return bool(user.is_active and user.has_perm(self._permissions[action]))

    def recipients(self, workspace: Any) -> list[str]:
        staff = get_user_model()._default_manager.filter(is_superuser=True, is_active=True)
        return [user.email for user in staff if user.email]


def workspaces(user: Any) -> QuerySet[Any]:
    """Return the workspaces that `user` may see; an anonymous or inactive user sees none."""
    return _access().workspaces(user)


def may(user: Any, workspace: Any, action: str) -> bool:
    """Return whether `user` may do `action` in `workspace`."""
    return _access().may(user, workspace, action)


def recipients(workspace: Any) -> list[str]:
    """Return the e-mail addresses of those who should know that a webhook of `workspace` fails."""
    return _access().recipients(workspace)


def _access() -> Access:
    return _loaded(settings.ACCESS)


@lru_cache(maxsize=8)
def _loaded(path: str) -> Access:
    access: Access = import_string(path)()
    return access
