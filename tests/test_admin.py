"""The admin's pages as people use them: through the test client, whatever the workspace model is."""

import hashlib
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from tests.factories import SECRET, make_user, make_webhook, make_workspace, webhook_form
from webhooks import catalogue, encoding
from webhooks.fields import EncryptedText
from webhooks.models import Attempt, Delivery, Event, Webhook, WebhookState

pytestmark = pytest.mark.django_db

LABELS = ["Name", "Callback URL", "Method", "Content-Type", "Max attempts", "Status", "Secret", "Events"]
MORE_LABELS = [
    *("Headers", "Authorization", "Timeout", "Connect timeout", "Retry schedule", "Rate limit"),
    *("Max in flight", "Ordered"),
]
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def data():
    return webhook_form(secret=SECRET, events=[catalogue.all()[0].name], _save="Create")


def page(name, *arguments, query=None):
    return reverse(f"admin:webhooks_{name}", args=arguments, query=query)


def text(response):
    return response.content.decode()


def errors(response):
    return dict(response.context["adminform"].form.errors)


def make_delivery(webhook, *, status="succeeded", attempt=None, data='{"a":1}', **fields):
    now = timezone.now()
    event = Event.objects.create(
        workspace=webhook.workspace, workspace_key="acme", type="demo.happened", data=data, occurred_at=now
    )
    fields = {"due_at": None, "attempt_count": 1, "created_at": now, **fields}
    delivery = Delivery.objects.create(
        event=event,
        webhook=webhook,
        workspace=webhook.workspace,
        event_type=event.type,
        status=status,
        **fields,
    )
    Attempt.objects.create(
        **{
            "delivery": delivery,
            "number": 1,
            "started_at": now,
            "duration_ms": 12,
            "outcome": "success",
            "status_code": 200,
            "request_method": "POST",
            "request_url": webhook.callback_url,
            **(attempt or {}),
        }
    )
    return delivery


class TestList:
    def test_the_create_webhook_button_leads_to_the_form(self, client, owner):
        listing = text(client.get(page("webhook_changelist")))
        assert re.search(
            rf'<a class="webhooks-button" href="{page("webhook_add")}">Create Webhook</a>', listing
        )
        assert "Add webhook" not in listing.partition('id="content-main"')[2]

    def test_who_may_only_look_gets_no_button(self, client, workspace):
        client.force_login(make_user("vera", role="viewer", workspace=workspace))
        assert "Create Webhook" not in text(client.get(page("webhook_changelist")))
        assert client.get(page("webhook_add")).status_code == 403

    def test_the_sidebar_says_webhooks(self, client, owner):
        link = rf'<a href="{page("webhook_changelist")}"[^>]*>Webhooks</a>'
        assert re.search(link, text(client.get(reverse("admin:index"))))

    def test_the_number_of_queries_does_not_grow(
        self, client, owner, workspace, django_assert_num_queries, django_assert_max_num_queries
    ):
        for name in ("webhook_changelist", "delivery_changelist", "event_changelist"):
            Webhook.with_deleted.all().delete()
            Event.objects.all().delete()
            make_delivery(make_webhook(workspace))
            client.get(page(name))  # the content types are cached from here on
            with django_assert_max_num_queries(20) as one:
                client.get(page(name))
            for number in range(19):
                make_delivery(
                    make_webhook(workspace, name=f"W{number}", patterns=(catalogue.all()[0].name, "*"))
                )
            with django_assert_num_queries(len(one)):
                assert "20 " in text(client.get(page(name)))

    @pytest.mark.parametrize(
        ("name", "lookup"),
        [
            ("webhook", "secret__startswith"),
            ("webhook", "secret"),
            ("webhook", "secret__exact"),
            ("webhook", "previous_secret__isnull"),
            ("webhook", "custom_headers__contains"),
            ("webhook", "authorization__startswith"),
            ("webhook", "workspace__slug__startswith"),
            ("delivery", "webhook__secret__startswith"),
            ("delivery", "webhook__secret"),
            ("delivery", "event__data__contains"),
            ("delivery", "workspace__name"),
            ("event", "deliveries__webhook__secret__startswith"),
        ],
    )
    def test_a_look_up_that_could_guess_is_refused(self, client, owner, name, lookup):
        assert client.get(page(f"{name}_changelist", query={lookup: "s"})).status_code == 400

    def test_an_unreadable_secret_breaks_no_page(self, client, owner, workspace):
        webhook = make_webhook(workspace, secret=SECRET)
        Webhook.objects.filter(pk=webhook.pk).update(secret=EncryptedText("fernet:unreadable"))
        delivery = make_delivery(webhook)
        for address in (
            page("webhook_changelist"),
            page("webhook_change", webhook.pk),
            page("webhook_secret", webhook.pk),
            page("webhook_secret_remove", webhook.pk),
            page("webhook_delete", webhook.pk),
            page("webhook_history", webhook.pk),
            page("delivery_changelist"),
            page("delivery_change", delivery.pk),
        ):
            assert client.get(address).status_code == 200, address
        assert client.post(page("webhook_secret", webhook.pk), {"secret": "new"}).status_code == 302
        assert Webhook.objects.get(pk=webhook.pk).secret == "new"


class TestCreate:
    def test_labels_word_for_word_in_order(self, client, owner):
        form = client.get(page("webhook_add")).context["adminform"].form
        assert [str(field.label) for field in form] == LABELS + MORE_LABELS
        assert list(form.fields)[:8] == [
            *(
                "name",
                "callback_url",
                "method",
                "content_type",
                "max_attempts",
                "is_active",
                "secret",
                "events",
            )
        ]

    def test_the_page_shows_those_labels_and_no_colon(self, client, owner):
        body = text(client.get(page("webhook_add")))
        shown = re.findall(r"<label[^>]*>\s*([^<]+?)\s*</label>", body.partition('id="webhook_form"')[2])
        assert shown[:8] == LABELS
        assert [label for label in shown[8:] if label in LABELS] == []
        assert "<h1>Create Webhook</h1>" in body

    def test_one_submit_button(self, client, owner):
        form = text(client.get(page("webhook_add"))).partition('id="webhook_form"')[2]
        (button,) = re.findall(r"<input type=\"submit\"[^>]*>", form)
        assert 'value="Create"' in button
        assert 'name="_save"' in button

    def test_events_are_boxes_named_events_with_all_first(self, client, owner):
        body = text(client.get(page("webhook_add")))
        boxes = re.findall(r'<input type="checkbox" name="events" value="([^"]+)"', body)
        assert boxes == ["*", *_grouped_names()]
        for event_type in catalogue.all():
            assert escape(event_type.description) in body

    def test_create(self, client, owner, workspace, data):
        response = client.post(page("webhook_add"), data)
        assert response.status_code == 302
        webhook = Webhook.objects.get()
        assert (webhook.workspace, webhook.name, webhook.secret) == (workspace, "CRM", SECRET)
        assert webhook.patterns == data["events"]

    def test_white_space_belongs_to_the_secret(self, client, owner, data):
        client.post(page("webhook_add"), {**data, "secret": " a b "})
        assert Webhook.objects.get().secret == " a b "

    @pytest.mark.parametrize(
        ("change", "field", "message"),
        [
            ({"name": ""}, "name", "required"),
            ({"callback_url": "ftp://example.com/"}, "callback_url", "https://"),
            ({"callback_url": "http://169.254.169.254/"}, "callback_url", "not public"),
            ({"method": "TRACE"}, "method", "valid choice"),
            ({"content_type": "text/plain"}, "content_type", "valid choice"),
            ({"max_attempts": "0"}, "max_attempts", "greater than or equal to 1"),
            ({"max_attempts": "21"}, "max_attempts", "less than or equal to 20"),
            ({"secret": "whsec_%%%"}, "secret", "base64"),
            ({"events": []}, "events", "Choose at least one event."),
            ({"events": ["no.such"]}, "events", "not an event type"),
        ],
    )
    def test_an_error_stands_at_its_field(self, client, owner, data, change, field, message):
        response = client.post(page("webhook_add"), {**data, **change})
        assert response.status_code == 200
        assert list(errors(response)) == [field]
        assert message in str(errors(response)[field])
        assert not Webhook.objects.exists()

    def test_a_name_is_unique_in_its_workspace(self, client, owner, workspace, data):
        make_webhook(workspace, name="CRM")
        make_webhook(make_workspace("other"), name="Mine")
        data["workspace"] = workspace.pk  # asked for only where the user may act in both
        assert list(errors(client.post(page("webhook_add"), data))) == ["name"]
        assert client.post(page("webhook_add"), {**data, "name": "Mine"}).status_code == 302

    def test_with_one_workspace_a_posted_other_is_not_obeyed(self, client, workspace, owner, data):
        other = make_workspace("other")
        if client.get(page("webhook_add")).context["adminform"].form.fields.get("workspace"):
            pytest.skip("with model permissions this user may act in every workspace")
        client.post(page("webhook_add"), {**data, "workspace": other.pk})
        assert Webhook.objects.get().workspace == workspace

    def test_a_superuser_chooses_among_several(self, client, workspace, data):
        other = make_workspace("other")
        client.force_login(make_user("root", superuser=True))
        form = client.get(page("webhook_add")).context["adminform"].form
        assert next(iter(form.fields)) == "workspace"
        assert list(errors(client.post(page("webhook_add"), data))) == ["workspace"]
        client.post(page("webhook_add"), {**data, "workspace": other.pk})
        assert Webhook.objects.get().workspace == other


class TestChange:
    def test_the_secret_is_said_to_be_set_and_not_shown(self, client, owner, workspace):
        webhook = make_webhook(workspace, secret=SECRET)
        body = text(client.get(page("webhook_change", webhook.pk)))
        assert SECRET not in body
        assert "fernet:" not in body
        assert 'name="secret"' not in body
        assert page("webhook_secret", webhook.pk) in body
        assert page("webhook_secret_remove", webhook.pk) in body

    def test_saving_keeps_the_secret_and_the_patterns_that_no_box_offers(
        self, client, owner, workspace, data
    ):
        webhook = make_webhook(workspace, secret=SECRET, patterns=("*",))
        webhook.subscriptions.create(pattern="gone.forgotten")
        shown = text(client.get(page("webhook_change", webhook.pk)))
        assert re.search(r'value="gone.forgotten" id="[^"]+" checked', shown)
        client.post(
            page("webhook_change", webhook.pk),
            {**data, "name": "ERP", "secret": "ignored", "events": ["*", "gone.forgotten"]},
        )
        webhook = Webhook.objects.get()
        assert (webhook.name, webhook.secret, webhook.patterns) == ("ERP", SECRET, ["*", "gone.forgotten"])

    def test_events_are_replaced(self, client, owner, workspace, data):
        webhook = make_webhook(workspace)
        client.post(page("webhook_change", webhook.pk), data)
        assert webhook.patterns == data["events"]

    def test_status_off_and_on_goes_through_the_actions(self, client, owner, workspace, data):
        webhook = make_webhook(workspace)
        off = {key: value for key, value in data.items() if key != "is_active"}
        client.post(page("webhook_change", webhook.pk), off)
        assert not Webhook.objects.get().is_active
        WebhookState.objects.create(webhook=webhook, disabled_at=timezone.now(), disabled_because="410")
        client.post(page("webhook_change", webhook.pk), data)
        assert Webhook.objects.get().is_active
        assert WebhookState.objects.get().disabled_at is None
        messages = [entry.change_message for entry in LogEntry.objects.order_by("pk")]
        assert [message for message in messages if "ctivated" in message] == ["Deactivated.", "Activated."]
        assert not any("Status" in message for message in messages)

    def test_it_says_why_the_webhook_was_switched_off(self, client, owner, workspace):
        webhook = make_webhook(workspace, is_active=False)
        assert "Switched off at" not in text(client.get(page("webhook_change", webhook.pk)))
        WebhookState.objects.create(
            webhook=webhook, disabled_at=timezone.now(), disabled_because=f"410 {SCRIPT}"
        )
        body = text(client.get(page("webhook_change", webhook.pk)))
        assert re.search("Switched off at [0-9:]+: 410 &lt;script&gt;", body)

    def test_saving_without_a_change_writes_nothing(self, client, owner, workspace, data):
        webhook = make_webhook(workspace, callback_url=data["callback_url"], patterns=data["events"])
        client.post(page("webhook_change", webhook.pk), data)
        assert Webhook.objects.get().version == webhook.version
        assert not LogEntry.objects.exists()

    def test_who_may_only_look_sees_values_and_cannot_post(self, client, workspace, data):
        webhook = make_webhook(workspace, patterns=("*",))
        client.force_login(make_user("vera", role="viewer", workspace=workspace))
        body = text(client.get(page("webhook_change", webhook.pk)))
        assert "All events" in body
        assert 'name="events"' not in body
        assert page("webhook_secret", webhook.pk) not in body
        assert client.post(page("webhook_change", webhook.pk), data).status_code == 403
        assert client.post(page("webhook_secret", webhook.pk)).status_code == 403
        assert client.post(page("webhook_secret_remove", webhook.pk)).status_code == 403
        assert client.post(page("webhook_delete", webhook.pk), {"post": "yes"}).status_code == 403

    def test_delete_is_soft_and_named_only_once_in_the_log(
        self, client, owner, workspace, django_assert_max_num_queries
    ):
        webhook = make_webhook(workspace)
        for _ in range(3):
            make_delivery(webhook)
        assert "demo.happened" not in text(client.get(page("webhook_delete", webhook.pk)))
        client.post(page("webhook_delete", webhook.pk), {"post": "yes"})
        assert not Webhook.objects.exists()
        assert Webhook.with_deleted.get().deleted_at is not None
        assert Delivery.objects.count() == 3
        assert LogEntry.objects.count() == 1
        assert client.get(page("webhook_change", webhook.pk)).status_code == 404

    def test_deleting_the_selected_is_soft_too(self, client, owner, workspace):
        webhook = make_webhook(workspace)
        client.post(
            page("webhook_changelist"),
            {"action": "delete_selected", "_selected_action": [webhook.pk], "post": "yes"},
        )
        assert Webhook.with_deleted.get().deleted_at is not None


class TestSecret:
    def test_a_generated_secret_is_shown_once(self, client, owner, workspace):
        webhook = make_webhook(workspace, secret=SECRET)
        response = client.post(page("webhook_secret", webhook.pk), {"secret": ""})
        secret = Webhook.objects.get().secret
        assert response.status_code == 200
        assert secret.startswith("whsec_")
        # The admin writes the first letter of a message large.
        assert text(response).count(secret.removeprefix("whsec_")) == 1
        assert "messages" not in response.cookies  # where it would not stand in plain text
        assert "no-store" in response["Cache-Control"]
        assert secret not in str(response.cookies)
        assert secret not in str(client.session.items())
        for address in (page("webhook_change", webhook.pk), page("webhook_secret", webhook.pk)):
            assert secret not in text(client.get(address))

    def test_a_chosen_secret_replaces_the_old_and_is_shown_nowhere(self, client, owner, workspace):
        webhook = make_webhook(workspace)
        response = client.post(page("webhook_secret", webhook.pk), {"secret": " n3w "}, follow=True)
        assert Webhook.objects.get().secret == " n3w "
        assert "n3w" not in text(response)
        assert "n3w" not in str(response.cookies)

    def test_a_secret_that_cannot_sign_is_an_error(self, client, owner, workspace):
        webhook = make_webhook(workspace, secret=SECRET)
        response = client.post(page("webhook_secret", webhook.pk), {"secret": "whsec_%%%"})
        assert list(response.context["form"].errors) == ["secret"]
        assert Webhook.objects.get().secret == SECRET

    def test_remove_asks_first(self, client, owner, workspace):
        webhook = make_webhook(workspace, secret=SECRET)
        client.get(page("webhook_secret_remove", webhook.pk))
        assert Webhook.objects.get().has_secret
        client.post(page("webhook_secret_remove", webhook.pk))
        assert not Webhook.objects.get().has_secret

    def test_the_log_and_its_page_hold_no_secret(self, client, owner, data):
        client.post(page("webhook_add"), data)
        webhook = Webhook.objects.get()
        client.post(page("webhook_secret", webhook.pk), {"secret": "0ther"})
        assert LogEntry.objects.count() == 2
        history = text(client.get(page("webhook_history", webhook.pk)))
        rows = " ".join(f"{entry.change_message}{entry.object_repr}" for entry in LogEntry.objects.all())
        for secret in (SECRET, "0ther", "fernet:"):
            assert secret not in history
            assert secret not in rows

    @pytest.mark.parametrize("name", ["add", "rotate"])
    @pytest.mark.parametrize(
        ("deep", "frame"),
        [
            ("webhooks.fields.encrypted", "get_prep_value"),  # in the database layer
            ("django.forms.CharField.validate", "_clean_fields"),  # in the form
        ],
    )
    def test_an_error_report_holds_no_secret(
        self, client, owner, workspace, data, name, deep, frame, monkeypatch, error_reports
    ):
        def broken(*arguments):
            if arguments[-1] == SECRET:
                raise RuntimeError("broken")

        address = page("webhook_add") if name == "add" else page("webhook_secret", make_webhook(workspace).pk)
        # Deep down, where every frame holds the value.
        monkeypatch.setattr(deep, broken)
        client.raise_request_exception = False
        response = client.post(address, data)
        assert response.status_code == 500
        assert "broken" in error_reports[0]
        assert frame in error_reports[0]
        assert "s3cret" not in error_reports[0]


class TestDeliveries:
    def test_the_list_says_attempts_and_what_comes_next(self, client, owner, workspace):
        webhook = make_webhook(workspace, is_active=False, max_attempts=8)
        make_delivery(webhook, status="pending", attempt_count=5, attempts_before=2)
        body = text(client.get(page("delivery_changelist")))
        assert "3/8" in body
        assert "waiting: webhook is inactive" in body

    def test_tabs_and_webhook_narrow_the_list(self, client, owner, workspace):
        first, second = make_webhook(workspace), make_webhook(workspace, name="ERP")
        kept = make_delivery(first, status="failed", ended_because="exhausted")
        make_delivery(first)
        make_delivery(second, status="failed", ended_because="exhausted")
        query = {"webhook__id__exact": first.pk, "status__exact": "failed"}
        response = client.get(page("delivery_changelist", query=query))
        assert list(response.context["cl"].result_list) == [kept]
        tabs = response.context["tabs"]
        assert [tab["label"] for tab in tabs] == ["All", "Pending", "Succeeded", "Failed", "Cancelled"]
        assert [tab["label"] for tab in tabs if tab["selected"]] == ["Failed"]
        assert all(f"webhook__id__exact={first.pk}" in tab["url"] for tab in tabs)

    def test_nothing_is_added_changed_or_deleted(self, client, owner, workspace):
        delivery = make_delivery(make_webhook(workspace))
        for name, pk in (("delivery", delivery.pk), ("event", delivery.event_id)):
            assert client.get(page(f"{name}_add")).status_code == 403
            assert client.post(page(f"{name}_change", pk), {"status": "failed"}).status_code == 403
            assert client.post(page(f"{name}_delete", pk), {"post": "yes"}).status_code == 403

    def test_the_page_shows_every_attempt_newest_first(self, client, owner, workspace):
        webhook = make_webhook(workspace)
        delivery = make_delivery(webhook, attempt={"outcome": "transient", "status_code": 503})
        sent = encoding.encode_json(delivery.event.envelope)
        Attempt.objects.create(
            delivery=delivery,
            number=2,
            started_at=timezone.now(),
            duration_ms=34,
            outcome="success",
            status_code=200,
            request_method="POST",
            request_url="https://example.com/hook",
            request_headers={"X-Signature": "abc123"},
            request_body_sha256=_sha256(sent),
            response_headers={"Server": "unit"},
            response_body="thanks",
            response_truncated=True,
        )
        body = text(client.get(page("delivery_change", delivery.pk)))
        assert body.index("Attempt 2") < body.index("Attempt 1")
        for part in ("abc123", "thanks", "only its beginning", "34 ms", "&quot;data&quot;:{&quot;a&quot;:1}"):
            assert part in body, part

    def test_redeliver(self, client, owner, workspace):
        delivery = make_delivery(make_webhook(workspace), status="failed", ended_because="exhausted")
        address = page("delivery_redeliver", delivery.pk)
        assert address in text(client.get(page("delivery_change", delivery.pk)))
        assert client.get(address).status_code == 405
        assert client.post(address).status_code == 302
        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempts_made) == ("pending", 0)
        assert address not in text(client.get(page("delivery_change", delivery.pk)))

    def test_redeliver_selected(self, client, owner, workspace):
        webhook = make_webhook(workspace)
        chosen, left = make_delivery(webhook), make_delivery(webhook)
        client.post(
            page("delivery_changelist"), {"action": "redeliver_selected", "_selected_action": [chosen.pk]}
        )
        assert Delivery.objects.get(pk=chosen.pk).status == "pending"
        assert Delivery.objects.get(pk=left.pk).status == "succeeded"

    def test_who_may_only_look_cannot_redeliver(self, client, workspace):
        delivery = make_delivery(make_webhook(workspace))
        client.force_login(make_user("vera", role="viewer", workspace=workspace))
        address = page("delivery_redeliver", delivery.pk)
        assert address not in text(client.get(page("delivery_change", delivery.pk)))
        assert client.post(address).status_code == 403
        assert "redeliver_selected" not in text(client.get(page("delivery_changelist")))

    def test_a_deleted_webhooks_delivery_is_shown_and_not_redelivered(self, client, owner, workspace):
        webhook = make_webhook(workspace)
        delivery = make_delivery(webhook)
        Webhook.objects.update(deleted_at=timezone.now())
        body = text(client.get(page("delivery_change", delivery.pk)))
        assert "CRM" in body
        assert page("webhook_change", webhook.pk) not in body
        assert page("delivery_redeliver", delivery.pk) not in body

    def test_what_comes_from_outside_is_inert(self, client, owner, workspace):
        webhook = make_webhook(workspace, name=SCRIPT, callback_url=f"https://example.com/?{SCRIPT}")
        delivery = make_delivery(
            webhook,
            data='{"a":"<script>alert(1)</script>"}',
            attempt={
                "response_body": SCRIPT,
                "response_headers": {SCRIPT: SCRIPT},
                "error": SCRIPT,
                "request_headers": {SCRIPT: SCRIPT},
            },
        )
        for address in (
            page("webhook_changelist"),
            page("webhook_change", webhook.pk),
            page("webhook_delete", webhook.pk),
            page("webhook_secret", webhook.pk),
            page("delivery_changelist", query={"webhook__id__exact": webhook.pk}),
            page("delivery_change", delivery.pk),
            page("event_change", delivery.event_id),
        ):
            body = text(client.get(address))
            assert SCRIPT not in body, address
            assert "&lt;script&gt;" in body, address


class TestEvents:
    def test_list_and_page(self, client, owner, workspace):
        delivery = make_delivery(make_webhook(workspace))
        assert "demo.happened" in text(client.get(page("event_changelist")))
        body = text(client.get(page("event_change", delivery.event_id)))
        assert "&quot;a&quot;: 1" in body
        assert page("delivery_change", delivery.pk) in body

    def test_data_that_cannot_be_parsed_is_shown_as_it_is(self, client, owner, workspace):
        delivery = make_delivery(make_webhook(workspace), data="[" * 100_000)
        assert client.get(page("event_change", delivery.event_id)).status_code == 200


def _grouped_names():
    nouns = dict.fromkeys(event_type.noun for event_type in catalogue.all())
    return [t.name for noun in nouns for t in catalogue.all() if t.noun == noun]


def _sha256(body):
    return hashlib.sha256(body).hexdigest()


def test_the_admins_shortcut_leads_nowhere(client, owner, workspace):
    webhook = make_webhook(workspace)
    kind = ContentType.objects.get_for_model(Webhook).pk
    answers = [client.get(f"/admin/r/{kind}/{pk}/") for pk in (webhook.pk, webhook.pk + 999)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content
