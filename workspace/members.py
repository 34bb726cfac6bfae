"""What people do about a workspace's members. Whatever they do, an owner remains."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from webhooks.audit import ADDED, DELETED, note

from .access import roles_in_gift
from .models import Membership, Workspace

NEEDS_AN_OWNER = _("A workspace needs an owner: make somebody else an owner first.")
IS_GONE = _("This person is no member any more.")
LEFT_TO_OWNERS = _("Only an owner can make or change an owner.")


def add(workspace: Workspace, user: Any, role: str, *, by: Any) -> Membership:
    """Let `user` in, or return the place that they have already, with the role that it has."""
    membership, created = Membership.objects.get_or_create(
        workspace=workspace, user=user, defaults={"role": role}
    )
    if created:
        note([membership], "Joined the workspace.", by, flag=ADDED)
    return membership


def hold_still(workspace_id: Any) -> None:
    """Keep others from changing the workspace's members and invitations, until the transaction's end.

    Not by a plain FOR UPDATE: that would hold up every emit.
    """
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace_id)


def demand_change(membership: Membership, role: str | None, *, by: Any) -> None:
    """Raise ValidationError unless `by` may give `membership`, as it is stored now, this role; None: take it away.

    To be called in the transaction that does so: until its end nobody else changes a member there.
    """
    # Two owners who leave at once would each see the other.
    hold_still(membership.workspace_id)
    stored = Membership.objects.filter(pk=membership.pk).values_list("role", flat=True).first()
    if stored is None:
        raise ValidationError(IS_GONE)
    if by.pk != membership.user_id and stored not in roles_in_gift(by, membership.workspace):
        raise ValidationError(LEFT_TO_OWNERS)
    if role != Membership.Role.OWNER:
        _demand_another_owner(membership)


def _demand_another_owner(membership: Membership) -> None:
    """Raise ValidationError when `membership`, as it is stored, is the only ownership of somebody who can log in."""
    owners = Membership.objects.filter(workspace=membership.workspace_id, role=Membership.Role.OWNER)
    others = owners.exclude(pk=membership.pk).filter(user__is_active=True)
    if owners.filter(pk=membership.pk).exists() and not others.exists():
        raise ValidationError(NEEDS_AN_OWNER)


@transaction.atomic
def change_role(membership: Membership, role: str, *, by: Any) -> None:
    """Give a member another role. Raises ValidationError: see `demand_change()`."""
    demand_change(membership, role, by=by)
    membership.role = role
    membership.save(update_fields=["role"])
    note([membership], f"Changed role to {role}.", by)


@transaction.atomic
def remove(membership: Membership, *, by: Any) -> None:
    """Take a member's place away. Raises ValidationError: see `demand_change()`."""
    demand_change(membership, None, by=by)
    message = "Left the workspace." if by.pk == membership.user_id else "Removed from the workspace."
    note([membership], message, by, flag=DELETED)
    membership.delete()


@transaction.atomic
def transfer(workspace: Workspace, to: Membership, *, by: Any) -> None:
    """Make another member an owner in the place of `by`, who becomes an admin if they were an owner.

    Raises ValidationError when that member has left.
    """
    change_role(to, Membership.Role.OWNER, by=by)
    former = workspace.memberships.filter(user=by.pk, role=Membership.Role.OWNER).first()
    if former is not None:
        change_role(former, Membership.Role.ADMIN, by=by)
    note([workspace], "Ownership transferred.", by)
