"""What a request may see and do: `access` asked on behalf of the admin's pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from django.utils.text import capfirst

from .. import access


def entered(request: HttpRequest) -> Model | None:
    """Return the workspace that the request has entered; None: the page is about all that the user may see.

    A project that gives each workspace pages of its own sets `request.workspace` before they are reached.
    """
    return getattr(request, "workspace", None)


def workspaces(request: HttpRequest) -> QuerySet[Any]:
    """Return the workspaces that the request is about: all that access grants, or the one that it has entered."""
    granted = access.workspaces(request.user)
    only = entered(request)
    return granted if only is None else granted.filter(pk=only.pk)


def may(request: HttpRequest, workspace: Model, action: str) -> bool:
    if not _is_known(request) or entered(request) not in (None, workspace):
        return False
    return access.may(request.user, workspace, action)


def may_anywhere(request: HttpRequest, action: str) -> bool:
    """Return whether `action` is granted in one workspace at least."""
    # The sidebar asks this a dozen times for one page.
    answers: dict[str, bool] = request.__dict__.setdefault("_webhooks_may_anywhere", {})
    if action not in answers:
        answers[action] = _is_known(request) and any(
            access.may(request.user, workspace, action) for workspace in workspaces(request)
        )
    return answers[action]


def workspaces_granting(request: HttpRequest, action: str) -> list[Any]:
    """Return the keys of the workspaces in which `action` is granted."""
    return [workspace.pk for workspace in workspaces(request) if access.may(request.user, workspace, action)]


def sees_several(request: HttpRequest) -> bool:
    """Return whether lists need to say which workspace a row belongs to."""
    return len(workspaces(request)[:2]) > 1


def _is_known(request: HttpRequest) -> bool:
    # The log-in page asks what to list, too.
    return request.user.is_active and request.user.is_authenticated


def _is_possible(value: str) -> bool:
    """Return whether a column can hold `value`: no NUL, and no number beyond a bigint's 18 safe digits."""
    return "\x00" not in value and not (value.isdecimal() and len(value) > 18)


class ScopedAdmin(admin.ModelAdmin):
    """Shows the user's workspaces only: another one's object is not found, as one that does not exist."""

    # Query-string look-ups that lists may be narrowed by. Every other is refused, whatever it would reach.
    allowed_lookups: frozenset[str] = frozenset()
    sortable_by = ()
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(workspace__in=workspaces(request))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is None:
            raise Http404
        return found

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        # Values that no column can hold would be an error of the database.
        values = value if isinstance(value, (list, tuple)) else [value]
        return lookup in self.allowed_lookups and all(_is_possible(str(one)) for one in values)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_anywhere(request, "view")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._granted(request, obj, "view")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_anywhere(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._granted(request, obj, "change")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._granted(request, obj, "delete")

    def _granted(self, request: HttpRequest, obj: Any, action: str) -> bool:
        return may_anywhere(request, action) if obj is None else may(request, obj.workspace, action)


class ReadOnlyAdmin(ScopedAdmin):
    """What the product writes and people read."""

    # There may be millions of them.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_payloads_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether event data, and the bodies of requests and responses, are shown."""
        return self._granted(request, obj, "payloads")
