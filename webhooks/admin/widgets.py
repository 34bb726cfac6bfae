"""Inputs of the webhook's form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _

from .. import catalogue

# The kinds of Authorization that can be chosen. What was not sent at all keeps what is stored.
KEEP, NONE, BEARER, BASIC = "", "none", "bearer", "basic"


class SecretInput(forms.TextInput):
    """A plain text input with a button that fills it in, in the browser."""

    template_name = "webhooks/secret_input.html"

    class Media:
        js = ("webhooks/secret.js",)

    def __init__(self) -> None:
        super().__init__(attrs={"class": "vTextField", "autocomplete": "off", "spellcheck": "false"})


class AuthorizationInput(forms.Widget):
    """A choice of the kind, and the inputs that it needs. What is stored is named by its kind, never shown."""

    template_name = "webhooks/authorization_input.html"
    parts = ("kind", "token", "username", "password")

    def value_from_datadict(self, data: Any, files: Any, name: str) -> dict[str, str]:
        return {part: data.get(f"{name}_{part}", "") for part in self.parts}

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}_kind" not in data

    def id_for_label(self, id_: str) -> str:
        return f"{id_}_kind"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """`value` is what was posted, or the mask of what is stored."""
        context = super().get_context(name, value, attrs)
        posted = value if isinstance(value, dict) else {}
        stored = self.attrs.get("stored", "")
        kinds = [(KEEP, _("Keep %(stored)s") % {"stored": stored})] if stored else []
        kinds += [(NONE, _("None")), (BEARER, _("Bearer token")), (BASIC, _("User name and password"))]
        context["kinds"] = kinds
        context["posted"] = {"kind": KEEP if stored else NONE, **posted}
        context["described_by"] = (attrs or {}).get("aria-describedby")
        return context


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
