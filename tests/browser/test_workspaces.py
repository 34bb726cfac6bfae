"""Workspaces as their people see them: two of one owner, a viewer of the first, and nobody sees the other's."""

import pytest
from django.contrib.auth import get_user_model

from tests import own_workspace  # noqa: F401
from tests.browser.test_health import VIEWPORTS, fits
from tests.factories import make_webhook, make_workspace
from tests.test_admin import make_delivery
from webhooks.models import Webhook
from workspace.models import Invitation

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = {"olga": "Olga Peters", "vera": "Vera Schmidt", "max": "Max Li"}


@pytest.fixture
def workspaces():
    """Acme and Blue, both Olga's; in Acme Vera looks on and Max works."""
    acme, blue = make_workspace("acme", "Acme Publishing"), make_workspace("blue", "Blue Note Records")
    people = {}
    for name, full_name in NAMES.items():
        first_name, _, last_name = full_name.partition(" ")
        people[name] = get_user_model().objects.create_user(
            name, f"{name}@example.com", "pw", first_name=first_name, last_name=last_name
        )
    for workspace in (acme, blue):
        workspace.memberships.create(user=people["olga"], role="owner")
    acme.memberships.create(user=people["vera"], role="viewer")
    acme.memberships.create(user=people["max"], role="member")
    return acme, blue


def log_in(browser, live_server, name, viewport="wide", scheme="light"):
    """Return a page of a browser of their own, after the log-in, as a person does it."""
    opened = browser.new_context(viewport=VIEWPORTS[viewport], color_scheme=scheme).new_page()
    opened.goto(live_server.url)
    opened.get_by_label("Username").fill(name)
    opened.get_by_label("Password").fill("pw")
    opened.get_by_role("button", name="Log in").click()
    opened.wait_for_url(f"{live_server.url}/")
    return opened


def create_a_webhook(opened):
    """By the reference page: enter the workspace, “Webhooks” in the sidebar, “Create Webhook”, the form, “Create”."""
    opened.get_by_role("link", name="Acme Publishing").click()
    opened.get_by_role("navigation", name="Sidebar").get_by_role("link", name="Webhooks").click()
    opened.get_by_role("link", name="Create Webhook").click()
    opened.get_by_label("Name").first.fill("Newsletter")
    opened.get_by_label("Callback URL").fill("https://news.example.com/hook")
    opened.get_by_label("Method").select_option("POST")
    opened.get_by_label("Content-Type").select_option("application/json")
    opened.get_by_label("Max attempts").fill("5")
    assert opened.get_by_label("Status").is_checked()
    opened.get_by_label("Secret", exact=False).first.fill("a secret of ours")
    opened.locator("input[name=events][value='activity.published']").check()
    opened.get_by_role("button", name="Create", exact=True).click()
    opened.get_by_role("link", name="Newsletter").first.wait_for()


def switch(opened, name):
    opened.get_by_text("Switch workspace").click()
    opened.get_by_role("navigation", name="Workspaces").get_by_role("link", name=name).click()


def test_a_webhook_is_seen_in_its_workspace_only_and_a_viewer_changes_nothing(
    browser, live_server, workspaces
):
    opened = log_in(browser, live_server, "olga")
    create_a_webhook(opened)
    webhook = Webhook.objects.get()
    assert webhook.workspace == workspaces[0]
    switch(opened, "Blue Note Records")
    opened.wait_for_url("**/w/blue/")
    assert "Newsletter" not in opened.content()
    for section in ("Webhooks", "Deliveries", "Events", "Activities", "Members"):
        opened.get_by_role("navigation", name="Sidebar").get_by_role("link", name=section).click()
        assert "/w/blue/" in opened.url
        assert "Newsletter" not in opened.content()
        assert "Acme" not in opened.locator("main").inner_text()
    address = f"{live_server.url}/w/acme/webhooks/webhook/{webhook.pk}/change/"
    assert opened.goto(address).status == 200  # the other tab still works
    assert opened.goto(address.replace("acme", "blue")).status == 404
    see_as_a_viewer(browser, live_server, address)


def see_as_a_viewer(browser, live_server, address):
    opened = log_in(browser, live_server, "vera")
    assert "Blue Note" not in opened.content()
    opened.get_by_role("link", name="Acme Publishing").click()
    opened.get_by_role("navigation", name="Sidebar").get_by_role("link", name="Webhooks").click()
    assert opened.get_by_role("link", name="Create Webhook").count() == 0
    opened.get_by_role("link", name="Newsletter").click()
    opened.wait_for_url(address)
    main = opened.locator("main")
    assert "https://news.example.com/hook" in main.inner_text()
    assert main.locator("input:not([type=hidden]), select, textarea, button").count() == 0


def test_an_invitation_is_sent_accepted_and_a_role_changed(browser, live_server, workspaces, mailoutbox):
    opened = log_in(browser, live_server, "olga")
    opened.goto(f"{live_server.url}/w/blue/workspace/membership/")
    opened.get_by_role("link", name="Invite somebody").click()
    opened.get_by_label("E-mail address").fill("nina@example.com")
    opened.get_by_label("Role").select_option("Viewer")
    opened.get_by_role("button", name="Send invitation").click()
    opened.get_by_role("region", name="Open invitations").get_by_text("nina@example.com").wait_for()
    [link] = [line for line in mailoutbox[0].body.splitlines() if line.startswith("http")]
    guest = browser.new_context().new_page()
    guest.goto(link)
    guest.get_by_label("Username").fill("nina")
    guest.get_by_label("Password", exact=True).fill("corRect-horse-1")
    guest.get_by_label("Password confirmation").fill("corRect-horse-1")
    guest.get_by_role("button", name="Create account and join").click()
    guest.wait_for_url("**/w/blue/")
    opened.reload()
    assert opened.get_by_role("region", name="Open invitations").count() == 0
    opened.locator("main").get_by_role("link", name="nina").click()
    opened.get_by_label("Role").select_option("Member")
    opened.get_by_role("button", name="Save", exact=True).click()
    opened.wait_for_url("**/membership/")
    assert workspaces[1].memberships.get(user__username="nina").role == "member"


def test_a_workspace_is_made_and_deleted(browser, live_server, workspaces):
    opened = log_in(browser, live_server, "max")
    opened.get_by_role("link", name="New workspace").click()
    opened.get_by_label("Name").fill("Side project")
    opened.get_by_role("button", name="Create workspace").click()
    opened.get_by_role("heading", name="Side project").wait_for()
    opened.get_by_role("navigation", name="Sidebar").get_by_role("link", name="Settings").click()
    opened.get_by_role("link", name="Delete this workspace").click()
    opened.get_by_label("Name of the workspace").fill("Side")
    opened.get_by_role("button", name="Delete this workspace").click()
    opened.get_by_text("This is not the workspace’s name.").wait_for()
    opened.get_by_label("Name of the workspace").fill("Side project")
    opened.get_by_role("button", name="Delete this workspace").click()
    opened.wait_for_url(f"{live_server.url}/")
    assert opened.get_by_text("The workspace Side project was deleted.").is_visible()
    assert opened.get_by_role("link", name="Side project").count() == 0


@pytest.fixture
def furnished(workspaces):
    """Something on every page."""
    acme, _ = workspaces
    acme.max_webhooks, acme.max_events_per_minute = 3, 600
    acme.save()
    make_delivery(make_webhook(acme, name="Newsletter", callback_url="https://news.example.com/hook"))
    make_delivery(make_webhook(acme, name="Data warehouse", callback_url="https://dw.example.com/in"))
    acme.activities.create(title="Autumn launch", status="published")
    for address in ("nina@example.com", "somebody.with.a.rather.long.name@subsidiary.example.com"):
        Invitation.objects.create(workspace=acme, address=address, role="viewer")


PAGES = {
    "list": "/",
    "new": "/new/",
    "home": "/w/acme/",
    "activities": "/w/acme/workspace/activity/",
    "members": "/w/acme/workspace/membership/",
    "invite": "/w/acme/workspace/membership/invite/",
    "webhooks": "/w/acme/webhooks/webhook/",
    "create-webhook": "/w/acme/webhooks/webhook/add/",
    "deliveries": "/w/acme/webhooks/delivery/",
    "events": "/w/acme/webhooks/event/",
    "settings": "/w/acme/settings/",
    "leave": "/w/acme/leave/",
    "transfer": "/w/acme/transfer/",
    "delete": "/w/acme/delete/",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", VIEWPORTS)
def test_every_page_fits(browser, live_server, furnished, screenshots, viewport, scheme):
    stranger = browser.new_context(viewport=VIEWPORTS[viewport], color_scheme=scheme).new_page()
    stranger.goto(f"{live_server.url}/login/")
    stranger.screenshot(path=screenshots / f"portal-login-{viewport}-{scheme}.png")
    assert fits(stranger)
    opened = log_in(browser, live_server, "olga", viewport, scheme)
    for name, path in PAGES.items():
        assert opened.goto(live_server.url + path).status == 200
        opened.screenshot(path=screenshots / f"portal-{name}-{viewport}-{scheme}.png", full_page=True)
        assert fits(opened), name
    opened.goto(f"{live_server.url}/w/nowhere/")
    opened.screenshot(path=screenshots / f"portal-not-found-{viewport}-{scheme}.png")
    assert fits(opened)
    opened.goto(f"{live_server.url}/w/acme/")
    opened.get_by_text("Switch workspace").click()
    opened.get_by_role("navigation", name="Workspaces").wait_for()
    opened.screenshot(path=screenshots / f"portal-switcher-{viewport}-{scheme}.png")
    assert fits(opened)
    opened.get_by_role("navigation", name="Workspaces").get_by_role("link", name="Blue Note Records").click()
    # On a narrow screen the sections stand in the header.
    sections = opened.get_by_role("navigation", name="Sidebar" if viewport == "wide" else "Sections")
    sections.get_by_role("link", name="Webhooks").click()
    opened.wait_for_url("**/w/blue/webhooks/webhook/")
