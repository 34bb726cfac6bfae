"""Workspaces, their members and their activities, each shown to its own people only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest

from webhooks.admin import DeliveryAdmin, EventAdmin, WebhookAdmin
from webhooks.admin.deletion import NamesWhatIsDeleted
from webhooks.admin.scope import (
    ScopedAdmin,
    entered,
    may,
    may_anywhere,
    sees_several,
    workspaces,
    workspaces_granting,
)
from webhooks.models import Delivery, Event, Webhook

from .admin_site import site
from .member_inline import MembershipInline
from .member_pages import MembershipAdmin
from .models import Activity, Membership, Workspace

# Django's permission that makes an operator: who chooses slugs and grants quotas.
OPERATE = "workspace.change_workspace"
QUOTAS = ("max_webhooks", "max_events_per_minute", "max_days")


@admin.register(Workspace)
class WorkspaceAdmin(NamesWhatIsDeleted, ScopedAdmin):
    list_display = ("name", "slug")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (MembershipInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workspace]:
        return admin.ModelAdmin.get_queryset(self, request).filter(pk__in=workspaces(request))

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # The slug of an existing workspace stands in addresses: it must not follow the name.
        return {} if obj is not None else super().get_prepopulated_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if request.user.has_perm(OPERATE):
            return ()
        if obj is None:
            return QUOTAS
        # A slug that is refused because it is taken would tell of another's workspace.
        return (*(() if self._may(request, obj, "workspace") else ("name",)), "slug", *QUOTAS)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return admin.ModelAdmin.has_add_permission(self, request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, obj, "members") or self._may(request, obj, "workspace")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, obj, "workspace") and admin.ModelAdmin.has_delete_permission(self, request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, obj, "view")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return super().has_module_permission(request) or self.has_add_permission(request)

    def _may(self, request: HttpRequest, obj: Any, action: str) -> bool:
        return may_anywhere(request, action) if obj is None else may(request, obj, action)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if not change and not request.user.is_superuser:
            # Nobody else could let its maker in.
            form.instance.memberships.get_or_create(
                user_id=request.user.pk, defaults={"role": Membership.Role.OWNER}
            )


@admin.register(Activity)
class ActivityAdmin(ScopedAdmin):
    list_select_related = ("workspace", "author")
    list_filter = ("status",)
    allowed_lookups = frozenset({"status__exact"})
    search_fields = ("title",)

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        workspace = ("workspace",) if sees_several(request) else ()
        return ("title", *workspace, "status", "author", "updated_at")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        workspace = ("workspace",) if entered(request) is None else ()
        return (*workspace, "title", "body", "status", "scheduled_at", "published_at")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Who writes activities also takes them away.
        return self.has_change_permission(request, obj)

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "workspace":
            keys = workspaces_granting(request, "add")
            kwargs["queryset"] = Workspace.objects.filter(pk__in=keys)
            if len(keys) == 1:
                kwargs["initial"] = keys[0]
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Activity, form: Any, change: bool) -> None:
        if not change:
            obj.author_id = request.user.pk
            only = entered(request)
            if only is not None:
                obj.workspace_id = only.pk
        super().save_model(request, obj, form, change)


# A workspace's own site, at /w/<slug>/.
for model, model_admin in (
    (Activity, ActivityAdmin),
    (Membership, MembershipAdmin),
    (Webhook, WebhookAdmin),
    (Delivery, DeliveryAdmin),
    (Event, EventAdmin),
):
    site.register(model, model_admin)
