"""Health as a person sees it: what is wrong, what to do, and the button that tries at once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import make_webhook
from tests.test_admin import make_delivery, page
from webhooks.models import WebhookState

pytestmark = pytest.mark.django_db(transaction=True)

VIEWPORTS = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 400, "height": 800}}


@pytest.fixture
def webhooks(workspace):
    """One webhook for each way to stand."""
    now = timezone.now()
    states = {
        "Active": {},
        "Failing": {"consecutive_failures": 2},
        "Paused": {"consecutive_failures": 7, "paused_until": now + timedelta(minutes=12, seconds=30)},
        "Recovering": {"drip": 2},
        "Disabled": {"disabled_at": now, "disabled_because": "The receiver answered 410 Gone."},
    }
    made = {}
    for name, state in states.items():
        url = f"https://hooks.example.com/services/{name.lower()}/a-rather-long-path-that-must-wrap"
        webhook = make_webhook(workspace, name=name, callback_url=url, is_active=name != "Disabled")
        since = now - timedelta(hours=2) if state.get("consecutive_failures") else None
        WebhookState.objects.create(
            webhook=webhook, failing_since=since, error_kind="http_4xx", status_code=404, **state
        )
        made[name] = webhook
    return made


@pytest.fixture
def deliveries(webhooks):
    redirect = {
        "outcome": "transient",
        "status_code": 302,
        "error_kind": "http_3xx",
        "error": "The receiver answered 302 Found.",
        "response_headers": {"Location": "https://new.example.com/" + "a/" * 40, "Server": "nginx"},
        "late": True,
    }
    return [
        make_delivery(webhooks["Paused"], status="pending", attempt=redirect),
        make_delivery(webhooks["Active"]),
    ]


def open_page(browser, cookie, viewport, scheme="light"):
    context = browser.new_context(viewport=VIEWPORTS[viewport], color_scheme=scheme)
    context.add_cookies([cookie])
    return context.new_page()


def fits(opened):
    """Whether nothing has to be scrolled sideways."""
    return opened.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_try_now_ends_the_pause(browser, cookie, live_server, webhooks, screenshots):
    opened = open_page(browser, cookie, "wide")
    opened.goto(live_server.url + page("webhook_change", webhooks["Paused"].pk))
    banner = opened.get_by_role("region", name="Health")
    assert "then one delivery is tried" in banner.inner_text()
    banner.get_by_role("button", name="Try now").click()
    opened.get_by_text("the next delivery is tried now").wait_for()
    assert "Recovering" in banner.inner_text()
    assert banner.get_by_role("button").count() == 0
    assert WebhookState.objects.get(webhook=webhooks["Paused"]).paused_until <= timezone.now()


def test_a_disabled_webhook_is_activated_as_its_banner_says(browser, cookie, live_server, webhooks):
    opened = open_page(browser, cookie, "wide")
    address = live_server.url + page("webhook_change", webhooks["Disabled"].pk)
    opened.goto(address)
    assert "check “Status” and save" in opened.get_by_role("region", name="Health").inner_text()
    opened.get_by_label("Status").check()
    opened.get_by_role("button", name="Save", exact=True).click()
    opened.wait_for_url("**/webhook/")
    opened.goto(address)
    assert opened.get_by_role("region", name="Health").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", VIEWPORTS)
def test_every_page_fits_and_is_readable(
    browser, cookie, live_server, webhooks, deliveries, screenshots, viewport, scheme
):
    opened = open_page(browser, cookie, viewport, scheme)
    addresses = {
        "webhooks": page("webhook_changelist"),
        "deliveries": page("delivery_changelist"),
        "delivery": page("delivery_change", deliveries[0].pk),
        **{name.lower(): page("webhook_change", webhook.pk) for name, webhook in webhooks.items()},
    }
    for name, address in addresses.items():
        opened.goto(live_server.url + address)
        opened.screenshot(path=screenshots / f"health-{name}-{viewport}-{scheme}.png", full_page=True)
        assert fits(opened), name
        boxes = [box.bounding_box()["x"] for box in opened.locator("input[name=events]").all()]
        assert len(set(boxes)) <= 1, f"{name}: the events' boxes stand in no line"
