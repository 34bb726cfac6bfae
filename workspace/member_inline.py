"""Members on a workspace's page in the operators' site. The same rules hold as on the workspace's own pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet
from django.http import HttpRequest

from webhooks.admin.scope import may

from .access import roles_in_gift
from .members import LEFT_TO_OWNERS, NEEDS_AN_OWNER, hold_still
from .models import Membership


class MemberFormSet(BaseInlineFormSet):
    """`given`: the roles that the person may give and take; set, for each request, on the class made of this one."""

    given: frozenset[str] = frozenset()

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        for form in self.forms:
            if form.has_changed() or form in self.deleted_forms:
                touched = {form.initial.get("role"), form.cleaned_data.get("role")} - {None}
                if not touched <= self.given:
                    raise ValidationError(LEFT_TO_OWNERS)
        self._demand_an_owner()

    def _demand_an_owner(self) -> None:
        """Raise ValidationError when the workspace had an owner who can log in, and would have none."""
        if self.instance.pk is None:
            return
        # Two who each take one of two owners away would each leave the other.
        hold_still(self.instance.pk)
        owners = self.instance.memberships.filter(role=Membership.Role.OWNER, user__is_active=True)
        shown = {form.instance.pk for form in self.initial_forms}
        stored = set(owners.values_list("pk", flat=True))
        if stored and stored <= shown and not any(self._leaves_an_owner(form, stored) for form in self.forms):
            raise ValidationError(NEEDS_AN_OWNER)

    def _leaves_an_owner(self, form: Any, stored: set[int]) -> bool:
        """`stored`: the memberships of owners, as they are now."""
        if form in self.deleted_forms:
            return False
        if not form.has_changed():
            # It is not saved: what it shows was read before the lock, and may be an owner no more.
            return form.instance.pk in stored
        role, user = form.cleaned_data.get("role"), form.cleaned_data.get("user")
        return user is not None and user.is_active and role == Membership.Role.OWNER


class MembershipInline(admin.TabularInline):
    model = Membership
    formset = MemberFormSet
    extra = 0
    autocomplete_fields = ("user",)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset: Any = super().get_formset(request, obj, **kwargs)
        # Whoever makes a workspace here decides who owns it.
        formset.given = frozenset(Membership.Role.values) if obj is None else roles_in_gift(request.user, obj)
        return formset

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None or may(request, obj, "view")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._manages(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._manages(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._manages(request, obj)

    def _manages(self, request: HttpRequest, obj: Any) -> bool:
        return obj is None or may(request, obj, "members")
