"""Objects for tests, whatever the workspace model is."""

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

from webhooks.conf import workspace_model
from webhooks.events import emit
from webhooks.models import Delivery, Webhook

SECRET = "s3cret-é"


def make_workspace(slug="acme", name=None):
    return workspace_model()._default_manager.create(slug=slug, name=name or slug.title())


def make_user(username="ann", *, superuser=False, role=None, workspace=None):
    """With our workspace app, `role` is a membership; with another, it is all of the app's permissions or `view`."""
    users = get_user_model().objects
    if superuser:
        return users.create_superuser(username, f"{username}@example.com", "pw")
    user = users.create_user(username, f"{username}@example.com", "pw", is_staff=True)
    if role and apps.is_installed("workspace"):
        apps.get_model("workspace.Membership").objects.create(workspace=workspace, user=user, role=role)
    elif role:
        permissions = Permission.objects.filter(content_type__app_label="webhooks")
        if role == "viewer":
            permissions = permissions.filter(codename__startswith="view_")
        user.user_permissions.set(permissions)
    return user


def make_webhook(workspace, *, patterns=("*",), **fields):
    fields = {"name": "CRM", "callback_url": "http://127.0.0.1:9/", **fields}
    webhook = Webhook.objects.create(workspace=workspace, **fields)
    webhook.subscribe(*patterns)
    return webhook


def make_webhook_that_missed(workspace):
    """One that missed two events, and failed to get a third."""
    for _ in range(2):
        emit("order.created", workspace=workspace, data={})
    webhook = make_webhook(workspace, patterns=("order.*",))
    emit("order.created", workspace=workspace, data={})
    Delivery.objects.update(status="failed")
    return webhook


def webhook_form(**changes):
    """Return what the admin's form of a webhook is posted with."""
    return {
        "name": "CRM",
        "callback_url": "https://example.com/hook",
        "method": "POST",
        "content_type": "application/json",
        "max_attempts": "8",
        "is_active": "on",
        "events": ["*"],
        **changes,
    }
