"""Whatever a relay answers, nothing breaks, and bytes count as taken only where it said so of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.chain.endpoints import Endpoint
from seawall.chain.relays.form import RelayForm
from seawall.chain.relays.settings import Dialect, RelaySettings
from seawall.chain.writes import PrivateTerms, SignedWrite, WriteAnswer
from seawall.native import keccak256
from seawall.primitives.levels import WriteKind
from seawall.primitives.units import Hash, hex_text

ENDPOINT = Endpoint.parse("https://relay.example/v1/verysecretkey")
RAW = b"\x02 signed"
HASH = Hash(keccak256(RAW))
OTHER = "0x" + "ab" * 32
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=80) | st.just(OTHER),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "result", "error", "code", "message", "bundleHash"]), inner)
    ),
    max_leaves=8,
)


def form(is_bundle: bool) -> RelayForm:
    return RelayForm(RelaySettings("relay", Dialect.FLASHBOTS, (ENDPOINT,), is_bundle), None)


def write(is_bundle: bool) -> SignedWrite:
    return SignedWrite(WriteKind.PLAN, HASH, RAW, 2**40, terms=PrivateTerms("relay", is_bundle, 1, 1, "name"))


@given(st.binary(max_size=60) | values.map(lambda tree: json.dumps(tree).encode()), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_answer_is_judged_and_tells_no_secret(body: bytes, is_bundle: bool) -> None:
    (result,) = form(is_bundle).results(ENDPOINT, [write(is_bundle)], 200, body)
    assert result.hash == HASH
    assert "verysecretkey" not in result.message
    if result.answer is WriteAnswer.ACCEPTED:
        assert is_bundle
        assert OTHER.encode() in body


@pytest.mark.parametrize(
    ("is_bundle", "result", "taken"),
    [
        (True, {"bundleHash": OTHER}, True),
        (True, OTHER, True),
        (True, None, False),
        (True, {"bundleHash": "0x12"}, False),
        (False, hex_text(HASH), True),
        (False, {"txHash": HASH.hex()}, True),
        (False, OTHER, False),
        (False, True, False),
    ],
)
def test_private_transaction_is_taken_by_its_own_hash_and_a_bundle_by_any(
    is_bundle: bool, result: object, taken: bool
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
    (found,) = form(is_bundle).results(ENDPOINT, [write(is_bundle)], 200, body)
    assert (found.answer is WriteAnswer.ACCEPTED) is taken


def test_answer_to_another_request_is_no_acceptance() -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "result": OTHER}).encode()
    (found,) = form(True).results(ENDPOINT, [write(True)], 200, body)
    assert found.answer is WriteAnswer.UNKNOWN
