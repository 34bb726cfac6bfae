"""Workspaces that the current transaction is deleting: nothing is emitted for them."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from .models.database import alias, connection


class _Leaving:
    """Marks a workspace as being deleted, for as long as the transaction that deletes it may still do so.

    It is registered as an on-commit callback that does nothing: Django drops those with the savepoint or
    transaction that is rolled back, so a deletion that failed leaves no mark behind.
    """

    def __init__(self, workspace_id: Any) -> None:
        self.workspace_id = workspace_id
        self.active = True

    def __call__(self) -> None:
        """Do nothing: being registered is all that a mark does."""


def mark(workspace_id: Any) -> None:
    """Emit nothing for this workspace from here on: the current transaction is deleting it."""
    transaction.on_commit(_Leaving(workspace_id), using=alias())


def forget(workspace_id: Any) -> None:
    for one in _marks():
        if one.workspace_id == workspace_id:
            one.active = False


def marked() -> set[Any]:
    """Return the primary keys of the workspaces that are being deleted."""
    return {one.workspace_id for one in _marks() if one.active}


def _marks() -> list[_Leaving]:
    callbacks = (entry[1] for entry in connection().run_on_commit)
    return [callback for callback in callbacks if isinstance(callback, _Leaving)]
