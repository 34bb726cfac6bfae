"""More settings and a rotation, in a real browser, light and dark, wide and narrow."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests.factories import make_user, make_webhook, make_workspace
from webhooks import actions
from webhooks.headers import MASK
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "correct-horse-battery"
# From the last event to the end of the list, in pixels, in a project that has one noun only.
GAP = """() => {
    document.querySelectorAll(".webhooks-events fieldset:nth-of-type(n + 2)").forEach((rest) => rest.remove());
    const bottom = (selector) => [...document.querySelectorAll(selector)].at(-1).getBoundingClientRect().bottom;
    return bottom(".webhooks-events") - bottom(".webhooks-event");
}"""


@pytest.fixture
def owner():
    return make_user("olga", role="owner", workspace=make_workspace())


@pytest.fixture
def webhook(owner):
    return make_webhook(
        owner.workspaces.get(),
        callback_url="https://example.com/hook",
        secret="0ld",
        headers={"X-Api-Key": KEY, "X-Team": "crm"},
        authorization=f"Bearer {KEY}",
        retry_schedule=[5, 60, 7200],
    )


@pytest.fixture
def open_page(browser, live_server, client, owner):
    """Return a function that opens an admin page as the owner, in a window of its own."""
    client.force_login(owner)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}

    def opened(name, *arguments, **options):
        context = browser.new_context(**options)
        context.add_cookies([cookie])
        page = context.new_page()
        page.goto(live_server.url + reverse(f"admin:webhooks_webhook_{name}", args=arguments))
        return page

    return opened


def more(page):
    return page.locator("details").filter(has_text="More settings")


def save(page, name="Save"):
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_load_state()


def test_they_are_folded_away_until_somebody_wants_them(open_page):
    page = open_page("add")
    expect(page.get_by_label("Headers")).to_be_hidden()
    page.get_by_text("More settings").click()
    expect(page.get_by_label("Headers")).to_be_visible()
    expect(page.get_by_label("Token")).to_be_hidden()
    page.get_by_label("Authorization").select_option("Bearer token")
    expect(page.get_by_label("Token")).to_be_visible()
    expect(page.get_by_label("Password")).to_be_hidden()
    page.get_by_label("Authorization").select_option("User name and password")
    expect(page.get_by_label("Token")).to_be_hidden()
    expect(page.get_by_label("User name")).to_be_visible()
    expect(page.get_by_label("Password")).to_be_visible()


def test_a_person_sets_them_and_finds_them_masked(open_page):
    page = open_page("add")
    page.get_by_label("Name", exact=True).fill("Mine")
    page.get_by_label("Callback URL").fill("https://example.com/hook")
    page.locator("input[name=events][value='*']").check()
    page.get_by_text("More settings").click()
    page.get_by_label("Headers").fill(f"X-Api-Key: {KEY}")
    page.get_by_label("Authorization").select_option("User name and password")
    page.get_by_label("User name").fill("user")
    page.get_by_label("Password").fill("p:w")
    page.get_by_label("Timeout", exact=True).fill("2.5")
    page.get_by_label("Retry schedule").fill("five minutes")
    page.get_by_label("Ordered").check()
    save(page, "Create")
    # The section with the error stands open.
    expect(page.get_by_text("Write durations such as")).to_be_visible()
    page.get_by_label("Retry schedule").fill("5s, 5m")
    save(page, "Create")
    page.wait_for_url("**/webhook/")
    webhook = Webhook.objects.get()
    assert (webhook.headers, webhook.retry_schedule) == ({"X-Api-Key": KEY}, [5, 300])
    assert (webhook.authorization, webhook.timeout, webhook.ordered) == ("Basic dXNlcjpwOnc=", 2.5, True)
    page = open_page("change", webhook.pk)
    more(page).locator("summary").click()
    assert page.get_by_label("Headers").input_value() == f"X-Api-Key: {MASK}"
    assert page.get_by_label("Authorization").locator("option").first.inner_text() == f"Keep Basic {MASK}"
    assert KEY not in page.content()
    save(page)
    assert Webhook.objects.get().version == webhook.version


def test_a_rotation_from_the_page_and_back(open_page, webhook):
    page = open_page("change", webhook.pk)
    page.get_by_role("link", name="Rotate", exact=True).click()
    page.get_by_label("Overlap").select_option("1 hour")
    save(page, "Rotate")
    secret = page.locator("#generated-secret").inner_text()
    assert (Webhook.objects.get().secret, Webhook.objects.get().previous_secret) == (secret, "0ld")
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_text("the former one also signs until")).to_be_visible()
    page.get_by_role("link", name="Finish rotation now").click()
    save(page, "Finish rotation")
    expect(page.get_by_text("only the new secret signs")).to_be_visible()
    assert Webhook.objects.get().rotating_until is None


@pytest.mark.parametrize("width", [1280, 400])
def test_a_short_list_of_events_leaves_no_gap(open_page, width):
    page = open_page("add", viewport={"width": width, "height": 900})
    assert page.evaluate(GAP) < 40


def test_a_generated_secret_is_copied(open_page, webhook):
    page = open_page("secret", webhook.pk)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    save(page, "Rotate")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == Webhook.objects.get().secret


def test_without_a_clipboard_it_is_selected(open_page, webhook):
    page = open_page("secret", webhook.pk)
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    save(page, "Rotate")
    page.get_by_role("button", name="Copy").click()
    assert page.evaluate("getSelection().toString()") == Webhook.objects.get().secret


def test_what_does_not_follow_a_url_is_asked_for_where_it_stands(open_page, webhook):
    page = open_page("change", webhook.pk)
    page.get_by_label("Callback URL").fill("https://elsewhere.example/hook")
    save(page)
    expect(page.get_by_label("Headers")).to_be_visible()
    expect(page.get_by_text("Enter this again for the new server, or remove it.")).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_cut_off(open_page, webhook, screenshots, scheme, width):
    actions.rotate_secret(webhook, by=None)
    look = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    for name, arguments in (("add", ()), ("change", (webhook.pk,)), ("secret", (webhook.pk,))):
        page = open_page(name, *arguments, **look)
        if name != "secret":
            page.get_by_text("More settings").click()
        if name == "add":
            page.get_by_label("Authorization").select_option("User name and password")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        for box in page.locator("#content-main :is(input, select, textarea):visible").all():
            edges = box.bounding_box()
            assert edges["x"] >= 0
            assert edges["x"] + edges["width"] <= width
        page.screenshot(path=screenshots / f"{name}-{scheme}-{width}.png", full_page=True)
        if name == "change":
            page.get_by_label("Callback URL").fill("https://elsewhere.example/hook")
            save(page)
        elif name == "secret":
            save(page, "Rotate")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        page.screenshot(path=screenshots / f"{name}-then-{scheme}-{width}.png", full_page=True)
        page.context.close()
