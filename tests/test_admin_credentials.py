"""More settings, rotation and concurrent changes on the admin's pages."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from tests.factories import make_user, make_webhook, webhook_form
from webhooks import actions, catalogue, headers
from webhooks.fields import EncryptedText
from webhooks.headers import MASK
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db

KEY = "correct-horse-battery"
OLD = "0ld-secret"


@pytest.fixture
def webhook(workspace, owner):
    return make_webhook(
        workspace,
        callback_url="https://example.com/hook",
        secret=OLD,
        headers={"X-Api-Key": KEY, "X-Team": "crm"},
        authorization=f"Bearer {KEY}",
    )


def page(name, *arguments):
    return reverse(f"admin:webhooks_webhook_{name}", args=arguments)


def text(response):
    return response.content.decode()


def errors(response):
    return dict(response.context["adminform"].form.errors)


def stored():
    return Webhook.objects.get()


def opened(client, webhook):
    """Return what the browser would post from the page as it is."""
    form = client.get(page("change", webhook.pk)).context["adminform"].form
    data = {}
    for bound in form:
        value = bound.value()
        if bound.name == "authorization":
            data["authorization_kind"] = "" if value else "none"
        elif value not in (None, False, ""):
            data[bound.name] = "on" if value is True else value
    return data


def save(client, webhook, **changes):
    posted = {**opened(client, webhook), **changes}
    return client.post(
        page("change", webhook.pk), {name: value for name, value in posted.items() if value is not None}
    )


NEW = webhook_form(name="New")


class TestMoreSettings:
    def test_a_new_webhook_needs_none_of_them(self, client, owner):
        assert client.post(page("add"), NEW).status_code == 302
        made = stored()
        assert (made.headers, made.authorization, made.retry_schedule) == ({}, "", None)

    def test_a_new_webhook_may_have_all_of_them(self, client, owner):
        more = {
            "headers": f"X-Api-Key: {KEY}\r\n\r\nX-Team:crm:eu\r\n",
            "authorization_kind": "basic",
            "authorization_username": "user",
            "authorization_password": f"{KEY}:é",
            "timeout": "2.5",
            "connect_timeout": "1",
            "retry_schedule": "5s, 1m, 2h",
            "rate_limit": "0.5",
            "max_in_flight": "2",
            "ordered": "on",
        }
        assert client.post(page("add"), {**NEW, **more}).status_code == 302
        made = stored()
        assert made.headers == {"X-Api-Key": KEY, "X-Team": "crm:eu"}
        assert made.authorization == headers.basic("user", f"{KEY}:é")
        assert (made.timeout, made.connect_timeout, made.retry_schedule) == (2.5, 1, [5, 60, 7200])
        assert (made.rate_limit, made.max_in_flight, made.ordered) == (0.5, 2, True)

    def test_they_are_shown_as_masks_and_saving_the_page_as_it_is_writes_nothing(self, client, webhook):
        body = text(client.get(page("change", webhook.pk)))
        assert KEY not in body
        assert f"X-Api-Key: {MASK}" in body
        assert f"Keep Bearer {MASK}" in body
        before = Webhook.objects.values().get()
        assert save(client, webhook).status_code == 302
        assert Webhook.objects.values().get() == before
        assert not LogEntry.objects.exists()

    def test_a_mask_keeps_another_value_replaces_and_a_missing_line_removes(self, client, webhook):
        save(client, webhook, headers=f"X-Api-Key: {MASK}\nX-New: 1")
        assert stored().headers == {"X-Api-Key": KEY, "X-New": "1"}
        save(client, webhook, headers=None, authorization_kind="bearer", authorization_token="abc ")
        assert (stored().headers, stored().authorization) == ({}, "Bearer abc")
        save(client, webhook, authorization_kind="none")
        assert stored().authorization == ""

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"headers": KEY}, "headers"),
            ({"headers": f"X Key: {KEY}"}, "headers"),
            ({"headers": f"Host: {KEY}"}, "headers"),
            ({"headers": f"X-Key: {KEY}\x00"}, "headers"),
            ({"headers": f"X-Key: {KEY}\x0bX: y"}, "headers"),
            ({"headers": "X-Key: 1\nX-Key: 2"}, "headers"),
            ({"headers": "X-Key: 1\nx-key: 2"}, "headers"),
            ({"headers": f"X-Other: {MASK}"}, "headers"),
            ({"authorization_kind": "bearer"}, "authorization"),
            ({"authorization_kind": "bearer", "authorization_token": f"{KEY}\r\nX: y"}, "authorization"),
            ({"authorization_kind": "bearer", "authorization_token": f" bearer {KEY}"}, "authorization"),
            ({"authorization_kind": "basic"}, "authorization"),
            ({"authorization_kind": "basic", "authorization_username": "a:b"}, "authorization"),
            ({"authorization_kind": "digest"}, "authorization"),
            ({"timeout": "16"}, "timeout"),
            ({"timeout": "soon"}, "timeout"),
            ({"connect_timeout": "0"}, "connect_timeout"),
            ({"retry_schedule": "5 weeks"}, "retry_schedule"),
            ({"retry_schedule": "2d"}, "retry_schedule"),
            ({"rate_limit": "nan"}, "rate_limit"),
            ({"max_in_flight": "9"}, "max_in_flight"),
        ],
    )
    def test_an_error_stands_at_its_field_and_opens_the_section(self, client, webhook, change, field):
        for address, posted in (
            (page("add"), {**NEW, **change}),
            (page("change", webhook.pk), {**opened(client, webhook), **change}),
        ):
            response = client.post(address, posted)
            assert response.status_code == 200
            assert list(errors(response)) == [field]
            assert KEY not in str(errors(response)[field])
            assert "<details>" not in text(response)
        assert stored().headers == webhook.headers

    def test_a_token_is_asked_for_alone(self, client, owner):
        posted = {**NEW, "authorization_kind": "bearer", "authorization_token": f"Bearer {KEY}"}
        assert errors(client.post(page("add"), posted))["authorization"] == [
            "Enter the token alone, without “Bearer”."
        ]

    def test_stored_ones_do_not_follow_the_url_to_another_server(self, client, webhook):
        moved = {"callback_url": "https://elsewhere.example/hook"}
        response = save(client, webhook, **moved)
        assert list(errors(response)) == ["callback_url", "headers", "authorization"]
        # Where they are entered again stands open.
        assert "<details>" not in text(response)
        assert list(errors(save(client, webhook, **moved, headers=None))) == ["callback_url", "authorization"]
        assert save(client, webhook, callback_url="https://example.com/other").status_code == 302
        assert save(client, webhook, **moved, headers=None, authorization_kind="none").status_code == 302
        assert stored().callback_url == moved["callback_url"]

    def test_unreadable_ones_break_no_page_and_can_be_replaced(self, client, webhook):
        Webhook.objects.update(
            custom_headers=EncryptedText("fernet:unreadable"),
            authorization=EncryptedText("fernet:unreadable"),
        )
        assert f"{MASK}: {MASK}" in text(client.get(page("change", webhook.pk)))
        assert save(client, webhook, name="Renamed").status_code == 302
        save(client, webhook, headers="X-Api-Key: new", authorization_kind="none")
        assert (stored().headers, stored().authorization) == ({"X-Api-Key": "new"}, "")

    def test_empty_limits_say_what_holds_without_them(self, client, owner):
        body = text(client.get(page("add")))
        for default in ("15", "5", "8", "1s"):
            assert f'placeholder="{default}"' in body

    @pytest.mark.parametrize(
        ("deep", "frame"),
        [
            ("webhooks.fields.encrypted", "get_prep_value"),  # in the database layer
            ("webhooks.headers.basic", "_clean_fields"),  # in the form
        ],
    )
    def test_an_error_report_holds_no_value(
        self, client, webhook, monkeypatch, deep, frame, error_reports, broken
    ):
        posted = opened(client, webhook)
        monkeypatch.setattr(deep, broken)
        client.raise_request_exception = False
        secrets = {
            "headers": "X-Key: h3ader",
            "authorization_kind": "basic",
            "authorization_username": "us3r",
        }
        secrets["authorization_password"] = "passw0rd"
        for address, data in ((page("add"), NEW), (page("change", webhook.pk), posted)):
            assert client.post(address, {**data, **secrets}).status_code == 500
        assert len(error_reports) == 2
        for one in error_reports:
            assert frame in one
            assert not [secret for secret in ("h3ader", "us3r", "passw0rd", KEY) if secret in one]


class TestRights:
    def test_who_may_not_replace_the_secret_sees_masks_and_changes_the_rest(self, client, workspace, webhook):
        if not hasattr(workspace, "memberships"):
            pytest.skip("roles belong to our workspace app")
        client.force_login(make_user("mia", role="member", workspace=workspace))
        body = text(client.get(page("change", webhook.pk)))
        assert f"X-Api-Key: {MASK}" in body
        assert 'name="headers"' not in body
        assert 'name="authorization_kind"' not in body
        posted = {"headers": "X-Api-Key: mine", "authorization_kind": "none", "timeout": "3"}
        assert save(client, webhook, **posted).status_code == 302
        assert (stored().headers, stored().timeout) == (webhook.headers, 3)
        moved = save(client, webhook, callback_url="https://elsewhere.example/")
        assert list(errors(moved)) == ["callback_url"]
        assert client.post(page("secret_finish", webhook.pk)).status_code == 403

    def test_who_may_only_look_sees_masks_and_limits(self, client, workspace, webhook):
        Webhook.objects.update(retry_schedule=[5, 60])
        client.force_login(make_user("vera", role="viewer", workspace=workspace))
        body = text(client.get(page("change", webhook.pk)))
        assert f"X-Api-Key: {MASK}" in body
        assert f"Bearer {MASK}" in body
        assert "5s, 1m" in body
        assert not [value for value in (KEY, OLD, "fernet:", "<textarea", 'name="version"') if value in body]


class TestRotation:
    def test_it_overlaps_for_as_long_as_was_chosen(self, client, webhook):
        form = client.get(page("secret", webhook.pk)).context["form"]
        assert form["overlap"].value() == "86400"
        client.post(page("secret", webhook.pk), {"secret": "new", "overlap": "3600"})
        assert (stored().secret, stored().previous_secret) == ("new", OLD)
        body = text(client.get(page("change", webhook.pk)))
        assert "the former one also signs until" in body
        assert page("secret_finish", webhook.pk) in body

    def test_at_once_is_a_choice_that_a_link_makes(self, client, webhook):
        link = f"{page('secret', webhook.pk)}?overlap=0"
        assert link in text(client.get(page("change", webhook.pk)))
        assert re.search(r'<option value="0" selected>', text(client.get(link)))
        client.post(page("secret", webhook.pk), {"secret": "new", "overlap": "0"})
        assert (stored().secret, stored().rotating_until) == ("new", None)

    def test_finishing_asks_first(self, client, webhook):
        actions.rotate_secret(webhook, by=None)
        assert client.get(page("secret_finish", webhook.pk)).status_code == 200
        assert stored().rotating_until
        client.post(page("secret_finish", webhook.pk))
        assert stored().rotating_until is None
        assert "No rotation is under way." in text(
            client.post(page("secret_finish", webhook.pk), follow=True)
        )

    def test_a_first_secret_has_no_overlap_to_choose(self, client, webhook):
        actions.remove_secret(webhook, by=None)
        assert "overlap" not in client.get(page("secret", webhook.pk)).context["form"].fields
        client.post(page("secret", webhook.pk), {"secret": "first", "overlap": "3600"})
        assert (stored().secret, stored().rotating_until) == ("first", None)

    def test_an_overlap_that_is_not_offered_is_an_error(self, client, webhook):
        for overlap in ("5", "-1", "9e99", "nan", "x"):
            response = client.post(page("secret", webhook.pk), {"secret": "new", "overlap": overlap})
            assert list(response.context["form"].errors) == ["overlap"]
        assert stored().secret == OLD

    def test_the_projects_own_overlap_is_offered(self, client, webhook, settings):
        settings.WEBHOOKS = {**settings.WEBHOOKS, "ROTATION_OVERLAP": 7200}
        form = client.get(page("secret", webhook.pk)).context["form"]
        assert ("7200", "2h") in form.fields["overlap"].choices
        client.post(page("secret", webhook.pk), {"secret": "new", "overlap": "7200"})
        assert stored().rotating_until


class TestConcurrentChanges:
    def test_what_somebody_changed_since_the_page_was_opened_is_not_overwritten(self, client, webhook):
        posted = opened(client, webhook)
        actions.change(stored(), {"name": "First"}, by=None)
        response = client.post(page("change", webhook.pk), {**posted, "name": "Second"})
        assert "changed since you opened this page" in text(response)
        assert stored().name == "First"
        assert f'name="version" value="{posted["version"]}"' in text(response)

    def test_a_change_between_the_check_and_the_write_is_told_too(self, client, webhook, monkeypatch):
        change = actions.change

        def late(*args, **kwargs):
            change(stored(), {"name": "First"}, by=None)
            return change(*args, **kwargs)

        posted = opened(client, webhook)
        monkeypatch.setattr(actions, "change", late)
        response = client.post(page("change", webhook.pk), {**posted, "name": "Second"}, follow=True)
        assert "changed since you opened this page" in text(response)
        assert not LogEntry.objects.exists()

    def test_a_name_taken_between_the_check_and_the_write_is_no_server_error(
        self, client, webhook, workspace, monkeypatch
    ):
        monkeypatch.setattr(Webhook, "_name_error", lambda self: None)
        monkeypatch.setattr(Webhook, "validate_constraints", lambda self, exclude=None: None)
        response = client.post(page("add"), {**NEW, "name": webhook.name}, follow=True)
        assert "already has a webhook with this name" in text(response)
        assert Webhook.objects.count() == 1


def test_every_change_on_the_pages_is_in_the_history_once(client, webhook):
    client.post(page("add"), NEW)
    save(client, webhook, name="Renamed", callback_url="https://example.com/other")
    save(client, webhook, is_active=None)
    save(client, webhook, is_active="on", events=[catalogue.all()[0].name])
    client.post(page("secret", webhook.pk), {"secret": "new", "overlap": "0"})
    client.post(page("secret_remove", webhook.pk))
    client.post(page("delete", webhook.pk), {"post": "yes"})
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
        "Created.",
        "Changed Name, Callback URL.",
        "Deactivated.",
        "Changed Events.",
        "Activated.",
        "Secret rotated.",
        "Secret removed.",
        "Deleted.",
    ]
