"""Health in the admin: the list's badge, the banner with its button, and what is said of each delivery."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from tests.factories import make_user, make_webhook
from tests.test_admin import SCRIPT, make_delivery, page, text
from webhooks.models import Attempt, Delivery, Waker, Webhook, WebhookState

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def make_state(webhook, **fields):
    now = timezone.now()
    fields = {
        "consecutive_failures": 7,
        "failing_since": now - 5 * MINUTE,
        "error_kind": "http_4xx",
        "status_code": 404,
        **fields,
    }
    return WebhookState.objects.create(webhook=webhook, **fields)


def make_paused(workspace, **fields):
    webhook = make_webhook(workspace, **fields)
    make_state(webhook, paused_until=timezone.now() + 12 * MINUTE + timedelta(seconds=30))
    return webhook


def change_page(client, webhook):
    """The page's text, with plain spaces and without tags."""
    body = text(client.get(page("webhook_change", webhook.pk)))
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", "", body).replace("\xa0", " "))


class TestList:
    def test_one_word_says_how_each_webhook_stands(self, client, owner, workspace):
        now = timezone.now()
        states = {
            "Active": None,
            "Failing": {},
            "Paused": {"paused_until": now + MINUTE},
            "Recovering": {"paused_until": now - MINUTE},
            "Disabled": {"disabled_at": now},
            "Inactive": None,
        }
        for name, state in states.items():
            webhook = make_webhook(workspace, name=name, is_active=name not in ("Disabled", "Inactive"))
            if state is not None:
                make_state(webhook, **state)
        body = text(client.get(page("webhook_changelist")))
        rows = re.findall(
            r'field-name">.*?>(\w+)</a>.*?webhooks-badge webhooks-(\w+)">(\w+)<', body, re.DOTALL
        )
        assert {(name, kind, label) for name, kind, label in rows} == {
            (name, name.lower(), name) for name in states
        }

    @pytest.mark.parametrize("name", ["webhook_changelist", "delivery_changelist"])
    def test_states_cost_no_queries_of_their_own(
        self, client, owner, workspace, name, django_assert_num_queries, django_assert_max_num_queries
    ):
        make_delivery(make_paused(workspace), status="pending")
        client.get(page(name))
        with django_assert_max_num_queries(20) as one:
            client.get(page(name))
        for number in range(9):
            webhook = make_webhook(workspace, name=f"W{number}")
            if number % 2:
                make_state(webhook, paused_until=timezone.now() + MINUTE)
            make_delivery(webhook, status="pending")
        with django_assert_num_queries(len(one)):
            client.get(page(name))

    def test_nor_do_they_on_an_events_page(
        self, client, owner, workspace, django_assert_num_queries, django_assert_max_num_queries
    ):
        event = make_delivery(make_paused(workspace), status="pending").event
        client.get(page("event_change", event.pk))
        with django_assert_max_num_queries(20) as one:
            client.get(page("event_change", event.pk))
        for number in range(5):
            webhook = make_paused(workspace, name=f"W{number}")
            fields = {"workspace": workspace, "event_type": event.type, "created_at": timezone.now()}
            Delivery.objects.create(event=event, webhook=webhook, **fields)
        with django_assert_num_queries(len(one)):
            client.get(page("event_change", event.pk))


class TestBanner:
    @pytest.mark.parametrize("fields", [{}, {"is_active": False}])
    def test_a_healthy_or_switched_off_webhook_has_none(self, client, owner, workspace, fields):
        webhook = make_webhook(workspace, **fields)
        WebhookState.objects.create(webhook=webhook, error_kind="timeout")
        assert "webhooks-banner" not in text(client.get(page("webhook_change", webhook.pk)))

    def test_a_paused_one_says_what_is_wrong_and_what_happens_next(self, client, owner, workspace):
        shown = change_page(client, make_paused(workspace))
        assert re.search(r"Paused 7 attempts in a row have failed since [-0-9: ]+\.", shown)
        assert (
            "The receiver refused the request. It answered 404. Check the path of the callback URL" in shown
        )
        assert re.search(r"Paused until [-0-9: ]+ \(in 12 minutes\), then one delivery is tried\.", shown)
        assert re.search(
            r"If nothing succeeds, this webhook is disabled at \d{4}-\d\d-\d\d \d\d:\d\d\.", shown
        )
        assert "Try now" in shown

    def test_a_failing_one_is_not_yet_threatened_and_needs_no_button(self, client, owner, workspace):
        webhook = make_webhook(workspace)
        make_state(webhook)
        shown = change_page(client, webhook)
        assert "7 attempts in a row have failed" in shown
        assert "is disabled at" not in shown
        assert "Try now" not in shown

    def test_a_disabled_one_says_when_why_and_how_to_activate(self, client, owner, workspace):
        webhook = make_webhook(workspace, is_active=False)
        make_state(webhook, disabled_at=timezone.now(), disabled_because=f"410 {SCRIPT}")
        body = text(client.get(page("webhook_change", webhook.pk)))
        assert re.search(r"Switched off at [-0-9: ]+: 410 &lt;script&gt;", body)
        assert "check “Status” and save" in body
        assert "Try now" not in body

    def test_a_form_with_errors_does_not_change_what_it_says(self, client, owner, workspace):
        webhook = make_webhook(workspace, is_active=False)
        make_state(webhook, disabled_at=timezone.now())
        posted = client.post(page("webhook_change", webhook.pk), {"name": "", "is_active": "on"})
        assert posted.status_code == 200
        assert "webhooks-banner-disabled" in text(posted)


class TestTryNow:
    def test_it_ends_the_pause_and_sends_what_waited(
        self, client, owner, workspace, django_capture_on_commit_callbacks
    ):
        webhook = make_paused(workspace)
        delivery = make_delivery(webhook, status="pending")
        before = timezone.now()
        with django_capture_on_commit_callbacks(execute=True):
            response = client.post(page("webhook_resume", webhook.pk), follow=True)
        assert response.redirect_chain == [(page("webhook_change", webhook.pk), 302)]
        assert "the next delivery is tried now" in text(response)
        state = WebhookState.objects.get()
        assert state.paused_until <= timezone.now()
        assert (state.consecutive_failures, state.failing_since < before) == (7, True)
        assert Delivery.objects.get(pk=delivery.pk).due_at <= timezone.now()
        assert LogEntry.objects.get().change_message == "Resumed."
        assert "The pause is over" in change_page(client, webhook)

    @pytest.mark.django_db(transaction=True)
    def test_it_wakes_a_drain(self, client, owner, workspace):
        webhook = make_paused(workspace)
        Waker.objects.update(asked_at=None)
        client.post(page("webhook_resume", webhook.pk))
        assert Waker.objects.get().asked_at is not None

    @pytest.mark.parametrize("state", [None, {}, {"paused_until": timezone.now() - MINUTE}])
    def test_one_that_is_not_paused_is_left_as_it_is(self, client, owner, workspace, state):
        webhook = make_webhook(workspace)
        if state is not None:
            make_state(webhook, **state)
        before = list(WebhookState.objects.values())
        assert "not paused" in text(client.post(page("webhook_resume", webhook.pk), follow=True))
        assert list(WebhookState.objects.values()) == before
        assert not LogEntry.objects.exists()

    def test_it_is_a_post_of_somebody_who_may_change(self, client, owner, workspace):
        webhook = make_paused(workspace)
        assert client.get(page("webhook_resume", webhook.pk)).status_code == 405
        client.force_login(make_user("vera", role="viewer", workspace=workspace))
        assert "Try now" not in change_page(client, webhook)
        assert client.post(page("webhook_resume", webhook.pk)).status_code == 403
        assert WebhookState.objects.get().paused_until > timezone.now()


class TestDelivery:
    def test_one_that_waits_says_until_when(self, client, owner, workspace):
        webhook = make_paused(workspace)
        parked = make_delivery(webhook, status="pending")
        make_delivery(webhook, status="pending", due_at=timezone.now() - MINUTE)
        make_delivery(webhook, status="pending", due_at=timezone.now() + 90 * MINUTE)
        listing = text(client.get(page("delivery_changelist")))
        assert len(re.findall(r"waiting: webhook is paused until [-0-9: ]+<", listing)) == 2
        assert "in 1 hour" in listing.replace("\xa0", " ")
        for name, pk in (("delivery_change", parked.pk), ("event_change", parked.event_id)):
            assert "waiting: webhook is paused until" in text(client.get(page(name, pk)))

    def test_one_of_an_inactive_webhook_waits_and_names_no_time(self, client, owner, workspace):
        due = timezone.now() + MINUTE
        delivery = make_delivery(make_webhook(workspace, is_active=False), status="pending", due_at=due)
        shown = text(client.get(page("delivery_change", delivery.pk)))
        assert "waiting: webhook is inactive" in shown
        assert f"{timezone.localtime(due):%Y-%m-%d %H:%M:%S}" not in shown

    def test_what_is_in_flight_is_being_sent_though_the_webhook_was_paused_since(
        self, client, owner, workspace
    ):
        claim = "0" * 32
        due = timezone.now() + MINUTE
        delivery = make_delivery(make_paused(workspace), status="pending", due_at=due, claim=claim)
        shown = text(client.get(page("delivery_change", delivery.pk)))
        assert "being sent now" in shown
        assert "waiting:" not in shown

    def test_an_attempt_is_explained_with_advice(self, client, owner, workspace):
        attempt = {"outcome": "transient", "status_code": None, "error_kind": "tls", "error": "No TLS."}
        delivery = make_delivery(make_webhook(workspace), attempt=attempt)
        shown = text(client.get(page("delivery_change", delivery.pk)))
        assert "The TLS handshake failed" in shown
        assert "comes with its whole chain" in shown

    def test_a_redirects_location_is_shown_as_inert_text(self, client, owner, workspace):
        attempt = {
            "status_code": 302,
            "error_kind": "http_3xx",
            "response_headers": {"location": f"https://new.example/{SCRIPT}"},
        }
        delivery = make_delivery(make_webhook(workspace), attempt=attempt)
        shown = text(client.get(page("delivery_change", delivery.pk)))
        assert "Location: https://new.example/&lt;script&gt;" in shown
        Attempt.objects.update(status_code=201)
        assert "Location:" not in text(client.get(page("delivery_change", delivery.pk)))

    def test_a_late_attempt_is_marked(self, client, owner, workspace):
        delivery = make_delivery(make_webhook(workspace), attempt={"late": True})
        shown = text(client.get(page("delivery_change", delivery.pk)))
        assert "arrived after its lease had ended; changed nothing" in shown
        Attempt.objects.update(late=False)
        assert "changed nothing" not in text(client.get(page("delivery_change", delivery.pk)))


def test_the_forms_labels_are_those_of_the_reference_page(client, owner, workspace):
    webhook = make_paused(workspace)
    labels = re.findall(r"<label[^>]*>([^<]+)</label>", text(client.get(page("webhook_change", webhook.pk))))
    assert {"Name", "Callback URL", "Method", "Content-Type", "Max attempts", "Status"} <= {
        label.strip() for label in labels
    }
    assert Webhook.objects.get().is_active
