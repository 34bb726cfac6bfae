"""Nobody sees another workspace's anything: on every address that there is, found by walking."""

from types import ModuleType

import pytest
from django.conf import settings as django_settings
from django.contrib import admin
from django.test import Client
from django.urls import clear_url_caches, include, path
from django.utils.html import escape
from rest_framework.routers import SimpleRouter
from rest_framework.serializers import ModelSerializer
from rest_framework.viewsets import ModelViewSet

from tests import own_workspace  # noqa: F401
from tests.factories import SECRET, make_user, make_webhook, make_workspace
from tests.isolation import Walk, World, addresses, routes
from tests.test_admin import make_delivery
from webhooks.admin import DeliveryAdmin, EventAdmin
from webhooks.audit import note
from webhooks.models import Delivery, Event, Webhook
from workspace.models import Activity, Invitation
from workspace.portal import SITE_URLS

pytestmark = pytest.mark.django_db

OPERATORS_SITE = "/"
OWN_SITE = "/w/mine/"


@pytest.fixture
def world():
    foreign = make_workspace("hidden-slug", "Hidden Ltd")
    webhook = make_webhook(
        foreign, name="Their CRM", callback_url="https://their-crm.example/hook", secret=SECRET
    )
    delivery = make_delivery(webhook, data='{"a":"their-data"}', attempt={"response_body": "their-answer"})
    insider = make_user("their-insider", role="owner", workspace=foreign)
    objects = [
        webhook,
        delivery,
        delivery.event,
        foreign.memberships.get(),
        Activity.objects.create(workspace=foreign, title="Their plan", author=insider),
        Invitation.objects.create(workspace=foreign, address="their-friend@example.com"),
    ]
    texts = ["Hidden Ltd", "hidden-slug", "Their CRM", "their-crm.example", "their-data", "their-answer"]
    texts += ["their-insider", "Their plan", "their-friend@example.com", SECRET]
    return World(make_workspace("mine"), foreign, objects, {text: text for text in texts})


@pytest.fixture
def owner(world):
    make_delivery(make_webhook(world.own, name="Own CRM"))
    return make_user("olga", role="owner", workspace=world.own)


@pytest.fixture
def insider(world):
    return world.objects[3].user


def walk(world, user, *, insider=None):
    """Over both sites, the API and the portal."""
    Walk(world, user, django_settings.ROOT_URLCONF, prefix=OPERATORS_SITE, insider=insider).go()
    if user is not None:
        Walk(world, user, SITE_URLS, prefix=OWN_SITE, insider=insider).go()
    return world.problems


def test_an_owner_of_another_workspace_finds_nothing_at_any_address(world, owner, insider):
    assert walk(world, owner, insider=insider) == []
    assert world.probed == {*routes(django_settings.ROOT_URLCONF), *routes(SITE_URLS)}
    assert len(world.probed) > 150


@pytest.mark.parametrize("role", ["viewer", None])
def test_nor_does_somebody_of_less_rights_or_of_no_workspace(world, role):
    user = make_user("vera", role=role, workspace=world.own)
    assert walk(world, user) == []


def test_nor_does_whoever_has_not_logged_in(world):
    Walk(world, None, django_settings.ROOT_URLCONF).go()
    assert world.problems == []


def test_in_a_workspace_that_was_entered_nothing_of_ones_others_is_found(world, owner):
    """Of the other one's own people, too: two tabs in two workspaces do not mix."""
    world.foreign.memberships.create(user=owner, role="owner")
    for one in world.objects:
        note([one], "Changed.", owner)
    # The switcher names the workspaces that one can enter.
    for name in ("Hidden Ltd", "hidden-slug"):
        del world.markers[name]
    Walk(world, owner, SITE_URLS, prefix=OWN_SITE).go()
    assert world.problems == []


@pytest.mark.parametrize("slug", ["hidden-slug", "no-such-slug"])
def test_a_foreign_workspaces_site_is_not_there(client, owner, world, slug):
    client.force_login(owner)
    answers = {
        (client.get(f"/w/{slug}/{rest}").status_code) for rest in ("", "webhooks/webhook/", "nowhere/")
    }
    assert answers == {404}
    assert client.get(f"/w/{slug}/").content == client.get("/w/absent/").content


class TestPosted:
    """Another workspace's objects inside what is posted to one's own pages."""

    def test_a_foreign_member_in_the_members_form_is_passed_over(self, client, owner, world):
        theirs, mine = world.foreign.memberships.get(), world.own.memberships.get()
        client.force_login(owner)
        form = {"name": "Mine", "memberships-TOTAL_FORMS": 1, "memberships-INITIAL_FORMS": 1}
        form |= {"memberships-0-id": theirs.pk, "memberships-0-workspace": mine.workspace_id}
        form |= {"memberships-0-user": theirs.user_id, "memberships-0-role": "viewer"}
        client.post(f"/admin/workspace/workspace/{world.own.pk}/change/", form)
        theirs.refresh_from_db()
        assert (theirs.role, theirs.workspace) == ("owner", world.foreign)
        assert world.own.memberships.get().role == "owner"

    @pytest.mark.parametrize("site", ["/admin/", OWN_SITE])
    def test_a_foreign_workspace_in_a_form_is_refused_or_passed_over(self, client, owner, world, site):
        client.force_login(owner)
        webhook = {"name": "Mine", "callback_url": "https://example.com/", "method": "POST", "events": "*"}
        webhook |= {"content_type": "application/json", "max_attempts": "8", "workspace": world.foreign.pk}
        client.post(f"{site}webhooks/webhook/add/", webhook)
        activity = {"title": "Mine", "status": "draft", "workspace": world.foreign.pk}
        client.post(f"{site}workspace/activity/add/", activity)
        assert not Webhook.objects.filter(workspace=world.foreign, name="Mine").exists()
        assert not world.foreign.activities.filter(title="Mine").exists()

    def test_a_foreign_workspace_in_the_apis_body_is_refused(self, client, owner, world):
        client.force_login(owner)
        body = {"name": "Mine", "callback_url": "https://example.com/", "events": ["*"]}
        body["workspace"] = world.foreign.pk
        answer = client.post("/api/v1/workspaces/mine/webhooks/", body, content_type="application/json")
        assert (answer.status_code, list(answer.json())) == (400, ["workspace"])
        assert not Webhook.objects.filter(name="Mine").exists()


class TestEveryAddress:
    """As somebody of the workspace itself, on all sites and the API."""

    def all(self, world):
        yield from addresses(world, django_settings.ROOT_URLCONF)
        yield from addresses(world, SITE_URLS, "/w/hidden-slug/")

    def test_what_others_wrote_is_inert_wherever_it_is_shown(self, client, world, insider):
        script = "<script>alert(1)</script>"
        webhook, delivery, event, _, activity, invitation = world.objects
        type(world.foreign).objects.filter(pk=world.foreign.pk).update(name=script)
        Webhook.objects.filter(pk=webhook.pk).update(name=script, callback_url=f"https://a.example/{script}")
        Event.objects.filter(pk=event.pk).update(data=f'{{"a":"{script}"}}', idempotency_key=script)
        delivery.attempts.update(response_body=script, response_headers={script: script}, error=script)
        delivery.attempts.update(request_url=script, request_headers={"A": script})
        type(activity).objects.update(title=script, body=script)
        type(invitation).objects.update(address=script)
        client.force_login(insider)
        shown = 0
        for route, address in self.all(world):
            response = client.get(address)
            if response.headers.get("Content-Type", "").startswith("text/html"):
                assert script not in response.content.decode(), route
                shown += escape(script) in response.content.decode()
            if "logout" in route.name:
                client.force_login(insider)
        assert shown > 20

    def test_no_session_changes_anything_without_the_csrf_token(self, world, insider):
        browser = Client(enforce_csrf_checks=True)
        before = world.stored()
        for route, address in self.all(world):
            browser.force_login(insider)
            for method in route.methods:
                if method not in ("get", "options"):
                    status = getattr(browser, method)(address).status_code
                    assert status >= 400, (method, address, status)
        assert world.stored() == before


class Unscoped(admin.ModelAdmin):
    """What Django makes of a model when nobody thinks of workspaces."""

    list_display = ("name",)
    actions = ("switch_off",)

    def switch_off(self, request, queryset):
        queryset.update(is_active=False)

    def has_view_permission(self, request, obj=None):
        return True

    has_change_permission = has_delete_permission = has_view_permission

    def has_module_permission(self, request):
        return True


class UnscopedSerializer(ModelSerializer):
    class Meta:
        model = Webhook
        fields = ["id", "name"]


class UnscopedViewSet(ModelViewSet):
    queryset = Webhook.objects.all()
    serializer_class = UnscopedSerializer


def with_more(*patterns):
    """A URL configuration with something new."""
    module = ModuleType("tests.more_urls")
    module.urlpatterns = list(patterns)
    return module


@pytest.fixture
def leaky(settings):
    def install(*patterns):
        settings.ROOT_URLCONF = with_more(*patterns)
        clear_url_caches()
        return settings.ROOT_URLCONF

    yield install
    clear_url_caches()


class TestTheWalkItself:
    """It finds what is there to be found: each of these is a mistake that somebody may make one day."""

    def test_an_unscoped_model_admin_is_found(self, world, owner, leaky):
        site = admin.AdminSite(name="new")
        site.register(Webhook, Unscoped)
        site.register(Delivery, DeliveryAdmin)
        site.register(Event, EventAdmin)
        Walk(world, owner, leaky(path("new/", site.urls))).go()
        problems = "\n".join(world.problems)
        for name in ("change", "delete", "history"):
            assert f"(new:webhooks_webhook_{name}): shows Their CRM" in problems
        assert "(new:webhooks_webhook_changelist): shows Their CRM" in problems
        assert "(new:webhooks_webhook_changelist): changes something of the foreign workspace" in problems
        assert "webhooks_delivery" not in problems

    def test_an_unscoped_viewset_is_found(self, world, owner, leaky):
        router = SimpleRouter()
        router.register("news", UnscopedViewSet, basename="news")
        urls = leaky(path("workspaces/<str:workspace>/", include(router.urls)))
        Walk(world, owner, urls).go()
        problems = "\n".join(world.problems)
        assert "(news-list): shows Their CRM" in problems
        assert "(news-detail)" in problems

    def test_a_page_that_names_all_workspaces_is_found(self, world, owner, leaky):
        from django.http import HttpResponse

        from workspace.models import Workspace

        def page(request):
            return HttpResponse(", ".join(one.name for one in Workspace.objects.all()))

        Walk(world, owner, leaky(path("page/", page, name="page"))).go()
        assert world.problems == ["/page/ (page): shows Hidden Ltd"]

    def test_an_address_with_a_parameter_that_nobody_knows_is_found(self, world, owner, leaky):
        Walk(world, owner, leaky(path("news/<int:number>/", lambda request, number: None, name="news"))).go()
        assert world.problems == ["/news/<number>/ (news): nobody has said what ['number'] stand for"]

    def test_and_one_whose_key_is_of_an_unknown_model(self, world, owner, leaky):
        Walk(world, owner, leaky(path("news/<int:pk>/", lambda request, pk: None, name="news"))).go()
        assert world.problems == ["/news/<pk>/ (news): nobody has said what its key stands for"]
