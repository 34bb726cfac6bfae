"""Recovering as a person does it: by the button on the webhook's page, with a preview of what will be sent."""

import pytest

from tests.factories import make_webhook
from tests.test_admin import page
from webhooks import actions
from webhooks.events import emit
from webhooks.models import Delivery

from .test_health import fits, open_page

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", ["wide", "narrow"])
def test_what_was_missed_is_previewed_and_sent(
    browser,
    cookie,
    live_server,
    workspace,
    screenshots,
    viewport,
    scheme,
):
    other, webhook = [make_webhook(workspace, name=name) for name in ("Other", "CRM")]
    # Beside what follows it missed that its owner became a member, before it was registered.
    emit("order.created", workspace=workspace, data={})
    Delivery.objects.filter(webhook=webhook).update(status="failed", due_at=None, ended_because="exhausted")
    actions.deactivate(webhook, by=None)
    emit("order.created", workspace=workspace, data={})
    actions.activate(webhook, by=None)
    opened = open_page(browser, cookie, viewport, scheme)

    def shot(name):
        assert fits(opened)
        opened.screenshot(path=screenshots / f"recover-{name}-{viewport}-{scheme}.png", full_page=True)

    opened.goto(live_server.url + page("webhook_change", webhook.pk))
    opened.get_by_role("link", name="Recover…").click()
    shot("since")
    opened.get_by_role("button", name="Preview").click()
    opened.get_by_text("2 events have no delivery").wait_for()
    opened.get_by_text("1 delivery failed").wait_for()
    shot("preview")
    opened.get_by_role("button", name="Recover").click()
    opened.wait_for_url("**/change/")
    shot("done")
    assert list(Delivery.objects.filter(webhook=webhook).values_list("status", flat=True)) == ["pending"] * 3
    assert Delivery.objects.filter(webhook=other, status="pending").count() == 2
