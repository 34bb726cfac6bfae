"""Events: what happened, and what was sent for it."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..models import Delivery, Event
from .badges import badge, when
from .explanation import next_attempt
from .scope import ReadOnlyAdmin, sees_several

DELIVERIES_SHOWN = 100


class EventList(ChangeList):
    """The list's rows, each with the number of its deliveries."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        own = Delivery.objects.filter(event=OuterRef("pk")).order_by().values("event")
        return (
            super()
            .get_queryset(request, exclude_parameters)
            .select_related("workspace")
            .defer("data")
            .annotate(delivery_count=Coalesce(Subquery(own.annotate(n=Count("pk")).values("n")), 0))
        )


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display_links = ("type_shown",)
    list_per_page = 50
    allowed_lookups = frozenset({"type__exact"})
    actions = None
    fields = ()

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        workspace = ("workspace",) if sees_several(request) else ()
        return ("type_shown", *workspace, "occurred_shown", "deliveries_shown")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return EventList

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        event: Event = context["original"]
        now = timezone.now()
        deliveries = event.deliveries.select_related("webhook__state").order_by("-pk")[:DELIVERIES_SHOWN]
        context.update(
            title=_("Event"),
            subtitle=event.type,
            shows_workspace=sees_several(request),
            data=pretty(event.data) if self.has_payloads_permission(request, event) else None,
            deliveries=[
                {
                    "delivery": delivery,
                    "status": badge(delivery.status, delivery.get_status_display()),
                    "next_attempt": next_attempt(delivery, now),
                }
                for delivery in deliveries
            ],
        )
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=gettext_lazy("Type"))
    def type_shown(self, obj: Event) -> SafeString:
        test = format_html(' <span class="webhooks-quiet">{}</span>', _("test")) if obj.is_test else ""
        return format_html("{}{}", obj.type, test)

    @admin.display(description=gettext_lazy("Occurred"))
    def occurred_shown(self, obj: Event) -> SafeString | str:
        return when(obj.occurred_at)

    @admin.display(description=gettext_lazy("Deliveries"))
    def deliveries_shown(self, obj: Any) -> int:
        count: int = obj.delivery_count
        return count


def pretty(data: str) -> str:
    """Return JSON text with indentation; as it stands where it cannot be parsed."""
    try:
        return json.dumps(json.loads(data), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return data
