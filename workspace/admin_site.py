"""The site of one workspace: what `/w/<slug>/` shows, to its people only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webhooks.admin.scope import entered

from . import portal
from .settings_pages import SettingsPages, usage_shown

# The sidebar, from top to bottom; a model that is not named comes last.
SECTIONS = ("activity", "membership", "webhook", "delivery", "event")
ABOUT = {
    "activity": gettext_lazy("What your team writes, schedules and publishes."),
    "membership": gettext_lazy("Who belongs to this workspace, and what they may do."),
    "webhook": gettext_lazy("Servers of yours that are sent what happens here."),
    "delivery": gettext_lazy("What was sent, and what was answered."),
    "event": gettext_lazy("What has happened."),
    "settings": gettext_lazy("The workspace’s name, its limits, and leaving it."),
}
# Pages of the admin that a workspace does not have: the portal has its own, or they lead outside.
LEFT_OUT = frozenset({"password_change", "password_change_done", "view_on_site"})


class WorkspaceSite(SettingsPages, admin.AdminSite):
    """An admin whose door is the middleware: whoever reaches it may see the workspace that was entered.

    Nobody need be "staff": what a person may do is for `access` to say.
    """

    index_template = "workspace/home.html"

    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and entered(request) is not None

    def each_context(self, request: Any) -> dict[str, Any]:
        workspace = request.workspace
        return {
            **super().each_context(request),
            "site_title": workspace.name,
            "site_header": workspace.name,
            "site_url": None,
            **portal.context(request, workspace),
        }

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return one group with the sections of a workspace; what app has them is nothing to its people."""
        if app_label is not None:
            return super().get_app_list(request, app_label)
        models = [model for app in self._build_app_dict(request).values() for model in app["models"]]
        sections = sorted(models, key=lambda model: _position(model["object_name"]))
        return [
            {
                "name": _("Workspace"),
                "app_label": "workspace",
                "app_url": reverse("admin:index"),
                "has_module_perms": True,
                "models": [*sections, _settings()],
            }
        ]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        [group] = self.get_app_list(request)
        cards = [{**card, "about": ABOUT.get(card["object_name"].lower(), "")} for card in group["models"]]
        reached = [one for one in usage_shown(request) if one.message]
        return super().index(request, {"cards": cards, "reached": reached, **(extra_context or {})})

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        return HttpResponseRedirect(reverse("admin:index"))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return redirect_to_login(reverse("admin:index"), portal.address(request, "login"))

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        # The portal's own page answers a POST, with its token; this address is here because links are made to it.
        return HttpResponseRedirect(portal.address(request, "list"))

    def get_urls(self) -> list[Any]:
        kept = [one for one in super().get_urls() if getattr(one, "name", None) not in LEFT_OUT]
        return [*self.settings_urls(), *kept]


def _position(model_name: str) -> int:
    name = model_name.lower()
    return SECTIONS.index(name) if name in SECTIONS else len(SECTIONS)


def _settings() -> dict[str, Any]:
    """Return the settings' page as the sidebar lists models."""
    return {
        "name": _("Settings"),
        "object_name": "Settings",
        "admin_url": reverse("admin:workspace_settings"),
        "add_url": None,
        "view_only": True,
        "perms": {"add": False, "change": False, "delete": False, "view": True},
    }


site = WorkspaceSite(name="admin")
