"""A workspace's life: it is made, renamed, and deleted with everything in it."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.crypto import get_random_string
from django.utils.text import slugify

from webhooks.audit import ADDED, DELETED, note

from . import members
from .models import Membership, Workspace

SUFFIX_LENGTH = 6
SUFFIX_CHARACTERS = "abcdefghjkmnpqrstuvwxyz23456789"


@transaction.atomic
def create(name: str, *, by: Any) -> Workspace:
    """Make a workspace whose owner is `by`."""
    workspace = Workspace.objects.create(name=name, slug=new_slug(name))
    note([workspace], "Created.", by, flag=ADDED)
    members.add(workspace, by, Membership.Role.OWNER, by=by)
    return workspace


def new_slug(name: str) -> str:
    """Return a slug that nobody has.

    Its end is random: a slug that is refused, or numbered, because it is taken would tell of another's workspace.
    """
    room = Workspace._meta.get_field("slug").max_length or 50
    stem = slugify(name)[: room - SUFFIX_LENGTH - 1].strip("-_")
    suffix = get_random_string(SUFFIX_LENGTH, SUFFIX_CHARACTERS)
    return f"{stem}-{suffix}" if stem else suffix


@transaction.atomic
def rename(workspace: Workspace, name: str, *, by: Any) -> None:
    """Give it another name. Its slug stays: it stands in addresses, and in what receivers have stored."""
    workspace.name = name
    workspace.save(update_fields=["name"])
    note([workspace], "Changed name.", by)


@transaction.atomic
def delete(workspace: Workspace, *, by: Any) -> None:
    """Remove it with all that is in it. Nothing is emitted, and no delivery is loaded: there may be millions."""
    note([workspace], "Deleted.", by, flag=DELETED)
    workspace.delete()
