"""The page that says what a webhook missed, and sends it."""

import re
from datetime import datetime, timedelta
from datetime import timezone as zones

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from tests import own_workspace  # noqa: F401
from tests.factories import make_user, make_webhook, make_webhook_that_missed, make_workspace
from tests.test_admin import page, text
from webhooks import actions
from webhooks.actions import recovery
from webhooks.models import Delivery, Webhook, WebhookState

pytestmark = pytest.mark.django_db

MINUTES = "%Y-%m-%dT%H:%M"


@pytest.fixture
def webhook(owner, workspace):
    return make_webhook_that_missed(workspace)


def since(**ago):
    return (timezone.localtime() - timedelta(**ago)).strftime(MINUTES)


def plain(response):
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", text(response)))


class TestButton:
    def shown(self, client, webhook):
        return page("webhook_recover", webhook.pk) in text(client.get(page("webhook_change", webhook.pk)))

    def test_it_stands_on_the_page_of_an_active_webhook(self, client, webhook):
        assert self.shown(client, webhook)
        assert "Recover…" in plain(client.get(page("webhook_change", webhook.pk)))

    def test_not_on_that_of_an_inactive_one(self, client, webhook):
        Webhook.objects.update(is_active=False)
        assert not self.shown(client, webhook)

    def test_nor_when_a_form_with_errors_would_activate_it(self, client, webhook):
        Webhook.objects.update(is_active=False)
        posted = client.post(page("webhook_change", webhook.pk), {"name": "", "is_active": "on"})
        assert posted.status_code == 200
        assert page("webhook_recover", webhook.pk) not in text(posted)

    def test_nor_for_those_without_the_right(self, client, webhook, workspace):
        client.force_login(make_user("vera", role="viewer", workspace=workspace))
        assert not self.shown(client, webhook)

    def test_nor_on_the_page_of_one_to_be_created(self, client, webhook):
        assert "Recover" not in plain(client.get(page("webhook_add")))


class TestForm:
    def value(self, client, webhook):
        return re.search(
            r'name="since" value="([^"]+)"', text(client.get(page("webhook_recover", webhook.pk)))
        )[1]

    def test_it_begins_a_day_ago(self, client, webhook):
        day_ago = timezone.localtime() - timedelta(hours=24)
        assert self.value(client, webhook) in {
            (day_ago + timedelta(seconds=late)).strftime(MINUTES) for late in (0, 20)
        }

    def test_or_when_the_webhook_began_to_fail(self, client, webhook):
        began = datetime(2026, 1, 31, 9, 15, 59, tzinfo=zones.utc)
        WebhookState.objects.create(webhook=webhook, consecutive_failures=3, failing_since=began)
        assert self.value(client, webhook) == "2026-01-31T09:15"

    def test_times_are_those_of_the_current_time_zone(self, client, webhook, settings):
        settings.TIME_ZONE = "Asia/Tokyo"
        began = datetime(2026, 1, 31, 20, 0, tzinfo=zones.utc)
        WebhookState.objects.create(webhook=webhook, consecutive_failures=3, failing_since=began)
        assert self.value(client, webhook) == "2026-02-01T05:00"
        body = plain(client.get(page("webhook_recover", webhook.pk)))
        assert "in the time zone JST" in body or "in the time zone Asia/Tokyo" in body
        address = page("webhook_recover", webhook.pk)
        client.post(address, {"since": "2026-02-01T05:00", "confirm": "Recover"})
        assert (
            LogEntry.objects.get().change_message == "Recovered since 2026-01-31 20:00:00 UTC: 3 deliveries."
        )

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("", "This field is required."),
            ("yesterday", "Enter a valid date/time."),
            ("2999-01-31T09:00", recovery.IN_THE_FUTURE),
            ("9999-12-31T23:59:59-12:00", recovery.IN_THE_FUTURE),
        ],
    )
    def test_what_is_wrong_is_said_at_the_field_and_nothing_is_done(self, client, webhook, value, message):
        response = client.post(page("webhook_recover", webhook.pk), {"since": value, "confirm": "Recover"})
        assert response.status_code == 200
        assert response.context["form"].errors == {"since": [message]}
        assert message in text(response)
        assert Delivery.objects.get().status == "failed"

    @pytest.mark.parametrize("eternity", ["0001-01-01T00:00", "0001-01-01T00:00:00+14:00"])
    @pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
    def test_the_beginning_of_time_is_a_time(self, client, webhook, settings, eternity, zone):
        settings.TIME_ZONE = zone
        response = client.post(page("webhook_recover", webhook.pk), {"since": eternity})
        assert response.context["missed"] == (2, 1)


class TestPreview:
    def test_it_says_how_much_and_does_nothing(self, client, webhook):
        before = list(Delivery.objects.values())
        response = client.post(page("webhook_recover", webhook.pk), {"since": since(hours=1)})
        shown = plain(response)
        assert "2 events have no delivery: one is created for each." in shown
        assert "1 delivery failed: it is sent again." in shown
        assert 'name="confirm"' in text(response)
        assert list(Delivery.objects.values()) == before
        assert not LogEntry.objects.exists()

    def test_where_nothing_was_missed_there_is_nothing_to_confirm(self, client, webhook):
        Delivery.objects.update(status="succeeded")
        now = timezone.now().isoformat()
        response = client.post(page("webhook_recover", webhook.pk), {"since": now})
        assert "This webhook missed nothing since" in plain(response)
        assert 'name="confirm"' not in text(response)


class TestConfirmed:
    def confirm(self, client, webhook):
        """Preview, then send what the page of the preview would."""
        address = page("webhook_recover", webhook.pk)
        preview = text(client.post(address, {"since": since(hours=1)}))
        value = re.search(r'type="hidden" name="since" value="([^"]+)"', preview)[1]
        return client.post(address, {"since": value, "confirm": "Recover"}, follow=True)

    def test_it_is_done_and_said(self, client, webhook):
        response = self.confirm(client, webhook)
        assert response.redirect_chain == [(page("webhook_change", webhook.pk), 302)]
        assert "3 deliveries were recovered." in text(response)
        assert list(Delivery.objects.values_list("status", flat=True)) == ["pending"] * 3
        entry = LogEntry.objects.get()
        assert (entry.user.username, entry.object_id) == ("olga", str(webhook.pk))

    def test_one_that_was_switched_off_meanwhile_is_to_be_activated_first(self, client, webhook):
        Webhook.objects.update(is_active=False)
        address = page("webhook_recover", webhook.pk)
        for response in (
            client.get(address, follow=True),
            client.post(address, {"since": since(hours=1), "confirm": "Recover"}, follow=True),
        ):
            assert response.redirect_chain == [(page("webhook_change", webhook.pk), 302)]
            assert actions.INACTIVE in text(response)
        assert Delivery.objects.get().status == "failed"


class TestRights:
    def test_without_the_right_it_is_forbidden(self, client, webhook, workspace):
        client.force_login(make_user("vera", role="viewer", workspace=workspace))
        address = page("webhook_recover", webhook.pk)
        assert client.get(address).status_code == 403
        assert client.post(address, {"since": since(hours=1), "confirm": "Recover"}).status_code == 403
        assert Delivery.objects.get().status == "failed"

    def test_of_another_workspace_it_is_not_found(self, client, owner):
        theirs = make_webhook(make_workspace("other"))
        address = page("webhook_recover", theirs.pk)
        assert client.get(address).status_code == 404
        assert client.post(address, {"since": since(hours=1), "confirm": "Recover"}).status_code == 404

    def test_it_takes_the_csrf_token(self, webhook, owner):
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(owner)
        address = page("webhook_recover", webhook.pk)
        answer = browser.post(address, {"since": since(hours=1), "confirm": "Recover"})
        assert answer.status_code == 403
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', text(browser.get(address)))[1]
        body = {"since": since(hours=1), "confirm": "Recover", "csrfmiddlewaretoken": token}
        assert browser.post(address, body).status_code == 302
        assert not Delivery.objects.filter(status="failed").exists()


def test_on_a_workspaces_own_site_links_stay_inside(client, webhook):
    address = f"/w/acme/webhooks/webhook/{webhook.pk}/"
    assert f'href="{address}recover/"' in text(client.get(f"{address}change/"))
    for response in (
        client.get(f"{address}recover/"),
        client.post(f"{address}recover/", {"since": since(hours=1)}),
    ):
        assert response.status_code == 200
        assert "/admin/" not in re.sub("/static/admin/", "", text(response))
    done = client.post(f"{address}recover/", {"since": since(hours=1), "confirm": "Recover"})
    assert done["Location"] == f"{address}change/"
    assert not Delivery.objects.filter(status="failed").exists()
