"""A key that a serializer does not know is refused: a misspelt setting must not be taken for set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.utils.html import is_html_input

from ..nearest import hint

# How many are named in one answer: what is compared with every known name must be bounded.
MAX_NAMED = 10
MAX_SHOWN = 100
# What the pages of the browsable API send along.
_OF_FORMS = frozenset({"csrfmiddlewaretoken"})


class KnownKeys(serializers.Serializer[Any]):
    """Answers 400 by key. What is only read may be sent, so that what was read can be sent back."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = _keys(data) - self.fields.keys()
        if unknown:
            raise serializers.ValidationError(
                {
                    _shown(name): [f"There is no such key.{hint(name, self._writable())}"]
                    for name in _first(unknown)
                }
            )
        return super().to_internal_value(data)

    def _writable(self) -> list[str]:
        return [name for name, field in self.fields.items() if not field.read_only]


def _keys(data: Any) -> set[str]:
    if not isinstance(data, Mapping):
        return set()  # answered as no object at all
    if not is_html_input(data):
        return set(data)
    # A form writes "headers.X-Api-Key" and "events[0]".
    return {name.partition(".")[0].partition("[")[0] for name in data} - _OF_FORMS


def _shown(name: str) -> str:
    """Return the key as an answer can hold it: JSON lets one through that is no Unicode."""
    return (name if name.isprintable() else ascii(name))[:MAX_SHOWN]


def _first(names: set[str]) -> list[str]:
    return sorted(names)[:MAX_NAMED]
