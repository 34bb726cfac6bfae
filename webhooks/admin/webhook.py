"""Webhooks: list, form, deletion."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import OuterRef, QuerySet, Subquery
from django.forms import ModelChoiceField, ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from .. import actions, limits
from ..models import Delivery, Webhook
from .columns import WebhookColumns
from .deletion import NamesWhatIsDeleted
from .forms import SENSITIVE, WebhookForm
from .health import HealthPages
from .history import LoggedByActions
from .pages import told
from .recovery import RecoveryPages
from .scope import sees_several, workspaces, workspaces_granting
from .secret import SecretPages


class WebhookList(ChangeList):
    """The list's rows, with what their columns need, in a constant number of queries."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        latest = Delivery.objects.filter(webhook=OuterRef("pk")).order_by("-pk")
        return (
            super()
            .get_queryset(request, exclude_parameters)
            .select_related("workspace", "state")
            .prefetch_related("subscriptions")
            .annotate(
                last_status=Subquery(latest.values("status")[:1]),
                last_created_at=Subquery(latest.values("created_at")[:1]),
            )
        )


@admin.register(Webhook)
class WebhookAdmin(
    LoggedByActions, NamesWhatIsDeleted, WebhookColumns, HealthPages, RecoveryPages, SecretPages
):
    form = WebhookForm
    search_fields = ("name", "callback_url")
    list_display_links = ("name",)
    allowed_lookups = frozenset({"is_active__exact"})

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        workspace = ("workspace",) if sees_several(request) else ()
        return (
            "name",
            *workspace,
            "status",
            "callback_url_shown",
            "events_shown",
            "secret_state",
            "last_delivery",
        )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WebhookList

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ["name", "callback_url", "method", "content_type", "max_attempts", "is_active"]
        if obj is None:
            workspace = ["workspace"] if len(self._addable(request)) > 1 else []
            return [
                (None, {"fields": [*workspace, *fields, "secret", "events"]}),
                self._more_settings("headers", "authorization", *limits.FIELDS),
            ]
        workspace = ["workspace"] if sees_several(request) else []
        # Someone who may only look is shown what is chosen, not boxes that cannot be ticked.
        may_change = self.has_change_permission(request, obj)
        events = "events" if may_change else "events_all"
        may_replace = self.has_secret_permission(request, obj)
        secret = "secret_links" if may_replace else "secret_state"
        shown = "" if may_change and may_replace else "_shown"
        bounds = [
            name if may_change else name.replace("schedule", "schedule_shown") for name in limits.FIELDS
        ]
        return [
            (None, {"fields": [*workspace, *fields, secret, events]}),
            self._more_settings(f"headers{shown}", f"authorization{shown}", *bounds),
        ]

    def _more_settings(self, *fields: str) -> Any:
        description = _("You need none of these. An empty field works as its grey text says.")
        return (
            _("More settings"),
            {"fields": fields, "classes": ["collapse", "webhooks-more"], "description": description},
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        shown = (
            "secret_links",
            "secret_state",
            "headers_shown",
            "authorization_shown",
            "retry_schedule_shown",
        )
        return () if obj is None else ("workspace", *shown)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:
        form: type[Any] = super().get_form(request, obj, change, **kwargs)
        if obj is not None:
            _drop(form, "secret")
            if not self.has_secret_permission(request, obj):
                _drop(form, "headers", "authorization")
            return form
        _drop(form, "version")
        addable = self._addable(request)
        field = form.base_fields.get("workspace")
        if isinstance(field, ModelChoiceField):
            field.queryset = workspaces(request).filter(pk__in=addable)
            field.widget.can_add_related = field.widget.can_change_related = False
            field.widget.can_view_related = field.widget.can_delete_related = False
        elif addable:
            form.only_workspace = addable[0]
        return form

    def _addable(self, request: HttpRequest) -> list[Any]:
        kept: dict[str, list[Any]] = request.__dict__.setdefault("_webhooks_addable", {})
        if "add" not in kept:
            kept["add"] = workspaces_granting(request, "add")
        return kept["add"]

    @told
    @method_decorator(sensitive_post_parameters(*SENSITIVE))
    @sensitive_variables()
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().add_view(
            request, form_url, {"title": _("Create Webhook"), "create": True, **(extra_context or {})}
        )

    @told
    @method_decorator(sensitive_post_parameters(*SENSITIVE))
    @sensitive_variables()
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return super().change_view(request, object_id, form_url, extra_context)

    @sensitive_variables()
    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:
        if change:
            # Only what this person changed: the sender may have switched the webhook off in the meantime.
            version = form.cleaned_data.get("version")
            actions.change(obj, form.changes, by=request.user, version=version)
            return
        for column, text in form.credentials.items():
            setattr(obj, column, text)
        actions.create(obj, form.cleaned_data["events"], by=request.user)

    def delete_model(self, request: HttpRequest, obj: Webhook) -> None:
        actions.delete(obj, by=request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        for webhook in queryset:
            actions.delete(webhook, by=request.user)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<path:object_id>/secret/", view(self.secret_view), name="webhooks_webhook_secret"),
            path(
                "<path:object_id>/secret/remove/",
                view(self.remove_secret_view),
                name="webhooks_webhook_secret_remove",
            ),
            path(
                "<path:object_id>/secret/finish/",
                view(self.finish_rotation_view),
                name="webhooks_webhook_secret_finish",
            ),
        ]
        return own + super().get_urls()

    def has_secret_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._granted(request, obj, "secret")


def _drop(form: type[Any], *names: str) -> None:
    for name in names:
        form.declared_fields.pop(name, None)
        form.base_fields.pop(name, None)
