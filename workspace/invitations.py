"""Inviting somebody by e-mail: a signed link that expires, is used once, and can be taken back."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.auth import get_user_model
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webhooks.audit import ADDED, DELETED, note

from . import members
from .access import roles_in_gift
from .models import Invitation, Membership, Workspace

logger = logging.getLogger("workspace")

SALT = "workspace.invitation"
# Each is an e-mail to an address of the inviter's choice: not a way to send them to everybody.
OPEN_AT_MOST = 50
IS_MEMBER = _("Somebody with this e-mail address is a member already.")
TOO_MANY = _("There are %d open invitations. Revoke some, or wait until they are accepted.") % OPEN_AT_MOST
NOT_MAILED = _("The e-mail could not be sent, so nobody was invited. Try again later.")
OF_ANOTHER = _("This invitation is for another e-mail address than your account’s.")


@transaction.atomic
def make(workspace: Workspace, address: str, role: str, *, by: Any) -> Invitation:
    """Keep a place for whoever has this e-mail address; a former invitation to it is void from then on.

    Raises ValidationError for a member, and when too many are open.
    """
    address = address.lower()
    # One at a time: the second of two clicks finds the first's row, and the number of open ones is exact.
    members.hold_still(workspace.pk)
    if workspace.memberships.filter(user__email__iexact=address).exists():
        raise ValidationError(IS_MEMBER)
    workspace.invitations.filter(created_at__lt=timezone.now() - Invitation.LIFETIME).delete()
    workspace.invitations.filter(address=address).delete()
    if workspace.invitations.count() >= OPEN_AT_MOST:
        raise ValidationError(TOO_MANY)
    invitation = Invitation.objects.create(
        workspace=workspace, address=address, role=role, invited_by_id=by.pk
    )
    note([invitation], "Invited.", by, flag=ADDED)
    return invitation


def mail(invitation: Invitation, link: str) -> None:
    """Send the link; where that fails take the invitation back and raise ValidationError.

    Never inside a transaction: the mail server may take its time, and the link must not arrive before its row.
    """
    try:
        _message(invitation, link).send()
    except OSError:  # smtplib's errors are OSErrors
        logger.exception("invitation %s: the e-mail could not be sent.", invitation.pk)
        invitation.delete()
        raise ValidationError(NOT_MAILED) from None


def _message(invitation: Invitation, link: str) -> EmailMessage:
    inviter = invitation.invited_by
    context = {
        "workspace": _line(invitation.workspace.name),
        "inviter": _line(inviter.get_full_name() or inviter.get_username()) if inviter else "",
        "role": invitation.get_role_display(),
        "link": link,
        "days": Invitation.LIFETIME.days,
    }
    return EmailMessage(
        subject=render_to_string("workspace/mail/invitation.subject.txt", context).strip(),
        body=render_to_string("workspace/mail/invitation.txt", context),
        to=[invitation.address],
        headers={"Auto-Submitted": "auto-generated"},  # RFC 3834: no out-of-office answers
    )


def _line(text: str) -> str:
    """Return the text on one line: a line break would begin a header, or a paragraph that we did not write."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def token(invitation: Invitation) -> str:
    return signing.dumps(str(invitation.pk), salt=SALT)


def find(token: str) -> Invitation | None:
    """Return the open invitation that the token stands for; None: forged, expired, used, taken back or void."""
    try:
        pk = signing.loads(token, salt=SALT, max_age=Invitation.LIFETIME)
    except signing.BadSignature:
        return None
    invitation = Invitation.objects.select_related("workspace", "invited_by").filter(pk=pk).first()
    return invitation if invitation is not None and _is_backed(invitation) else None


def _is_backed(invitation: Invitation) -> bool:
    """Return whether its sender may still give that role: whoever was removed leaves no door behind."""
    sender = invitation.invited_by
    return sender is not None and invitation.role in roles_in_gift(sender, invitation.workspace)


def revoke(invitation: Invitation, *, by: Any) -> None:
    """Take it back: its link is void."""
    note([invitation], "Revoked.", by, flag=DELETED)
    invitation.delete()


def is_for(invitation: Invitation, user: Any) -> bool:
    return str(user.email).lower() == invitation.address


def has_account(invitation: Invitation) -> bool:
    """Return whether somebody with this e-mail address has an account already."""
    return get_user_model()._default_manager.filter(email__iexact=invitation.address).exists()


@transaction.atomic
def accept(invitation: Invitation, user: Any) -> Membership | None:
    """Let `user` in and use the invitation up; None: somebody was faster. Raises ValidationError for another's."""
    if not is_for(invitation, user):
        raise ValidationError(OF_ANOTHER)
    # Who deletes the row is who uses it: of two at once, one finds none.
    deleted, _rows = Invitation.objects.filter(pk=invitation.pk).delete()
    if not deleted:
        return None
    return members.add(invitation.workspace, user, invitation.role, by=user)
