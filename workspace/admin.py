"""Workspaces, their members and their activities, each shown to its own people only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import ForeignKey, QuerySet
from django.http import Http404, HttpRequest

from webhooks import access

from .models import Activity, Membership, Workspace


class ScopedAdmin(admin.ModelAdmin):
    """Another workspace's object is not found, as one that does not exist."""

    workspace_path = "workspace"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        mine = access.workspaces(request.user)
        return super().get_queryset(request).filter(**{f"{self.workspace_path}__in": mine})

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is None:
            raise Http404
        return found


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(Workspace)
class WorkspaceAdmin(ScopedAdmin):
    workspace_path = "pk"
    list_display = ("name", "slug")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (MembershipInline,)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if not change and not request.user.is_superuser:
            # Nobody else could let its maker in.
            form.instance.memberships.get_or_create(
                user_id=request.user.pk, defaults={"role": Membership.Role.OWNER}
            )


@admin.register(Activity)
class ActivityAdmin(ScopedAdmin):
    list_display = ("title", "workspace", "status", "author", "updated_at")
    list_select_related = ("workspace", "author")
    list_filter = ("status",)
    search_fields = ("title",)
    fields = ("workspace", "title", "body", "status", "scheduled_at", "published_at")
    ordering = ("-pk",)

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "workspace":
            kwargs["queryset"] = access.workspaces(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Activity, form: Any, change: bool) -> None:
        if not change:
            obj.author_id = request.user.pk
        super().save_model(request, obj, form, change)
