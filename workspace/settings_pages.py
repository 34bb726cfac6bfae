"""A workspace's own pages: its settings, leaving it, handing it over, deleting it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from webhooks import quotas
from webhooks.admin.scope import may

from . import lifecycle, members, portal
from .forms import DeletionForm, NameForm, TransferForm
from .models import Membership, Workspace


class SettingsPages(admin.AdminSite):
    """To be mixed into the workspace's site. `request.workspace` is the one that was entered."""

    def settings_urls(self) -> list[URLPattern]:
        pages = {
            "settings": self.settings_view,
            "leave": self.leave_view,
            "transfer": self.transfer_view,
            "delete": self.delete_view,
        }
        return [
            path(f"{name}/", self.admin_view(view), name=f"workspace_{name}") for name, view in pages.items()
        ]

    def settings_view(self, request: HttpRequest) -> HttpResponse:
        """Show the settings; whoever has the right renames the workspace here."""
        workspace = portal.entered_workspace(request)
        may_manage = may(request, workspace, "workspace")
        # A form of its own object: a name that is refused must not stand in the header.
        instance = Workspace.objects.get(pk=workspace.pk)
        form = NameForm(request.POST or None, instance=instance, label_suffix="") if may_manage else None
        if request.method == "POST":
            if form is None:
                raise PermissionDenied
            if form.is_valid():
                lifecycle.rename(workspace, form.cleaned_data["name"], by=request.user)
                messages.success(request, _("The workspace was renamed."))
                return HttpResponseRedirect(reverse("admin:workspace_settings"))
        shown = {"form": form, "own": _membership(request), "may_manage": may_manage}
        return self._page(request, "settings", _("Settings"), usage=usage_shown(request), **shown)

    def leave_view(self, request: HttpRequest) -> HttpResponse:
        """Ask, then take one's own place away."""
        membership = _membership(request)
        if membership is None:
            raise PermissionDenied
        error = ""
        if request.method == "POST":
            try:
                members.remove(membership, by=request.user)
            except ValidationError as refusal:
                error = " ".join(refusal.messages)
            else:
                messages.success(request, _("You left %s.") % portal.entered_workspace(request).name)
                return HttpResponseRedirect(portal.address(request, "list"))
        return self._page(request, "leave", _("Leave this workspace"), error=error)

    def transfer_view(self, request: HttpRequest) -> HttpResponse:
        """Make somebody else the owner."""
        workspace = self._demanded(request)
        form = TransferForm(request.POST or None, user=request.user, workspace=workspace, label_suffix="")
        if request.method == "POST" and form.is_valid():
            to: Membership = form.cleaned_data["to"]
            try:
                members.transfer(workspace, to, by=request.user)
            except ValidationError as refusal:
                form.add_error("to", refusal)
            else:
                messages.success(request, _("%s is now an owner.") % to.user)
                return HttpResponseRedirect(reverse("admin:workspace_settings"))
        return self._page(request, "transfer", _("Transfer ownership"), form=form)

    def delete_view(self, request: HttpRequest) -> HttpResponse:
        """Delete the workspace, when its name is typed."""
        workspace = self._demanded(request)
        form = DeletionForm(request.POST or None, workspace=workspace, label_suffix="")
        if request.method == "POST" and form.is_valid():
            name = workspace.name
            lifecycle.delete(workspace, by=request.user)
            messages.success(request, _("The workspace %s was deleted.") % name)
            return HttpResponseRedirect(portal.address(request, "list"))
        return self._page(request, "delete", _("Delete this workspace"), form=form)

    def _demanded(self, request: HttpRequest) -> Workspace:
        """Return the workspace to whoever may do everything with it; raise PermissionDenied to others."""
        workspace = portal.entered_workspace(request)
        if not may(request, workspace, "workspace"):
            raise PermissionDenied
        return workspace

    def _page(self, request: HttpRequest, name: str, title: str, **context: Any) -> HttpResponse:
        shown = {**self.each_context(request), "title": title, **context}
        return TemplateResponse(request, f"workspace/{name}.html", shown)


def usage_shown(request: HttpRequest) -> list[quotas.Usage]:
    """Return what the workspace uses of its bounds, for whoever may do something about it; else nothing."""
    workspace = portal.entered_workspace(request)
    return quotas.usage(workspace) if may(request, workspace, "workspace") else []


def _membership(request: HttpRequest) -> Membership | None:
    """Return the user's own place; None for a superuser who only visits."""
    return portal.entered_workspace(request).memberships.filter(user=request.user.pk).first()
