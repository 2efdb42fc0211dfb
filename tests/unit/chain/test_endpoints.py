"""Addresses are parsed strictly and their secrets stay inside."""

from __future__ import annotations

import pytest

from seawall.chain.endpoints import MESSAGE_CHARS_MAX, Endpoint
from seawall.primitives.errors import ConfigError


def test_address_is_taken_apart() -> None:
    endpoint = Endpoint.parse("https://user:pa%40ss@node.example/v3/key?x=1")
    assert (endpoint.host, endpoint.port, endpoint.target) == ("node.example", 443, "/v3/key?x=1")
    assert endpoint.credentials == "Basic dXNlcjpwYUBzcw=="
    assert endpoint.label == "https://node.example:443"


def test_ipv6_label_is_bracketed() -> None:
    assert Endpoint.parse("http://[::1]:8545").label == "http://[::1]:8545"


def test_secrets_are_not_in_the_repr_nor_in_scrubbed_texts() -> None:
    endpoint = Endpoint.parse(
        "https://someuser:longpassword@node.example/v3/0123456789abcdef?apikey=sesame123"
    )
    said = f"cannot reach {endpoint.url} (sesame123)"
    for text in (repr(endpoint), endpoint.scrub(said), endpoint.scrub("0123456789abcdef is over its limit")):
        assert not any(secret in text for secret in ("longpassword", "0123456789abcdef", "sesame123"))


def test_scrubbed_text_is_one_bounded_line() -> None:
    text = Endpoint.parse("http://node.example").scrub("a\nb\x00" + "c" * 10_000)
    assert text.isprintable()
    assert len(text) == MESSAGE_CHARS_MAX


@pytest.mark.parametrize(
    "url",
    [
        "", "node.example", "ftp://node.example", "http://", "http:///path", "http://node.example:99999",
        "http://node.example/sec ret", "http://node.example/\r\nHost: x", "http://node.example/#part", "ws://node.example",
        "http://[::1/secret",
    ],
)  # fmt: skip
def test_unusable_address_is_a_config_error_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Endpoint.parse(url)
    assert "sec" not in str(caught.value).replace("second", "")
