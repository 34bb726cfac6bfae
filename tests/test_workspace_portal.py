"""The portal: the list of workspaces, the door of each, and that inside one nothing shows of another."""

import re
from html import unescape

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import get_script_prefix, get_urlconf, reverse, set_urlconf

from tests import own_workspace  # noqa: F401
from tests.factories import make_user, make_webhook, make_workspace, webhook_form
from tests.test_admin import make_delivery, text
from webhooks.admin import scope
from webhooks.models import Event, Webhook
from workspace import portal
from workspace.middleware import WorkspaceMiddleware
from workspace.models import Activity, Membership, Workspace

pytestmark = pytest.mark.django_db

SECTIONS = ["Activities", "Members", "Webhooks", "Deliveries", "Events", "Settings"]
PAGES = [
    "",
    "workspace/activity/",
    "workspace/activity/add/",
    "workspace/membership/",
    "workspace/membership/invite/",
    "webhooks/webhook/",
    "webhooks/webhook/add/",
    "webhooks/delivery/",
    "webhooks/event/",
    "settings/",
    "leave/",
    "transfer/",
    "delete/",
]
FORM = webhook_form(events=["activity.published"])


@pytest.fixture
def two(client):
    """Two workspaces of one owner, who is logged in and no member of the staff, and a third of others."""
    first, second = make_workspace("acme", "Acme Inc"), make_workspace("blue", "Blue Ltd")
    make_workspace("hidden", "Hidden GmbH")
    user = get_user_model().objects.create_user("olga", "olga@example.com", "pw")
    for workspace in (first, second):
        workspace.memberships.create(user=user, role="owner")
    Event.objects.all().delete()
    client.force_login(user)
    return first, second


def sidebar(response):
    navigation = text(response).partition('id="nav-sidebar"')[2].partition("</nav>")[0]
    return re.findall(r'<th scope="row"[^>]*>\s*<a [^>]*>([^<]+)</a>', navigation)


def links(response):
    return {unescape(link) for link in re.findall(r'(?:href|action)="([^"]*)"', text(response))}


class TestTheList:
    def test_it_names_ones_own_workspaces_and_no_other(self, client, two):
        listing = client.get("/")
        assert {"/w/acme/", "/w/blue/", "/w/acme/webhooks/webhook/"} <= links(listing)
        assert "Owner" in text(listing)
        assert "Hidden" not in text(listing)

    def test_a_superuser_finds_all(self, client, two):
        client.force_login(make_user("root", superuser=True))
        assert "/w/hidden/" in links(client.get("/"))

    def test_many_are_listed_in_pages(self, client, two):
        client.force_login(make_user("root", superuser=True))
        Workspace.objects.bulk_create(Workspace(name=f"W {n:03}", slug=f"w{n}") for n in range(60))
        assert "/w/w59/" not in links(client.get("/"))
        assert "/w/w59/" in links(client.get("/?page=2"))
        # Nor is the switcher as long as that.
        assert len(client.get("/w/acme/").context["portal"]["switches"]) == 11

    def test_who_is_in_none_is_told_what_to_do(self, client, two):
        client.force_login(make_user("nora"))
        assert "You are in no workspace yet" in text(client.get("/"))

    @pytest.mark.parametrize(
        "path", ["/", "/new/", "/password/", "/w/acme/", "/w/acme/webhooks/webhook/?q=a"]
    )
    def test_strangers_log_in_first_and_get_where_they_wanted(self, two, path):
        browser = Client()
        response = browser.get(path, follow=True)
        assert response.redirect_chain[0][0].startswith("/login/?next=")
        form = {"username": "olga", "password": "pw", "next": response.context["next"]}
        assert browser.post("/login/", form)["Location"] == path

    def test_a_log_in_leads_to_the_list_and_to_no_other_site(self, two):
        form = {"username": "olga", "password": "pw"}
        assert Client().post("/login/", form)["Location"] == "/"
        assert Client().post("/login/", {**form, "next": "https://evil.example/"})["Location"] == "/"

    def test_who_is_logged_in_is_not_sent_back_to_the_log_in(self, client, two):
        response = client.get("/login/", {"next": "/login/"})
        assert (response.status_code, response["Location"]) == (302, "/")

    def test_logging_out_takes_a_post(self, client, two):
        assert client.get("/logout/").status_code == 405
        assert client.post("/logout/")["Location"] == "/login/"
        assert client.get("/")["Location"] == "/login/?next=/"

    def test_ones_own_password_can_be_changed(self, client, two):
        new = "corRect-horse-1"
        form = {"old_password": "pw", "new_password1": new, "new_password2": new}
        assert client.post("/password/", form)["Location"] == "/"
        assert Client().login(username="olga", password=new)


class TestTheDoor:
    @pytest.mark.parametrize(
        "rest", ["", "/", "/webhooks/webhook/", "/nowhere/", "/webhooks/webhook/1/change"]
    )
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_anothers_workspace_is_as_one_that_does_not_exist(self, client, two, rest, method):
        answers = [getattr(client, method)(f"/w/{slug}{rest}") for slug in ("hidden", "nobodys")]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].content == answers[1].content
        assert dict(answers[0].headers) == dict(answers[1].headers)

    def test_who_is_refused_reads_why_and_where_to_go(self, client, two):
        Membership.objects.filter(workspace=two[0]).update(role="viewer")
        for path, status, sentence in (
            ("/w/hidden/", 404, "There is no such page, or it is not for you."),
            ("/w/acme/webhooks/webhook/9/change/", 404, "There is no such page, or it is not for you."),
            ("/w/acme/delete/", 403, "Your role does not allow this."),
        ):
            response = client.get(path)
            assert response.status_code == status
            assert sentence in text(response)
            assert 'href="/"' in text(response)

    def test_a_stranger_learns_of_none(self, two):
        answers = [Client().get(f"/w/{slug}/") for slug in ("hidden", "no-bod")]
        assert [answer.status_code for answer in answers] == [302, 302]
        assert answers[0]["Location"].replace("hidden", "no-bod") == answers[1]["Location"]

    @pytest.mark.parametrize("slug", ["%00", "a%00b", "%F0%9F%A6%8A", "..", "a b", "a" * 2000])
    def test_what_is_no_slug_is_not_found(self, client, two, slug):
        assert client.get(f"/w/{slug}/").status_code == 404

    def test_nobody_need_be_staff(self, client, two):
        assert client.get("/w/acme/").status_code == 200
        assert client.get("/admin/").status_code == 302

    def test_whoever_was_deactivated_stays_outside(self, client, two):
        get_user_model().objects.update(is_active=False)
        assert client.get("/w/acme/").status_code == 302

    def test_a_missing_slash_is_added(self, client, two):
        assert client.get("/w/acme")["Location"] == "/w/acme/"
        assert client.get("/w/acme/webhooks/webhook?q=1")["Location"] == "/w/acme/webhooks/webhook/?q=1"

    def test_neither_prefix_nor_addresses_outlast_the_request(self, client, two):
        client.get("/w/acme/webhooks/webhook/")
        assert (get_script_prefix(), get_urlconf()) == ("/", None)
        client.get("/w/acme/nowhere/")
        assert (get_script_prefix(), get_urlconf()) == ("/", None)
        assert reverse("admin:webhooks_webhook_changelist") == "/admin/webhooks/webhook/"

    def test_whatever_stands_before_it_makes_its_own_addresses(self, two, rf):
        """Middleware that sees the response later than this one is outside again."""

        def handle(request):
            set_urlconf(request.urlconf)  # as the handler does
            return HttpResponse(reverse("admin:index"))

        request = rf.get("/w/acme/")
        request.user = get_user_model().objects.get(username="olga")
        assert text(WorkspaceMiddleware(handle)(request)) == "/w/acme/"
        assert reverse("admin:index") == "/admin/"

    def test_an_error_inside_leaves_no_prefix_behind(self, client, two, monkeypatch, broken):
        monkeypatch.setattr("webhooks.admin.webhook.WebhookAdmin.get_list_display", broken)
        with pytest.raises(RuntimeError):
            client.get("/w/acme/webhooks/webhook/")
        assert (get_script_prefix(), get_urlconf()) == ("/", None)


class TestInside:
    def test_the_sidebar_lists_what_a_workspace_has(self, client, two):
        assert sidebar(client.get("/w/acme/")) == SECTIONS
        assert sidebar(client.get("/w/acme/webhooks/webhook/")) == SECTIONS

    @pytest.mark.parametrize("path", PAGES)
    def test_every_link_stays_inside_or_leads_to_the_portal(self, client, two, path):
        webhook = make_webhook(two[0])
        make_delivery(webhook)
        response = client.get(f"/w/acme/{path}")
        assert response.status_code == 200
        for link in links(response):
            assert not link.startswith(("/admin", "/webhooks", "/workspace")), link
            if link.startswith("/") and not link.startswith(("/w/acme/", "/static/")):
                assert link in {"/", "/new/", "/password/", "/logout/", "/w/blue/"}, link

    def test_every_page_that_is_linked_is_there(self, client, two):
        webhook = make_webhook(two[0], secret="s")
        make_delivery(webhook)
        two[0].activities.create(title="Plan")
        seen, ahead = set(), ["/w/acme/"]
        while ahead:
            path = ahead.pop()
            seen.add(path)
            response = client.get(path)
            assert response.status_code in (200, 302), path
            if response.status_code == 200:
                found = {link for link in links(response) if link.startswith("/w/acme/")}
                # Redelivering, trying again and logging out are forms.
                ahead += [link for link in found - seen - {*ahead} if not re.search("redeliver|revoke", link)]
        assert len(seen) > 20

    def test_saving_stays_inside(self, client, two):
        response = client.post("/w/acme/webhooks/webhook/add/", FORM)
        assert response["Location"] == "/w/acme/webhooks/webhook/"
        webhook = Webhook.objects.get()
        assert webhook.workspace == two[0]
        address = f"/w/acme/webhooks/webhook/{webhook.pk}/secret/remove/"
        assert client.post(address)["Location"] == f"/w/acme/webhooks/webhook/{webhook.pk}/change/"

    def test_the_workspace_is_neither_asked_nor_shown(self, client, two):
        make_delivery(make_webhook(two[0]))
        two[0].activities.create(title="Plan")
        for path in ("webhooks/webhook", "webhooks/delivery", "webhooks/event", "workspace/activity"):
            response = client.get(f"/w/acme/{path}/")
            assert "column-workspace" not in text(response), path
            row = response.context["cl"].result_list[0]
            page = text(client.get(f"/w/acme/{path}/{row.pk}/change/"))
            assert "field-workspace" not in page
            assert "<dt>Workspace</dt>" not in page
        for path in ("webhooks/webhook", "workspace/activity"):
            assert 'name="workspace"' not in text(client.get(f"/w/acme/{path}/add/"))

    def test_what_is_made_inside_belongs_here_whatever_is_posted(self, client, two):
        client.post("/w/acme/webhooks/webhook/add/", {**FORM, "workspace": two[1].pk})
        assert Webhook.objects.get().workspace == two[0]
        client.post(
            "/w/acme/workspace/activity/add/", {"title": "Plan", "status": "draft", "workspace": two[1].pk}
        )
        activity = Activity.objects.get()
        assert activity.workspace == two[0]
        client.post(
            f"/w/acme/workspace/activity/{activity.pk}/change/",
            {"title": "Moved", "status": "draft", "workspace": two[1].pk},
        )
        activity.refresh_from_db()
        assert (activity.title, activity.workspace) == ("Moved", two[0])

    def test_ones_own_other_workspace_is_not_there(self, client, two):
        webhook = make_webhook(two[1], name="Blue CRM")
        delivery = make_delivery(webhook)
        activity = two[1].activities.create(title="Blue plan")
        membership = two[1].memberships.get()
        paths = {
            f"webhooks/webhook/{webhook.pk}": ["change", "history", "delete", "secret", "secret/remove"],
            f"webhooks/delivery/{delivery.pk}": ["change", "history", "redeliver"],
            f"webhooks/event/{delivery.event_id}": ["change", "history"],
            f"workspace/activity/{activity.pk}": ["change", "history", "delete"],
            f"workspace/membership/{membership.pk}": ["change", "history", "delete"],
        }
        for base, pages in paths.items():
            for page in pages:
                for method in (client.get, client.post):
                    assert method(f"/w/acme/{base}/{page}/").status_code in (404, 405), (base, page)
        for section in ("webhooks/webhook", "webhooks/delivery", "webhooks/event", "workspace/activity"):
            listing = client.get(f"/w/acme/{section}/?q=")
            assert len(listing.context["cl"].result_list) == 0
            assert "Blue CRM" not in text(listing)
            assert "Blue plan" not in text(listing)
        narrowed = text(client.get(f"/w/acme/webhooks/delivery/?webhook__id__exact={webhook.pk}"))
        assert "Blue CRM" not in narrowed

    def test_bulk_actions_stay_inside(self, client, two):
        webhook = make_webhook(two[1])
        delivery = make_delivery(webhook)
        client.post(
            "/w/acme/webhooks/delivery/",
            {"action": "redeliver_selected", "_selected_action": [delivery.pk]},
        )
        client.post(
            "/w/acme/webhooks/webhook/",
            {"action": "delete_selected", "_selected_action": [webhook.pk], "post": "yes"},
        )
        delivery.refresh_from_db()
        assert delivery.status == "succeeded"
        assert Webhook.objects.filter(pk=webhook.pk).exists()

    def test_the_first_page_tells_nothing_of_what_was_done_elsewhere(self, client, two):
        client.post("/w/blue/webhooks/webhook/add/", {**FORM, "name": "Blue CRM"})
        client.get("/w/blue/")  # where the message of success is shown
        assert LogEntry.objects.exists()
        assert "Blue CRM" not in text(client.get("/w/acme/"))

    def test_rights_are_those_of_the_workspace_that_was_entered(self, client, two):
        Membership.objects.filter(workspace=two[1]).update(role="viewer")
        webhook = make_webhook(two[1])
        assert client.get("/w/acme/webhooks/webhook/add/").status_code == 200
        assert client.get("/w/blue/webhooks/webhook/add/").status_code == 403
        listing = text(client.get("/w/blue/webhooks/webhook/"))
        assert "CRM" in listing
        assert "Create Webhook" not in listing
        assert client.post(f"/w/blue/webhooks/webhook/{webhook.pk}/change/", FORM).status_code == 403

    def test_no_right_is_granted_in_another_workspace_than_the_one_that_was_entered(self, two, rf):
        request = rf.get("/")
        request.user = get_user_model().objects.get(username="olga")
        assert all(scope.may(request, workspace, "change") for workspace in two)
        request.workspace = two[0]
        assert [scope.may(request, workspace, "change") for workspace in two] == [True, False]

    def test_a_webhook_shared_by_name_is_taken_in_one_workspace_only(self, client, two):
        make_webhook(two[1], name="CRM")
        assert client.post("/w/acme/webhooks/webhook/add/", FORM).status_code == 302

    def test_the_switcher_names_ones_own_workspaces(self, client, two):
        switches = client.get("/w/blue/").context["portal"]["switches"]
        assert [(one["name"], one["path"], one["current"]) for one in switches] == [
            ("Blue Ltd", "/w/blue/", True),
            ("Acme Inc", "/w/acme/", False),
        ]

    @pytest.mark.parametrize(
        "path", ["r/1/1/", "password_change/", "login/", "logout/", "webhooks/", "workspace/"]
    )
    def test_pages_of_the_admin_that_a_workspace_has_not(self, client, two, path):
        response = client.get(f"/w/acme/{path}")
        assert response.status_code == 404 or response["Location"].startswith(("/", "/login/"))
        assert "_auth_user_id" in client.session

    def test_the_operators_site_shows_all_workspaces(self, client, two):
        client.force_login(make_user("root", superuser=True))
        for workspace in two:
            make_webhook(workspace, name=f"CRM of {workspace.slug}")
        listing = text(client.get("/admin/webhooks/webhook/"))
        assert "CRM of acme" in listing
        assert "CRM of blue" in listing
        assert "column-workspace" in listing
        assert "Switch workspace" not in listing

    def test_below_a_prefix_of_the_server_too(self, client, two):
        below = {"SCRIPT_NAME": "/site", "PATH_INFO": "/w/acme/webhooks/webhook/"}
        response = client.get("/w/acme/webhooks/webhook/", **below)
        assert "/site/w/acme/webhooks/webhook/add/" in links(response)
        assert {"/site/", "/site/w/blue/", "/site/logout/"} <= links(response)

    @pytest.mark.django_db(transaction=True)
    def test_it_is_the_same_by_asgi(self, two):
        browser = AsyncClient()
        browser.force_login(get_user_model().objects.get(username="olga"))
        response = async_to_sync(browser.get)("/w/acme/webhooks/webhook/")
        assert {"/w/acme/webhooks/webhook/add/", "/w/blue/", "/"} <= links(response)
        assert async_to_sync(browser.get)("/w/hidden/").status_code == 404
        assert reverse("admin:index") == "/admin/"

    def test_mails_about_a_webhook_lead_inside(self, client, two):
        path = portal.webhook_page(make_webhook(two[0]))
        assert path.startswith("/w/acme/")
        assert client.get(path).status_code == 200

    def test_the_number_of_queries_does_not_grow_with_the_workspaces(
        self, client, two, django_assert_num_queries, django_assert_max_num_queries
    ):
        user = get_user_model().objects.get(username="olga")
        paths = ("/", "/w/acme/webhooks/webhook/", "/w/acme/workspace/membership/")
        counts = {}
        for path in paths:
            client.get(path)
            with django_assert_max_num_queries(20) as counts[path]:
                client.get(path)
        for number in range(5):
            make_workspace(f"w{number}").memberships.create(user=user, role="member")
        for path in paths:
            with django_assert_num_queries(len(counts[path])):
                client.get(path)
