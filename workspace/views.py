"""The portal outside of any workspace: the list, a new one, and the answer to an invitation."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import authenticate, login, views
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters

from webhooks import access

from . import invitations, lifecycle, portal
from .forms import AccountForm, NameForm
from .models import Invitation, Membership

LOG_IN = reverse_lazy("portal:login")
PER_PAGE = 50


def _page(
    request: HttpRequest, name: str, title: Any, *, status: int = 200, **context: Any
) -> TemplateResponse:
    return TemplateResponse(
        request,
        f"workspace/{name}.html",
        {
            **portal.context(request),
            "title": title,
            "has_permission": request.user.is_authenticated,
            "is_nav_sidebar_enabled": False,
            **context,
        },
        status=status,
    )


@never_cache
@login_required(login_url=LOG_IN)
def list_view(request: HttpRequest) -> HttpResponse:
    """The workspaces of whoever is logged in, each with their role there."""
    own = Membership.objects.filter(workspace=OuterRef("pk"), user=request.user.pk)
    visible = access.workspaces(request.user).annotate(role=Subquery(own.values("role")[:1]))
    page = Paginator(visible.order_by("name", "pk"), PER_PAGE).get_page(request.GET.get("page"))
    labels = dict(Membership.Role.choices)
    below = portal.root(request)
    rows = [
        {
            "name": one.name,
            "slug": one.slug,
            "role": labels.get(one.role, ""),
            "path": portal.inside(one, below=below),
            "webhooks": portal.inside(one, "webhooks_webhook_changelist", below=below),
            "deliveries": portal.inside(one, "webhooks_delivery_changelist", below=below),
        }
        for one in page
    ]
    return _page(request, "list", _("Your workspaces"), rows=rows, page_obj=page)


@never_cache
@csrf_protect
@login_required(login_url=LOG_IN)
def create_view(request: HttpRequest) -> HttpResponse:
    form = NameForm(request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        workspace = lifecycle.create(form.cleaned_data["name"], by=request.user)
        return HttpResponseRedirect(portal.inside(workspace, below=portal.root(request)))
    return _page(request, "create", _("New workspace"), form=form)


@never_cache
@csrf_protect
@sensitive_post_parameters("password1", "password2")
def invitation_view(request: HttpRequest, token: str) -> HttpResponse:
    """Join a workspace: with the account that is logged in, or with a new one."""
    invitation = invitations.find(token)
    if invitation is None:
        return _void(request)
    if not request.user.is_authenticated:
        return _invited_stranger(request, invitation)
    if request.method == "POST":
        return _joined(request, invitation)
    return _page(
        request,
        "invitation",
        _("Join %s") % invitation.workspace.name,
        invitation=invitation,
        is_mine=invitations.is_for(invitation, request.user),
    )


def _void(request: HttpRequest) -> HttpResponse:
    return _page(request, "invitation_void", _("This invitation is no longer valid"), status=404)


def _invited_stranger(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    """Somebody who is not logged in: whoever has no account with the e-mail address makes one."""
    form = None
    if not invitations.has_account(invitation):
        form = AccountForm(request.POST or None, address=invitation.address, label_suffix="")
        if request.method == "POST" and form.is_valid():
            form.save()
            password = form.cleaned_data["password1"]
            user = authenticate(request, username=form.instance.get_username(), password=password)
            if user is not None:
                login(request, user)
                return _joined(request, invitation)
    title = _("Join %s") % invitation.workspace.name
    return _page(
        request, "invitation_stranger", title, invitation=invitation, form=form, log_in=_log_in(request)
    )


def _log_in(request: HttpRequest) -> str:
    return str(views.redirect_to_login(request.get_full_path(), str(LOG_IN)).headers["Location"])


def _joined(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    try:
        membership = invitations.accept(invitation, request.user)
    except ValidationError as error:
        for message in error.messages:
            messages.error(request, message)
        return redirect(request.get_full_path())
    if membership is None:
        return _void(request)
    return HttpResponseRedirect(portal.inside(invitation.workspace, below=portal.root(request)))


class LogInView(views.LoginView):
    template_name = "workspace/login.html"
    next_page = "portal:list"
    redirect_authenticated_user = True

    def get_redirect_url(self, *args: Any, **kwargs: Any) -> str:
        # Back to this page whoever is logged in would be sent for ever, which Django answers with an error.
        url = super().get_redirect_url(*args, **kwargs)
        return "" if url == self.request.path else url

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        shown = {"title": _("Log in"), "is_nav_sidebar_enabled": False}
        return super().get_context_data(**portal.context(self.request), **shown, **kwargs)


class PasswordView(views.PasswordChangeView):
    template_name = "workspace/password.html"
    success_url = reverse_lazy("portal:list")
    title = gettext_lazy("Change password")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        shown = {"has_permission": True, "is_nav_sidebar_enabled": False}
        return super().get_context_data(**portal.context(self.request), **shown, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, _("Your password was changed."))
        return super().form_valid(form)
