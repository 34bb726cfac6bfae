"""Where a URL leads, and what a look-up comes to."""

import pytest

from webhooks.addresses import AddressPolicy
from webhooks.transport.names import (
    MAX_ADDRESSES,
    UNRESOLVED,
    Answer,
    Destination,
    answer_of,
    destination_of,
    resolve_entry,
)

PUBLIC = AddressPolicy()


def rows(*addresses):
    return [(2, 1, 6, "", (address, 0)) for address in addresses]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Example.com/a?b", Destination("https", "example.com", 443, False)),
        ("http://example.com:8080?x=://y", Destination("http", "example.com", 8080, False)),
        ("http://127.0.0.1/", Destination("http", "127.0.0.1", 80, True)),
        ("http://2130706433/", Destination("http", "2130706433", 80, True)),
        ("https://[2606:2800::1]:444/", Destination("https", "2606:2800::1", 444, True)),
    ],
)
def test_a_urls_destination(url, expected):
    assert destination_of(url) == expected


@pytest.mark.parametrize(
    "url", ["", "example.com", "http://", "ftp://example.com/", "http://a:b/", "http://1.2.3.999/"]
)
def test_a_url_that_leads_nowhere(url):
    with pytest.raises(ValueError, match=r"."):
        destination_of(url)


def test_only_permitted_addresses_are_left_in_their_order():
    found = rows("10.0.0.1", "2606:2800::1", "::1", "93.184.216.34", "93.184.216.34", "fe80::1%eth0")
    assert answer_of(found, PUBLIC) == Answer(("[2606:2800::1]", "93.184.216.34"))


def test_no_permitted_address_is_a_refusal_and_no_address_at_all_is_not():
    assert answer_of(rows("10.0.0.1", "not an address"), PUBLIC).error_kind == "refused_address"
    assert answer_of([], PUBLIC) == UNRESOLVED


def test_a_name_with_a_thousand_addresses_is_cut():
    found = rows(*(f"93.184.{number // 250}.{number % 250}" for number in range(1000)))
    assert len(answer_of(found, PUBLIC).addresses) == MAX_ADDRESSES == 32


def test_an_answer_in_the_form_that_libcurl_reads():
    answer = Answer(("[2606:2800::1]", "93.184.216.34"))
    entry = resolve_entry(Destination("https", "example.com", 443, False), answer)
    assert entry == "+example.com:443:[2606:2800::1],93.184.216.34"
