"""Who may see and do what, by their role in the workspace."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from .models import Membership, Workspace

# Beside the actions of `webhooks.access`. "members": invite people, change roles, remove members;
# "workspace": rename the workspace, hand it over, delete it.
OWN_ACTIONS = ("members", "workspace")

_VIEW = frozenset({"view"})
_WORK = _VIEW | {"payloads", "add", "change", "redeliver", "recover"}
_MANAGE = _WORK | {"delete", "secret", "members"}
_ALL = _MANAGE | {"workspace"}

ROLES: dict[str, frozenset[str]] = {
    Membership.Role.OWNER: _ALL,
    Membership.Role.ADMIN: _MANAGE,
    Membership.Role.MEMBER: _WORK,
    Membership.Role.VIEWER: _VIEW,
}


def roles_in_gift(user: Any, workspace: Any) -> frozenset[str]:
    """Return the roles that `user` may give in `workspace`, and whose holders they may change or remove.

    Nobody gives what they do not have: who manages members but not the workspace neither makes nor unmakes an owner.
    """
    access = RoleAccess()
    if not access.may(user, workspace, "members"):
        return frozenset()
    if access.may(user, workspace, "workspace"):
        return frozenset(ROLES)
    return frozenset(ROLES) - {Membership.Role.OWNER}


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
