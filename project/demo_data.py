"""What the demo starts with. Run again, it finds its own and mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone
from rest_framework.authtoken.models import Token

from webhooks import actions
from webhooks.models import Event, Webhook
from webhooks.signals import event_emitted
from workspace.models import Activity, Membership, Workspace

USERNAME = PASSWORD = "demo"  # noqa: S105  printed for everybody to read
SECRET = "demo-secret"  # noqa: S105
SLUG = "demo"


@dataclass(frozen=True, kw_only=True)
class DemoData:
    workspace: Workspace
    token: str
    webhooks: list[Webhook]


def prepare(receiver_url: str) -> DemoData:
    """Make the user, the workspace with two webhooks to the receiver, and a first activity."""
    with transaction.atomic():
        user, _ = get_user_model().objects.get_or_create(username=USERNAME)
        user.is_staff = user.is_superuser = user.is_active = True
        user.set_password(PASSWORD)
        user.save()
        workspace, created = Workspace.objects.get_or_create(slug=SLUG, defaults={"name": "Demo"})
        webhooks = [
            _webhook(workspace, "Demo receiver", f"{receiver_url}/demo"),
            _webhook(workspace, "Flaky", f"{receiver_url}/flaky"),
        ]
        Membership.objects.update_or_create(
            workspace=workspace, user=user, defaults={"role": Membership.Role.OWNER}
        )
        if created:
            Activity.objects.create(workspace=workspace, author=user, title="Write the first post")
        token, _ = Token.objects.get_or_create(user=user)
    return DemoData(workspace=workspace, token=token.key, webhooks=webhooks)


def _webhook(workspace: Workspace, name: str, url: str) -> Webhook:
    webhook = Webhook.objects.filter(workspace=workspace, name=name).first()
    webhook = webhook or Webhook(workspace=workspace, name=name)
    webhook.callback_url = url
    webhook.method = Webhook.Method.POST
    webhook.max_attempts = 8
    webhook.secret = SECRET
    # A rotation would still sign with the secret that somebody left here.
    webhook.previous_secret, webhook.previous_secret_expires_at = "", None
    webhook.full_clean()
    webhook.save()
    webhook.set_patterns(["*"])
    # What a former run left behind: paused or disabled, with deliveries that wait.
    actions.activate(webhook, by=None)
    return webhook


def publish_activities(workspace: Workspace) -> list[UUID]:
    """Do what a workspace does in a day; return the ids of the events that it emitted."""
    events: list[UUID] = []

    def note(event: Event, **_: Any) -> None:
        events.append(event.pk)

    event_emitted.connect(note)
    try:
        _write_schedule_publish_and_delete(workspace)
    finally:
        event_emitted.disconnect(note)
    return events


def _write_schedule_publish_and_delete(workspace: Workspace) -> None:
    author = get_user_model().objects.get(username=USERNAME)
    with transaction.atomic():
        launch = Activity.objects.create(workspace=workspace, author=author, title="Launch")
        notes = Activity.objects.create(workspace=workspace, author=author, title="Release notes: ñ, 日本")
    with transaction.atomic():
        launch.status = Activity.Status.SCHEDULED
        launch.scheduled_at = timezone.now()
        launch.save()
    with transaction.atomic():
        launch.status = Activity.Status.PUBLISHED
        launch.published_at = timezone.now()
        launch.save()
        notes.status = Activity.Status.FAILED
        notes.save()
    with transaction.atomic():
        notes.delete()
