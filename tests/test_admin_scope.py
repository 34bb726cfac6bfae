"""Another workspace's objects in the admin: as if they did not exist. With our workspace app's roles."""

import uuid
from datetime import timedelta

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import SECRET, make_user, make_webhook, make_workspace
from tests.test_admin import make_delivery, page, text
from webhooks.models import Delivery, Webhook, WebhookState

pytestmark = pytest.mark.django_db

if not apps.is_installed("workspace"):
    pytest.skip("is about the roles of our own workspace app", allow_module_level=True)


@pytest.fixture
def foreign():
    """A webhook with a delivery in a workspace that the user knows nothing of."""
    webhook = make_webhook(make_workspace("hidden", "Hidden Ltd"), name="Their CRM", secret=SECRET)
    make_delivery(webhook)
    return webhook


@pytest.fixture
def owner(client):
    user = make_user("olga", role="owner", workspace=make_workspace())
    client.force_login(user)
    return user


def outcome(response):
    return response.status_code, response.content, dict(response.headers)


@pytest.mark.parametrize(
    "name",
    [
        "webhook_change",
        "webhook_history",
        "webhook_delete",
        "webhook_secret",
        "webhook_secret_remove",
        "webhook_secret_finish",
        "webhook_recover",
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_foreign_webhook_looks_like_a_missing_one(client, owner, foreign, name, method):
    answers = [
        outcome(getattr(client, method)(page(name, pk), {"post": "yes"} if method == "post" else None))
        for pk in (foreign.pk, foreign.pk + 1000)
    ]
    assert answers[0][0] == 404
    assert answers[0] == answers[1]
    assert Webhook.objects.get(pk=foreign.pk).secret == SECRET


def test_a_foreign_webhooks_pause_is_ended_by_nobody_here(client, owner, foreign):
    later = timezone.now() + timedelta(minutes=5)
    WebhookState.objects.create(webhook=foreign, paused_until=later)
    answers = [outcome(client.post(page("webhook_resume", pk))) for pk in (foreign.pk, foreign.pk + 1000)]
    assert answers[0][0] == 404
    assert answers[0] == answers[1]
    assert WebhookState.objects.get().paused_until == later


@pytest.mark.parametrize(
    "name", ["delivery_change", "delivery_history", "delivery_redeliver", "delivery_delete"]
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_foreign_delivery_looks_like_a_missing_one(client, owner, foreign, name, method):
    own = Delivery.objects.get()
    answers = [outcome(getattr(client, method)(page(name, pk))) for pk in (own.pk, own.pk + 1000)]
    assert answers[0] == answers[1]
    assert answers[0][0] in (404, 405)
    assert Delivery.objects.get().status == "succeeded"


def test_a_foreign_event_looks_like_a_missing_one(client, owner, foreign):
    answers = [
        outcome(client.get(page("event_change", pk)))
        for pk in (Delivery.objects.get().event_id, uuid.uuid4())
    ]
    assert answers[0][0] == 404
    assert answers[0] == answers[1]


def test_lists_popups_and_filters_show_nothing_of_it(client, owner, foreign):
    for name in ("webhook_changelist", "delivery_changelist", "event_changelist"):
        for query in ({}, {"_popup": "1"}, {"q": "Their"}):
            body = text(client.get(page(name, query=query)))
            assert "Their CRM" not in body
            assert "Hidden" not in body
    body = text(client.get(page("delivery_changelist", query={"webhook__id__exact": foreign.pk})))
    assert "Their CRM" not in body
    assert "0 deliveries" in body


def test_bulk_actions_pass_it_by(client, owner, foreign):
    delivery = Delivery.objects.get()
    client.post(
        page("delivery_changelist"), {"action": "redeliver_selected", "_selected_action": [delivery.pk]}
    )
    client.post(
        page("webhook_changelist"),
        {"action": "delete_selected", "_selected_action": [foreign.pk], "post": "yes"},
    )
    assert Delivery.objects.get().status == "succeeded"
    assert Webhook.objects.filter(pk=foreign.pk).exists()


def test_who_may_add_in_two_workspaces_chooses_between_those_only(client, foreign):
    mine = [make_workspace("one"), make_workspace("two")]
    look = make_workspace("three")
    user = make_user("olga", role="owner", workspace=mine[0])
    mine[1].memberships.create(user=user, role="member")
    look.memberships.create(user=user, role="viewer")
    client.force_login(user)
    field = client.get(page("webhook_add")).context["adminform"].form.fields["workspace"]
    assert set(field.queryset) == set(mine)
    for other in (look, foreign.workspace):
        response = client.post(page("webhook_add"), {"workspace": other.pk})
        assert "workspace" in response.context["adminform"].form.errors


def test_a_member_neither_deletes_nor_touches_the_secret(client):
    workspace = make_workspace()
    webhook = make_webhook(workspace)
    client.force_login(make_user("max", role="member", workspace=workspace))
    body = text(client.get(page("webhook_change", webhook.pk)))
    assert page("webhook_secret", webhook.pk) not in body
    assert client.post(page("webhook_secret", webhook.pk)).status_code == 403
    assert client.post(page("webhook_delete", webhook.pk), {"post": "yes"}).status_code == 403
    client.post(
        page("webhook_changelist"),
        {"action": "delete_selected", "_selected_action": [webhook.pk], "post": "yes"},
    )
    assert Webhook.objects.filter(pk=webhook.pk).exists()


def test_a_user_of_no_workspace_sees_no_webhooks_at_all(client, foreign):
    client.force_login(make_user("nora"))
    assert "Webhooks" not in text(client.get(reverse("admin:index")))
    assert client.get(page("webhook_changelist")).status_code == 403


def test_workspaces_and_activities_are_scoped_too(client, owner, foreign):
    hidden = apps.get_model("workspace.Activity").objects.create(
        workspace=foreign.workspace, title="Their plan"
    )
    for name in ("workspace", "activity"):
        body = text(client.get(reverse(f"admin:workspace_{name}_changelist")))
        assert "Hidden" not in body
        assert "Their plan" not in body
    answers = [
        client.get(reverse("admin:workspace_activity_change", args=[pk]))
        for pk in (hidden.pk, hidden.pk + 999)
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    response = client.post(
        reverse("admin:workspace_activity_add"),
        {"workspace": foreign.workspace_id, "title": "Mine", "status": "draft"},
    )
    assert "workspace" in response.context["adminform"].form.errors


def test_the_members_form_does_not_reach_another_workspace(client, owner, foreign):
    address = reverse("admin:workspace_workspace_change", args=[foreign.workspace_id])
    assert client.get(address).status_code == 404


def test_a_viewer_changes_neither_activities_nor_members(client):
    workspace = make_workspace()
    viewer = make_user("vera", role="viewer", workspace=workspace)
    client.force_login(viewer)
    activity = apps.get_model("workspace.Activity").objects.create(workspace=workspace, title="Plan")
    addresses = [
        reverse("admin:workspace_workspace_change", args=[workspace.pk]),
        reverse("admin:workspace_activity_change", args=[activity.pk]),
    ]
    assert [client.get(address).status_code for address in addresses] == [200, 200]
    assert [client.post(address, {"title": "Mine"}).status_code for address in addresses] == [403, 403]
    assert client.get(reverse("admin:workspace_activity_add")).status_code == 403
    assert client.get(reverse("admin:workspace_workspace_add")).status_code == 403


def test_a_member_writes_activities(client):
    workspace = make_workspace()
    member = make_user("max", role="member", workspace=workspace)
    client.force_login(member)
    response = client.post(
        reverse("admin:workspace_activity_add"),
        {"workspace": workspace.pk, "title": "Plan", "status": "draft"},
    )
    assert response.status_code == 302
    assert workspace.activities.get().author == member


def test_a_workspace_is_deleted_with_its_deliveries(client, foreign):
    client.force_login(make_user("root", superuser=True))
    address = reverse("admin:workspace_workspace_delete", args=[foreign.workspace_id])
    assert "demo.happened" not in text(client.get(address))
    client.post(address, {"post": "yes"})
    assert not Webhook.with_deleted.exists()


def test_an_activity_is_not_moved_into_a_workspace_that_one_only_views(client):
    mine, theirs = make_workspace("mine"), make_workspace("theirs")
    user = make_user("olga", role="owner", workspace=mine)
    theirs.memberships.create(user=user, role="viewer")
    client.force_login(user)
    activity = mine.activities.create(title="Plan")
    response = client.post(
        reverse("admin:workspace_activity_change", args=[activity.pk]),
        {"workspace": theirs.pk, "title": "Plan", "status": "draft"},
    )
    assert "workspace" in response.context["adminform"].form.errors


def test_bulk_redelivery_leaves_out_the_workspace_that_one_only_views(client):
    mine, theirs = make_workspace("mine"), make_workspace("theirs")
    user = make_user("olga", role="owner", workspace=mine)
    theirs.memberships.create(user=user, role="viewer")
    client.force_login(user)
    own, other = make_delivery(make_webhook(mine)), make_delivery(make_webhook(theirs))
    client.post(
        page("delivery_changelist"),
        {"action": "redeliver_selected", "_selected_action": [own.pk, other.pk]},
    )
    assert Delivery.objects.get(pk=own.pk).status == "pending"
    assert Delivery.objects.get(pk=other.pk).status == "succeeded"


def test_bulk_deletion_is_refused_where_one_may_not_delete(client):
    mine, theirs = make_workspace("mine"), make_workspace("theirs")
    user = make_user("olga", role="owner", workspace=mine)
    theirs.memberships.create(user=user, role="member")
    client.force_login(user)
    webhook = make_webhook(theirs)
    response = client.post(
        page("webhook_changelist"),
        {"action": "delete_selected", "_selected_action": [webhook.pk], "post": "yes"},
    )
    assert response.status_code == 403
    assert Webhook.objects.filter(pk=webhook.pk).exists()


def test_posts_without_a_csrf_token_are_refused(owner):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    webhook = make_webhook(owner.workspaces.get())
    delivery = make_delivery(webhook)
    for address in (
        page("webhook_add"),
        page("webhook_secret", webhook.pk),
        page("webhook_secret_remove", webhook.pk),
        page("webhook_secret_finish", webhook.pk),
        page("webhook_resume", webhook.pk),
        page("webhook_recover", webhook.pk),
        page("delivery_redeliver", delivery.pk),
    ):
        assert browser.post(address).status_code == 403, address


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query", ["webhook__id__exact=" + "9" * 30, "status__exact=%00", "event_type__exact=a%00"]
)
def test_a_filter_by_what_no_column_can_hold_is_a_bad_request(client, query):
    make_workspace()
    client.force_login(make_user("root", superuser=True))
    assert client.get(f"/admin/webhooks/delivery/?{query}").status_code == 400
