"""Inputs of the webhook's form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _

from .. import catalogue


class SecretInput(forms.TextInput):
    """A plain text input with a button that fills it in, in the browser."""

    template_name = "webhooks/secret_input.html"

    class Media:
        js = ("webhooks/secret.js",)

    def __init__(self) -> None:
        super().__init__(attrs={"class": "vTextField", "autocomplete": "off", "spellcheck": "false"})


class EventsInput(forms.CheckboxSelectMultiple):
    """One checkbox for each event type, by noun; before them "All events"; after them what else was kept."""

    template_name = "webhooks/events_input.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        chosen = {str(item) for item in value or ()}
        identity = (attrs or {}).get("id", f"id_{name}")
        described_by = (attrs or {}).get("aria-describedby")
        context["groups"] = [
            {
                "legend": legend,
                "options": [
                    {
                        "value": pattern,
                        "description": description,
                        "checked": pattern in chosen,
                        "id": f"{identity}_{pattern}",
                    }
                    for pattern, description in options
                ],
            }
            for legend, options in self._groups(chosen)
        ]
        context["described_by"] = described_by
        return context

    def _groups(self, chosen: set[str]) -> list[tuple[str, list[tuple[str, str]]]]:
        groups: dict[str, list[tuple[str, str]]] = {}
        for event_type in catalogue.all():
            groups.setdefault(event_type.noun, []).append((event_type.name, event_type.description))
        offered = {catalogue.ALL, *(name for options in groups.values() for name, _ in options)}
        return [
            ("", [(catalogue.ALL, _("Every event of the workspace, those added later included."))]),
            *((noun.replace("_", " ").capitalize(), options) for noun, options in groups.items()),
            (_("Also subscribed to"), [(pattern, meaning(pattern)) for pattern in sorted(chosen - offered)]),
        ]


def meaning(pattern: str) -> str:
    """Return what a pattern that no checkbox offers stands for."""
    noun, _dot, verb = pattern.partition(".")
    if verb == catalogue.ALL:
        return _("Every event whose type begins with %(noun)s.") % {"noun": noun}
    return _("This event type is no longer registered; nothing is sent for it.")
