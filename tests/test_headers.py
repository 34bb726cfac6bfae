"""Headers and Authorization of a webhook: which are taken, how they are shown, what is sent and recorded."""

import base64
from datetime import datetime, timezone

import pytest
from django.core.exceptions import ValidationError

from tests.factories import make_webhook, make_workspace
from tests.sockets import serving
from webhooks import headers
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.exceptions import InvalidRequest, UndecryptableSecret
from webhooks.headers import MASK
from webhooks.models import Attempt, Delivery, Webhook
from webhooks.origin import is_same, origin
from webhooks.request import USER_AGENT, build_request

KEY = "correct-horse-battery"
OURS = [
    "X-Signature", "X-Signature-Next", "webhook-id", "webhook-timestamp", "webhook-signature", "webhook-later",
    "X-Webhook-Event", "X-Webhook-Delivery", "X-Webhook-Attempt", "X-Webhook-Anything", "User-Agent",
    "Content-Type", "Content-Length", "Content-Encoding", "Host", "Transfer-Encoding", "Connection", "Keep-Alive",
    "Authorization", "Cookie", "Expect", "TE", "Trailer", "Upgrade", "Proxy-Authorization", "Proxy-Connection",
    "Accept-Encoding", "HTTP2-Settings",
]  # fmt: skip


class TestRules:
    @pytest.mark.parametrize("name", OURS)
    @pytest.mark.parametrize("change", [str, str.lower, str.upper, lambda name: name.replace("-", "_")])
    def test_a_reserved_name_is_refused_in_any_case(self, name, change):
        assert "cannot be changed" in headers.name_error(change(name))

    @pytest.mark.parametrize(
        "name", ["X-Api-Key", "Accept", "x.y", "~!#$%&'*+^`|", "1", "Webhooks", "X-Webhook"]
    )
    def test_any_other_token_is_a_name(self, name):
        assert headers.name_error(name) is None

    @pytest.mark.parametrize(
        "name", ["", "X Y", " X", "X ", "X:", "X\r\nY", "X\n", "\x00", "Ключ", "X\tY", "a(b)", "x" * 129]
    )
    def test_what_is_no_token_is_refused_unquoted(self, name):
        message = headers.name_error(name)
        assert "letters, digits and hyphens" in message
        assert not name.strip() or name not in message

    @pytest.mark.parametrize("value", ["a", "a b", "a\tb", "!~", "x" * 4096, "fernet:abc", '{"a": "b"}'])
    def test_visible_ascii_with_spaces_and_tabs_inside_is_a_value(self, value):
        assert headers.value_error(value) is None

    @pytest.mark.parametrize(
        "value",
        ["", " ", " a", "a ", "\ta", "a\t", "a\rb", "a\nb", "a\r\nX: y", "a\n", "a\x00b", "\x7f", "é", "日", MASK,
         "x" * 4097],
    )  # fmt: skip
    def test_any_other_value_is_refused_unquoted(self, value):
        message = headers.error({"X-Key": value})
        assert message.startswith("The value of X-Key ")
        assert len(value.strip()) < 3 or value not in message

    def test_there_is_a_bound_on_their_number_and_size(self):
        assert headers.error({f"X-{number}": "v" for number in range(20)}) is None
        assert "at most 20" in headers.error({f"X-{number}": "v" for number in range(21)})
        four = {f"X-{number}": "v" * (4096 - 7) for number in range(4)}
        assert sum(len(name) + len(value) + 4 for name, value in four.items()) == 16 * 1024
        assert headers.error(four) is None
        assert "16 KB" in headers.error({**four, "Y": "v"})

    def test_the_same_name_in_another_case_is_refused(self):
        assert "twice" in headers.error({"X-Key": "a", "x-key": "b"})
        assert "twice" in headers.error({"x-key": "a", "X-Key": "b"})

    @pytest.mark.parametrize(
        "value", ["Bearer abc", "bearer 1|abc:~/+", "Basic dTpw", "basic Og==", headers.basic("é", "p:w")]
    )
    def test_bearer_and_basic_are_authorizations(self, value):
        assert headers.authorization_error(value) is None

    @pytest.mark.parametrize(
        "value",
        ["abc", "Bearer", "Bearer ", "Bearer a b", "Bearer a\r\nX: y", "Bearer a\n", "Bearer é", "Digest a=b",
         "Basic !", "Basic dXNlcg==", "Basic dTp", f"Bearer {MASK}", "Bearer " + "x" * 4096, "Negotiate abc"],
    )  # fmt: skip
    def test_nothing_else_is_an_authorization(self, value):
        message = headers.authorization_error(value)
        assert message
        assert len(value) < 8 or value not in message

    def test_basic_is_what_rfc_7617_says(self):
        assert headers.basic("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        assert base64.b64decode(headers.basic("test", "123£").split()[1]) == "test:123£".encode()

    def test_a_mask_keeps_and_anything_else_replaces(self):
        stored = {"X-A": "1", "X-B": "2", "X-C": "3"}
        assert headers.merged({"x-a": MASK, "X-B": "new"}, stored) == {"x-a": "1", "X-B": "new"}
        with pytest.raises(ValueError, match="X-D has no stored value"):
            headers.merged({"X-D": MASK}, stored)

    def test_a_mask_tells_nothing_but_the_kind(self):
        assert headers.masked_authorization(f"bearer {KEY}") == f"Bearer {MASK}"
        assert headers.masked_authorization("Basic dTpw") == f"Basic {MASK}"
        assert headers.masked_authorization(KEY) == MASK

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("https://u:p@Example.com/a?b=c", "https://example.com"),
            ("https://example.com:443/", "https://example.com"),
            ("http://example.com:443/", "http://example.com:443"),
            ("http://[::1]:80/x", "http://[::1]"),
            ("https://example.com:99999/", ""),
            ("nonsense", ""),
        ],
    )
    def test_an_origin_is_scheme_host_and_port(self, url, expected):
        assert origin(url) == expected

    def test_only_what_is_beyond_doubt_is_the_same_server(self):
        assert is_same("https://example.com/a", "https://EXAMPLE.com:443/b")
        assert not is_same("https://example.com/", "http://example.com/")
        assert not is_same("https://example.com/", "https://example.com:8443/")
        assert not is_same("nonsense", "nonsense")


@pytest.fixture
def webhook(db):
    return make_webhook(
        make_workspace(),
        callback_url="https://example.com/a",
        headers={"X-Api-Key": KEY, "X-Team": "crm"},
        authorization=f"Bearer {KEY}",
    )


class TestStored:
    def test_they_are_plain_in_python_and_nowhere_else(self, webhook):
        stored = Webhook.objects.get()
        assert stored.headers == {"X-Api-Key": KEY, "X-Team": "crm"}
        assert stored.authorization == f"Bearer {KEY}"
        row = Webhook.objects.values("custom_headers", "authorization").get()
        assert all(value.startswith("fernet:") for value in row.values())
        assert stored.masked_headers == {"X-Api-Key": MASK, "X-Team": MASK}
        assert stored.masked_authorization == f"Bearer {MASK}"

    def test_unreadable_values_are_bare_masks_and_can_be_kept_replaced_or_removed(self, webhook, settings):
        settings.SECRET_KEY = "another"
        stored = Webhook.objects.get()
        assert stored.masked_headers == {MASK: MASK}
        assert stored.masked_authorization == MASK
        assert stored.credentials_from({"headers": {MASK: MASK}, "authorization": MASK}) == {}
        assert stored.credentials_from({"headers": {}, "authorization": ""}) == {
            "custom_headers": "",
            "authorization": "",
        }
        assert stored.credentials_from({"headers": {"X-New": "1"}}) == {"custom_headers": '{"X-New":"1"}'}
        with pytest.raises(ValidationError, match="no stored value"):
            stored.credentials_from({"headers": {"X-Api-Key": MASK}})

    def test_clean_checks_what_was_assigned_and_reads_nothing_else(self, webhook, settings):
        webhook.headers, webhook.authorization = {"Host": "a"}, "abc"
        with pytest.raises(ValidationError) as caught:
            webhook.full_clean()
        assert set(caught.value.message_dict) == {"headers", "authorization"}
        settings.SECRET_KEY = "another"
        Webhook.objects.get().full_clean()

    def test_masks_keep_each_value_and_say_so_when_there_is_none(self, webhook):
        shown = {"headers": webhook.masked_headers, "authorization": webhook.masked_authorization}
        assert webhook.credentials_from(shown) == {}
        some = webhook.credentials_from({"headers": {"X-Api-Key": MASK}})
        assert headers.from_text(some["custom_headers"]) == {"X-Api-Key": KEY}
        for changes, field in (
            ({"headers": {"X-Other": MASK}}, "headers"),
            ({"headers": {"X-Api-Key": f"{MASK}{KEY}"}}, "headers"),
        ):
            with pytest.raises(ValidationError) as caught:
                webhook.credentials_from(changes)
            assert list(caught.value.message_dict) == [field]
            assert KEY not in str(caught.value)
        with pytest.raises(ValidationError, match="no stored Authorization"):
            Webhook().credentials_from({"authorization": f"Bearer {MASK}"})

    @pytest.mark.parametrize(
        "url", ["http://example.com/a", "https://example.net/a", "https://example.com:8/a"]
    )
    def test_stored_ones_do_not_follow_the_url_to_another_server(self, webhook, url):
        everything = {"headers": {"X-Api-Key": "n"}, "authorization": "Bearer n"}
        for kept in (
            {},
            {"headers": {"X-Api-Key": "n"}},
            {"authorization": ""},
            {**everything, "headers": {"X-Api-Key": "n", "X-Team": MASK}},
            {**everything, "authorization": f"Bearer {MASK}"},
        ):
            with pytest.raises(ValidationError) as caught:
                webhook.credentials_from({"callback_url": url, **kept})
            assert list(caught.value.message_dict) == ["callback_url"]
        webhook.credentials_from({"callback_url": url, **everything})
        webhook.credentials_from({"callback_url": url, "headers": {}, "authorization": ""})
        webhook.credentials_from({"callback_url": "https://EXAMPLE.com:443/b?c"})


def request_for(webhook):
    event = emit("order.created", workspace=webhook.workspace, data={})
    return build_request(webhook, event, 1, datetime.now(timezone.utc), delivery_id=7)


class TestSent:
    def test_ours_win_and_the_rest_is_added(self, webhook):
        webhook.headers = {**webhook.headers, "accept": "text/plain"}
        request = request_for(webhook)
        assert request.headers["X-Api-Key"] == KEY
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        assert request.headers["Accept"] == "text/plain"
        assert request.headers["User-Agent"] == USER_AGENT
        assert request.masked_headers == {"x-api-key", "x-team", "accept", "authorization"}
        assert request.neighbours == webhook.workspace_id

    def test_without_any_nothing_is_masked(self, webhook):
        webhook.headers, webhook.authorization = {}, ""
        request = request_for(webhook)
        assert request.masked_headers == set()
        assert request.headers["Accept"] == "*/*"
        assert "Authorization" not in request.headers

    @pytest.mark.parametrize(
        "written",
        [
            {"custom_headers": '{"X-Signature":"forged"}'},
            {"custom_headers": '{"X_Webhook_Event":"forged"}'},
            {"custom_headers": '{"X":"a\\r\\nY: b"}'},
            {"custom_headers": '{"X":1}'},
            {"custom_headers": "[]"},
            {"custom_headers": "nonsense"},
            {"authorization": "Bearer a\r\nX: y"},
            {"authorization": KEY},
        ],
    )
    def test_a_row_written_past_the_rules_is_refused(self, webhook, written):
        Webhook.objects.update(**written)
        with pytest.raises(InvalidRequest) as caught:
            request_for(Webhook.objects.get())
        assert caught.value.kind == "bad_request"
        assert KEY not in str(caught.value)

    def test_an_unreadable_value_is_never_left_out(self, webhook, settings):
        settings.SECRET_KEY = "another"
        with pytest.raises(UndecryptableSecret):
            request_for(Webhook.objects.get())

    def test_the_webhooks_own_timeouts_are_sent_along_within_the_projects(self, webhook, settings):
        assert (request_for(webhook).timeout, request_for(webhook).connect_timeout) == (None, None)
        webhook.timeout, webhook.connect_timeout = 2.5, 1
        assert (request_for(webhook).timeout, request_for(webhook).connect_timeout) == (2.5, 1)
        webhook.timeout, webhook.connect_timeout = 1e9, -1
        assert (request_for(webhook).timeout, request_for(webhook).connect_timeout) == (None, None)


@pytest.mark.django_db(transaction=True)
def test_the_receiver_gets_the_values_and_the_record_gets_masks(receiver):
    webhook = make_webhook(
        make_workspace(),
        callback_url=receiver.url,
        headers={"X-Api-Key": KEY},
        authorization=headers.basic("user", KEY),
    )
    emit("order.created", workspace=webhook.workspace, data={})
    assert drain(linger=0) == 1
    [request] = receiver.requests
    assert request.headers["X-Api-Key"] == KEY
    assert base64.b64decode(request.headers["Authorization"].split()[1]) == f"user:{KEY}".encode()
    recorded = Attempt.objects.get().request_headers
    assert (recorded["X-Api-Key"], recorded["Authorization"]) == (MASK, MASK)
    assert recorded["X-Webhook-Event"] == "order.created"


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_echoes_them_does_not_get_them_recorded(receiver):
    webhook = make_webhook(
        make_workspace(),
        callback_url=receiver.url,
        headers={"X-Api-Key": KEY},
        authorization="Bearer 12345678",
    )
    receiver.answer = lambda request: (200, {"X-Echo": KEY}, str(request.headers).encode())
    emit("order.created", workspace=webhook.workspace, data={})
    drain(linger=0)
    attempt = Attempt.objects.get()
    assert "X-Api-Key: ••••" in attempt.response_body
    assert attempt.response_headers["X-Echo"] == MASK
    assert "12345678" not in attempt.response_body


@pytest.mark.django_db(transaction=True)
def test_nor_does_one_that_echoes_them_in_its_status_line():
    def answer(connection, server):
        server.read_request(connection)
        connection.sendall(f"HTTP/1.1 401 Bad token {KEY}\r\nContent-Length: 0\r\n\r\n".encode())

    with serving(answer) as server:
        webhook = make_webhook(make_workspace(), callback_url=server.url, authorization=f"Bearer {KEY}")
        emit("order.created", workspace=webhook.workspace, data={})
        drain(linger=0)
    assert Attempt.objects.get().error == f"The receiver answered 401 Bad token {MASK}."


@pytest.mark.django_db(transaction=True)
def test_a_forged_row_ends_its_delivery_with_the_reason(receiver):
    webhook = make_webhook(make_workspace(), callback_url=receiver.url)
    Webhook.objects.update(custom_headers='{"Host":"internal"}')
    emit("order.created", workspace=webhook.workspace, data={})
    drain(linger=0)
    assert receiver.requests == []
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.error_kind) == ("permanent", "bad_request")
    assert "The header Host is set for you" in attempt.error
    assert Delivery.objects.get().status == "failed"
