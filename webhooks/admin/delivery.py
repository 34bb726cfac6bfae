"""Deliveries: what was sent, what came back, and the button that sends it again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import actions
from ..models import Delivery
from .badges import badge, when
from .exchange import exchanges
from .explanation import next_attempt, reason, waiting
from .scope import ReadOnlyAdmin, sees_several, workspaces_granting

WEBHOOK_LOOKUP = "webhook__id__exact"


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display_links = ("event_shown",)
    list_select_related = ("webhook__state", "workspace")
    list_per_page = 50
    allowed_lookups = frozenset({"status__exact", "event_type__exact", WEBHOOK_LOOKUP})
    actions = ("redeliver_selected",)
    fields = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("webhook__state", "workspace")

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        workspace = ("workspace",) if sees_several(request) else ()
        return (
            "event_shown",
            "status_shown",
            "webhook",
            *workspace,
            "attempts_shown",
            "next_shown",
            "created_shown",
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None)
        if context is not None and "cl" in context:
            context["tabs"] = self._tabs(context["cl"])
            context["of_webhook"] = self._webhook_filtered_by(request, context["cl"])
        return response

    def _tabs(self, cl: Any) -> list[dict[str, Any]]:
        """Return the links above the list: one for each status, keeping what else narrows it."""
        current = cl.params.get("status__exact", "")
        return [
            {
                "label": label,
                "selected": value == current,
                "url": cl.get_query_string({"status__exact": value} if value else {}, ["p", "status__exact"]),
            }
            for value, label in [("", _("All")), *Delivery.Status.choices]
        ]

    def _webhook_filtered_by(self, request: HttpRequest, cl: Any) -> dict[str, str] | None:
        wanted = cl.params.get(WEBHOOK_LOOKUP, "")
        first = self.get_queryset(request).filter(webhook=wanted).first() if wanted.isdecimal() else None
        if first is None:
            return None
        return {"name": first.webhook.name, "clear": cl.get_query_string(remove=["p", WEBHOOK_LOOKUP])}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        delivery: Delivery = context["original"]
        now = timezone.now()
        found = exchanges(delivery, payloads=self.has_payloads_permission(request, delivery))
        context.update(
            title=_("Delivery"),
            subtitle=str(delivery),
            status=badge(delivery.status, delivery.get_status_display()),
            reason=reason(delivery, found[0].attempt if found else None, now),
            next_attempt=next_attempt(delivery, now),
            due_at=None if waiting(delivery, now) else delivery.due_at,
            exchanges=found,
            earlier=delivery.attempts.count() - len(found),
            may_redeliver=can_redeliver(delivery) and self.has_redeliver_permission(request, delivery),
        )
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.redeliver_view)
        return [
            path("<path:object_id>/redeliver/", view, name="webhooks_delivery_redeliver"),
            *super().get_urls(),
        ]

    def redeliver_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        delivery = self.get_object(request, unquote(object_id))
        if not self.has_redeliver_permission(request, delivery):
            raise PermissionDenied
        self._redeliver(request, [delivery])
        return HttpResponseRedirect(reverse("admin:webhooks_delivery_change", args=[delivery.pk]))

    @admin.action(description=gettext_lazy("Redeliver selected deliveries"), permissions=["redeliver"])
    def redeliver_selected(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        allowed = queryset.filter(workspace__in=workspaces_granting(request, "redeliver"))
        self._redeliver(request, allowed)

    def _redeliver(self, request: HttpRequest, deliveries: Iterable[Delivery]) -> None:
        count = actions.redeliver(deliveries, by=request.user)
        if not count:
            messages.warning(request, _("Only deliveries that have ended can be redelivered."))
            return
        text = ngettext("%d delivery is sent again.", "%d deliveries are sent again.", count)
        messages.success(request, text % count)

    def has_redeliver_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._granted(request, obj, "redeliver")

    @admin.display(description=gettext_lazy("Event"))
    def event_shown(self, obj: Delivery) -> SafeString:
        return format_html('{} <span class="webhooks-quiet">#{}</span>', obj.event_type, obj.pk)

    @admin.display(description=gettext_lazy("Status"))
    def status_shown(self, obj: Delivery) -> SafeString:
        return badge(obj.status, obj.get_status_display())

    @admin.display(description=gettext_lazy("Attempts"))
    def attempts_shown(self, obj: Delivery) -> str:
        return f"{obj.attempts_made}/{obj.webhook.max_attempts}"

    @admin.display(description=gettext_lazy("Next attempt"))
    def next_shown(self, obj: Delivery) -> str:
        return next_attempt(obj, timezone.now())

    @admin.display(description=gettext_lazy("Created"))
    def created_shown(self, obj: Delivery) -> SafeString | str:
        return when(obj.created_at)


def can_redeliver(delivery: Delivery) -> bool:
    return delivery.status != Delivery.Status.PENDING and delivery.webhook.deleted_at is None
