"""Instances without `Model.__init__`, which sets field by field: too slow for what is made for each delivery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db.models import Model
from django.db.models.base import ModelState

M = TypeVar("M", bound=Model)


def instance_of(model: type[M], values: Mapping[str, Any], *, stored_in: str | None) -> M:
    """Return an instance with these values, by `attname`; those left out are read when they are asked for.

    `stored_in`: the alias of the database that the row is in; None: it is new, and `values` must be complete.
    Nobody is sent pre_init and post_init.
    """
    made = model.__new__(model)
    state = made._state = ModelState()
    state.adding, state.db = stored_in is None, stored_in
    made.__dict__.update(values)
    return made
