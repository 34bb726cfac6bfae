"""A webhook whose settings the operator no longer takes, or that were written past the rules, on its page."""

import pytest
from django.urls import reverse

from tests.factories import make_user, make_webhook, make_workspace
from tests.test_admin_credentials import errors, opened, save
from webhooks import conf, durations
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def webhook(client):
    client.force_login(make_user(superuser=True))
    return make_webhook(make_workspace(), callback_url="https://example.com/?payload=1", max_in_flight=8)


@pytest.fixture
def stricter(settings, webhook):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "ALLOWED_PORTS": [8443], "IN_FLIGHT_PER_WEBHOOK": 4}


def test_what_was_taken_under_other_settings_does_not_stop_it_from_being_switched_off(
    client, webhook, stricter
):
    assert save(client, webhook, is_active=None).status_code == 302
    assert not Webhook.objects.get().is_active


def test_what_is_changed_must_fit_the_settings_of_today(client, webhook, stricter):
    assert list(errors(save(client, webhook, max_in_flight="7"))) == ["max_in_flight"]
    assert list(errors(save(client, webhook, callback_url="https://example.com/b"))) == ["callback_url"]


def test_a_method_that_does_not_go_with_the_kept_url_is_still_refused(client, webhook):
    assert list(errors(save(client, webhook, method="GET"))) == ["callback_url"]


@pytest.mark.parametrize("schedule", [["5"], [[5]], {"a": 1}, 5])
def test_a_schedule_past_the_rules_is_shown_to_be_mended(client, webhook, schedule):
    Webhook.objects.update(retry_schedule=schedule)
    assert opened(client, webhook)["retry_schedule"] == str(schedule)
    assert list(errors(save(client, webhook, retry_schedule="[5]"))) == ["retry_schedule"]
    assert save(client, webhook, retry_schedule="5s, 1m").status_code == 302
    assert Webhook.objects.get().retry_schedule == [5, 60]


@pytest.mark.parametrize("schedule", [["5"], {"a": 1}])
def test_somebody_who_may_only_look_is_shown_what_holds_in_its_place(client, webhook, schedule):
    Webhook.objects.update(retry_schedule=schedule)
    client.force_login(make_user("vera", role="viewer", workspace=webhook.workspace))
    page = client.get(reverse("admin:webhooks_webhook_change", args=[webhook.pk]))
    assert durations.text(conf.settings.RETRY_SCHEDULE) in page.content.decode()
