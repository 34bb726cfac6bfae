"""Who may see and do what, by their role in the workspace."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from .models import Membership, Workspace

_VIEW = frozenset({"view"})
_WORK = _VIEW | {"add", "change", "redeliver"}
_ALL = _WORK | {"delete", "secret"}

ROLES: dict[str, frozenset[str]] = {
    Membership.Role.OWNER: _ALL,
    Membership.Role.ADMIN: _ALL,
    Membership.Role.MEMBER: _WORK,
    Membership.Role.VIEWER: _VIEW,
}


class RoleAccess:
    """What a member's role allows; a superuser may do everything everywhere."""

    def workspaces(self, user: Any) -> QuerySet[Workspace]:
        if not user.is_active:
            return Workspace.objects.none()
        if user.is_superuser:
            return Workspace.objects.all()
        return Workspace.objects.filter(memberships__user=user.pk)

    def may(self, user: Any, workspace: Any, action: str) -> bool:
        if not user.is_active:
            return False
        if user.is_superuser:
            return True
        # A role that is not in the table (written past the form's choices) may do nothing.
        return action in ROLES.get(_roles(user).get(workspace.pk, ""), frozenset())

    def recipients(self, workspace: Any) -> list[str]:
        owners = Membership.objects.filter(
            workspace=workspace, role=Membership.Role.OWNER, user__is_active=True
        )
        return [email for email in owners.values_list("user__email", flat=True) if email]


def _roles(user: Any) -> dict[Any, str]:
    """Return the user's role by workspace key: one query for a request, whose user object lives as long."""
    if not hasattr(user, "_workspace_roles"):
        rows = Membership.objects.filter(user=user.pk).values_list("workspace", "role")
        user._workspace_roles = dict(rows)
    roles: dict[Any, str] = user._workspace_roles
    return roles
