"""Where the portal's pages are, inside a workspace and outside, and what every one of them shows.

Inside `/w/<slug>/` the script prefix is the workspace's own, so that every link that Django makes stays there. A
link that leaves must therefore be made here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import get_script_prefix, reverse, set_script_prefix

from webhooks import access
from webhooks.conf import settings as webhooks_settings
from webhooks.models import Webhook

from .models import Workspace

# The URL configuration of one workspace, and where it hangs in the site.
SITE_URLS = "workspace.site_urls"
PREFIX = "w"
# The switcher lists no more than these; the portal's own page lists all.
SWITCHER_LIMIT = 10


@contextmanager
def script_prefix(prefix: str) -> Iterator[None]:
    """Make addresses under `prefix`, which ends with "/", for the duration."""
    former = get_script_prefix()
    set_script_prefix(prefix)
    try:
        yield
    finally:
        set_script_prefix(former)


def root(request: HttpRequest) -> str:
    """Return the path under which the project itself is served: "/", or that of FORCE_SCRIPT_NAME."""
    return f"{str(request.META.get('SCRIPT_NAME', '')).rstrip('/')}/"


def prefix_of(workspace: Workspace, below: str) -> str:
    return f"{below}{PREFIX}/{workspace.slug}/"


def address(request: HttpRequest, name: str, *arguments: Any) -> str:
    """Return the path of a page outside of any workspace: "list", "create", "login", …"""
    with script_prefix(root(request)):
        return reverse(f"portal:{name}", urlconf=settings.ROOT_URLCONF, args=arguments)


def inside(workspace: Workspace, name: str = "index", *arguments: Any, below: str) -> str:
    """Return the path of a page of `workspace`, named as in the admin; `below`: see `root()`."""
    with script_prefix(prefix_of(workspace, below)):
        return reverse(f"admin:{name}", urlconf=SITE_URLS, args=arguments)


def entered_workspace(request: HttpRequest) -> Workspace:
    """Return the workspace that was entered: for pages that are only there inside of one."""
    workspace: Workspace = request.workspace  # type: ignore[attr-defined]
    return workspace


def webhook_page(webhook: Webhook) -> str:
    """Return the path of a webhook's page, where its workspace's people see it. `WEBHOOKS["WEBHOOK_PAGE"]` names it."""
    return inside(webhook.workspace, "webhooks_webhook_change", webhook.pk, below=get_script_prefix())


def absolute(request: HttpRequest, path: str) -> str:
    """Return `path` with scheme and host, for an e-mail: those of BASE_URL, or else the request's."""
    if webhooks_settings.BASE_URL:
        return webhooks_settings.BASE_URL.rstrip("/") + path
    return request.build_absolute_uri(path)


def context(request: HttpRequest, workspace: Workspace | None = None) -> dict[str, Any]:
    """Return what the header needs on every page of the portal. `workspace`: the one that was entered."""
    return {
        "portal": {
            "workspace": workspace,
            "list": address(request, "list"),
            "create": address(request, "create"),
            "password": address(request, "password"),
            "log_out": address(request, "logout"),
            "switches": _switches(request, workspace),
        }
    }


def _switches(request: HttpRequest, workspace: Workspace | None) -> list[dict[str, Any]]:
    """Return the workspaces that can be switched to, the one that was entered first."""
    if not request.user.is_authenticated:
        return []
    visible = access.workspaces(request.user)
    others = visible if workspace is None else visible.exclude(pk=workspace.pk)
    offered = [*others[:SWITCHER_LIMIT]]
    shown = offered if workspace is None else [workspace, *offered]
    below = root(request)
    return [
        {"name": one.name, "path": inside(one, below=below), "current": one == workspace} for one in shown
    ]
