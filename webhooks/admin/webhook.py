"""Webhooks: list, form, deletion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import OuterRef, QuerySet, Subquery
from django.forms import ModelChoiceField, ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from .. import access, actions
from ..catalogue import ALL
from ..models import Delivery, Webhook
from .badges import badge, when
from .forms import WebhookForm
from .health import HealthPages, health_badge
from .scope import ScopedAdmin, sees_several, workspaces_granting
from .secret import SecretPages

PATTERNS_SHOWN = 3


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
class WebhookAdmin(HealthPages, SecretPages, ScopedAdmin):
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
            return [(None, {"fields": [*workspace, *fields, "secret", "events"]})]
        workspace = ["workspace"] if sees_several(request) else []
        # Someone who may only look is shown what is chosen, not boxes that cannot be ticked.
        events = "events" if self.has_change_permission(request, obj) else "events_all"
        secret = "secret_links" if self.has_secret_permission(request, obj) else "secret_state"
        return [(None, {"fields": [*workspace, *fields, secret, events]})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("workspace", "secret_links", "secret_state")

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:
        form: type[Any] = super().get_form(request, obj, change, **kwargs)
        if obj is not None:
            form.declared_fields.pop("secret", None)
            form.base_fields.pop("secret", None)
            return form
        addable = self._addable(request)
        field = form.base_fields.get("workspace")
        if isinstance(field, ModelChoiceField):
            field.queryset = access.workspaces(request.user).filter(pk__in=addable)
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

    @method_decorator(sensitive_post_parameters("secret"))
    @sensitive_variables()
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().add_view(
            request, form_url, {"title": _("Create Webhook"), "create": True, **(extra_context or {})}
        )

    @method_decorator(sensitive_post_parameters("secret"))
    @sensitive_variables()
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return super().change_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:
        if not change:
            obj.save()
            return
        # Only what this person changed: the sender may have switched the webhook off in the meantime.
        columns = [name for name in form.changed_data if name not in ("events", "is_active")]
        if columns:
            obj.save(update_fields=columns)
        if "is_active" in form.changed_data:
            turn = actions.activate if form.cleaned_data["is_active"] else actions.deactivate
            turn(obj, by=request.user)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if "events" in form.changed_data:
            form.instance.set_patterns(form.cleaned_data["events"])

    def get_deleted_objects(self, objs: Iterable[Webhook], request: HttpRequest) -> Any:
        """Name the webhooks and nothing below: a webhook may have a million deliveries, and they stay."""
        found = list(objs)
        may_delete_all = all(self.has_delete_permission(request, obj) for obj in found)
        lacking = set() if may_delete_all else {str(self.opts.verbose_name)}
        return [str(obj) for obj in found], {self.opts.verbose_name_plural: len(found)}, lacking, []

    def delete_model(self, request: HttpRequest, obj: Webhook) -> None:
        actions.delete(obj, by=request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        for webhook in queryset:
            actions.delete(webhook, by=request.user)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Leave Status out of what is logged of a change: its action has logged it."""
        if not add and "is_active" in form.changed_data:
            form.changed_data.remove("is_active")
        return super().construct_change_message(request, form, formsets, add)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return super().log_change(request, obj, message) if message else None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Nothing: the action writes the log."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<path:object_id>/secret/", view(self.secret_view), name="webhooks_webhook_secret"),
            path(
                "<path:object_id>/secret/remove/",
                view(self.remove_secret_view),
                name="webhooks_webhook_secret_remove",
            ),
        ]
        return own + super().get_urls()

    def has_secret_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._granted(request, obj, "secret")

    @admin.display(description=gettext_lazy("Status"))
    def status(self, obj: Webhook) -> SafeString:
        return health_badge(obj)

    @admin.display(description=gettext_lazy("Callback URL"))
    def callback_url_shown(self, obj: Webhook) -> SafeString:
        return format_html('<span class="webhooks-url">{} {}</span>', obj.method, obj.callback_url)

    @admin.display(description=gettext_lazy("Events"))
    def events_shown(self, obj: Webhook) -> str:
        names = [named(pattern) for pattern in obj.patterns]
        if len(names) <= PATTERNS_SHOWN:
            return ", ".join(names)
        more = _("and %d more") % (len(names) - PATTERNS_SHOWN + 1)
        return f"{', '.join(names[: PATTERNS_SHOWN - 1])} {more}"

    @admin.display(description=gettext_lazy("Events"))
    def events_all(self, obj: Webhook) -> SafeString:
        return format_html_join("", "<div>{}</div>", ((named(pattern),) for pattern in obj.patterns))

    @admin.display(description=gettext_lazy("Secret"))
    def secret_state(self, obj: Webhook) -> str:
        return _("set") if obj.has_secret else _("not set")

    @admin.display(description=gettext_lazy("Secret"))
    def secret_links(self, obj: Webhook) -> SafeString:
        rotate = reverse("admin:webhooks_webhook_secret", args=[obj.pk])
        if not obj.has_secret:
            return format_html('{} <a href="{}">{}</a>', _("not set"), rotate, _("Set a secret"))
        return format_html(
            '{} <a href="{}">{}</a> <a href="{}">{}</a>',
            _("set"),
            rotate,
            _("Rotate"),
            reverse("admin:webhooks_webhook_secret_remove", args=[obj.pk]),
            _("Remove"),
        )

    @admin.display(description=gettext_lazy("Last delivery"))
    def last_delivery(self, obj: Any) -> SafeString | str:
        if obj.last_status is None:
            return _("none yet")
        link = reverse("admin:webhooks_delivery_changelist", query={"webhook__id__exact": obj.pk})
        status = badge(obj.last_status, str(Delivery.Status(obj.last_status).label))
        return format_html('<a href="{}">{}</a> {}', link, status, when(obj.last_created_at))


def named(pattern: str) -> str:
    return _("All events") if pattern == ALL else pattern
