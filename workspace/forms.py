"""The portal's forms."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.forms import BaseUserCreationForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from . import members
from .access import roles_in_gift
from .models import Membership, Workspace

_TEXT = {"class": "vTextField"}


class NameForm(forms.ModelForm):
    """A workspace's name. Its slug is not asked for: see `lifecycle.new_slug()`."""

    class Meta:
        model = Workspace
        fields = ("name",)
        widgets = {"name": forms.TextInput(attrs={**_TEXT, "autocomplete": "organization"})}
        help_texts = {"name": _("What your team calls it. You can change it later.")}


def _offered(user: Any, workspace: Workspace) -> list[tuple[str, Any]]:
    """Return the roles that this person may give, the usual one first and the mightiest last."""
    given = roles_in_gift(user, workspace)
    order = (Membership.Role.MEMBER, Membership.Role.VIEWER, Membership.Role.ADMIN, Membership.Role.OWNER)
    return [(role.value, role.label) for role in order if role.value in given]


class InvitationForm(forms.Form):
    address = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={**_TEXT, "autocomplete": "off"}),
        help_text=_("Whoever receives the e-mail joins with a click, with an account or without one yet."),
    )
    role = forms.ChoiceField(
        label=_("Role"),
        help_text=_(
            "Viewers see what was sent, but not its contents. Members work with webhooks and activities. Admins also "
            "see to secrets, deletions and members. Owners may do everything."
        ),
    )

    def __init__(self, *args: Any, user: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        role: Any = self.fields["role"]
        role.choices = _offered(user, workspace)


class MembershipForm(forms.ModelForm):
    """Another role for a member. `user` is set, for each request, on the class that the admin makes of this one."""

    user: Any = None

    class Meta:
        model = Membership
        fields = ("role",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "role" in self.fields:  # whoever may only look has no field
            role: Any = self.fields["role"]
            role.choices = _offered(self.user, self.instance.workspace)

    def clean_role(self) -> str:
        role: str = self.cleaned_data["role"]
        members.demand_change(self.instance, role, by=self.user)
        return role


class TransferForm(forms.Form):
    to = forms.ModelChoiceField(
        label=_("New owner"),
        queryset=Membership.objects.none(),
        help_text=_("They may then do everything here. You become an admin."),
    )

    def __init__(self, *args: Any, user: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        to: Any = self.fields["to"]
        others = workspace.memberships.exclude(user=user.pk).exclude(role=Membership.Role.OWNER)
        to.queryset = others.filter(user__is_active=True).select_related("user").order_by("user__username")


class DeletionForm(forms.Form):
    """The workspace's name, typed: a click alone must not remove everything."""

    name = forms.CharField(
        label=_("Name of the workspace"), widget=forms.TextInput(attrs={**_TEXT, "autocomplete": "off"})
    )

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.workspace = workspace

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name != self.workspace.name.strip():
            raise ValidationError(_("This is not the workspace’s name."))
        return name


class AccountForm(BaseUserCreationForm):
    """An account for somebody who was invited. The e-mail address is the invitation's."""

    class Meta:
        model = get_user_model()
        fields = (get_user_model().USERNAME_FIELD,)

    def __init__(self, *args: Any, address: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.email = address
