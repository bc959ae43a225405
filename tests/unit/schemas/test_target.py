"""Request targets and service addresses, rule by rule."""

from __future__ import annotations

import pytest

from schemas.faults import BadMessage, Kind
from schemas.target import MAX_BYTES, check_address, check_decoded, parse_service_target


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("people", "must begin with '/'"),
        ("/" + "a" * MAX_BYTES, "at most"),
        ("/a b", "percent-encoded in UTF-8"),
        ("/a#b", "a fragment not at all"),
        ("/\u00f1", "percent-encoded in UTF-8"),
        ("/%", "no '%' with two"),
        ("/%4", "no '%' with two"),
        ("/a?x=%zz", "no '%' with two"),
        ("/%ff", "not UTF-8"),
        ("/%0a", "control character U\\+000A"),
        ("/%250d", "control character U\\+000D"),
        ("/%5c", "backslash"),
        ("/a/../b", "dot segment"),
        ("/%2e%2e/b", "dot segment"),
        ("/%252e%252e/b", "dot segment"),
        ("/..;x=1/b", "dot segment"),
        ("/%ef%bc%8e%ef%bc%8e/b", "dot segment"),
    ],
)
def test_a_target_that_is_refused_says_why(target: str, words: str) -> None:
    with pytest.raises(BadMessage, match=words) as caught:
        parse_service_target(target)
    assert caught.value.kind is Kind.BAD_REQUEST


@pytest.mark.parametrize("text", ["/a.b/c..d", "/a%2Fb", "/a;v=1", "", "?x=..", "/%C3%B1"])
def test_a_plain_target_is_taken_as_it_was_sent(text: str) -> None:
    assert parse_service_target(text).raw == text


@pytest.mark.parametrize("text", ["\x7f", "a\u0085b", "\uff0e\uff0e/a", ".\u200b./a"])
def test_a_decoded_segment_is_looked_at_alike(text: str) -> None:
    with pytest.raises(BadMessage):
        check_decoded(text)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host/", "http:// or https://"),
        ("host/a", "http:// or https://"),
        ("http://ana:pin@host/", "no user name"),
        ("http:///a", "no host"),
        ("http://host:port/a", "no host"),
        ("http://host/a b", "percent-encoded"),
        ("http://host/a#b", "fragment"),
        ("http://host/%2e%2e/a", "dot segment"),
    ],
)
def test_an_address_that_is_refused_says_why(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_address(url)


@pytest.mark.parametrize("url", ["http://host", "https://[::1]:8443/a?b=c", "http://10.0.0.1:80/a/b"])
def test_a_plain_address_is_taken(url: str) -> None:
    check_address(url)
