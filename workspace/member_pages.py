"""The members of a workspace: who they are, their roles, and who is invited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webhooks.admin.history import LoggedByActions
from webhooks.admin.scope import ScopedAdmin, entered, may
from webhooks.admin.secret import told

from . import invitations, members, portal
from .access import roles_in_gift
from .forms import InvitationForm, MembershipForm
from .models import Invitation, Membership, Workspace


class MembershipAdmin(LoggedByActions, ScopedAdmin):
    """In a workspace's own site only: there is always one workspace that was entered."""

    form = MembershipForm
    fields = ("user", "role")
    readonly_fields = ("user",)
    list_display = ("person", "email", "role")
    list_display_links = ("person",)
    list_select_related = ("user",)
    ordering = ("user__username",)
    actions = None

    @admin.display(description=gettext_lazy("Name"))
    def person(self, obj: Membership) -> str:
        return obj.user.get_full_name() or obj.user.get_username()

    @admin.display(description=gettext_lazy("E-mail address"))
    def email(self, obj: Membership) -> str:
        return obj.user.email

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # people are invited

    def has_invite_permission(self, request: HttpRequest) -> bool:
        workspace = entered(request)
        return workspace is not None and may(request, workspace, "members")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is None:
            return self.has_invite_permission(request)
        mine_to_give = roles_in_gift(request.user, obj.workspace)
        return may(request, obj.workspace, "members") and _stored_role(obj) in mine_to_give

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.user = request.user
        return form

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        may_invite = self.has_invite_permission(request)
        shown = {"may_invite": may_invite, "open_invitations": self._open(request) if may_invite else []}
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def _open(self, request: HttpRequest) -> Any:
        since = timezone.now() - Invitation.LIFETIME
        return portal.entered_workspace(request).invitations.filter(created_at__gte=since).order_by("address")

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        members.change_role(obj, form.cleaned_data["role"], by=request.user)

    @told
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().delete_view(request, object_id, extra_context)

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        members.remove(obj, by=request.user)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        invite = transaction.non_atomic_requests(_bound(self.invite_view))
        return [
            path("invite/", view(invite), name="workspace_membership_invite"),
            path("invitations/<uuid:pk>/revoke/", view(self.revoke_view), name="workspace_membership_revoke"),
            *super().get_urls(),
        ]

    def invite_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for an address and a role; keep the place, then send the link."""
        if not self.has_invite_permission(request):
            raise PermissionDenied
        workspace = portal.entered_workspace(request)
        form = InvitationForm(request.POST or None, user=request.user, workspace=workspace, label_suffix="")
        if request.method == "POST" and form.is_valid():
            try:
                self._invite(request, workspace, form.cleaned_data["address"], form.cleaned_data["role"])
            except ValidationError as error:
                form.add_error("address", error)
            else:
                messages.success(request, _("The invitation was sent to %s.") % form.cleaned_data["address"])
                return HttpResponseRedirect(reverse("admin:workspace_membership_changelist"))
        shown = {**self.admin_site.each_context(request), "title": _("Invite somebody"), "opts": self.opts}
        return TemplateResponse(request, "workspace/invite.html", {**shown, "form": form})

    def _invite(self, request: HttpRequest, workspace: Workspace, address: str, role: str) -> None:
        invitation = invitations.make(workspace, address, role, by=request.user)
        path = portal.address(request, "invitation", invitations.token(invitation))
        invitations.mail(invitation, portal.absolute(request, path))

    def revoke_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Take an invitation back."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_invite_permission(request):
            raise PermissionDenied
        invitation = portal.entered_workspace(request).invitations.filter(pk=pk).first()
        if invitation is None:
            raise Http404
        if invitation.role not in roles_in_gift(request.user, portal.entered_workspace(request)):
            raise PermissionDenied
        invitations.revoke(invitation, by=request.user)
        messages.success(request, _("The invitation to %s was revoked.") % invitation.address)
        return HttpResponseRedirect(reverse("admin:workspace_membership_changelist"))


def _bound(method: Any) -> Any:
    """Return a function for a method: one that can be marked, as Django marks views."""

    def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = method(request, *args, **kwargs)
        return response

    return view


def _stored_role(membership: Membership) -> str:
    """Return the role that holds: a posted form has put another one on the object."""
    stored = Membership.objects.filter(pk=membership.pk).values_list("role", flat=True).first()
    return stored or membership.role
