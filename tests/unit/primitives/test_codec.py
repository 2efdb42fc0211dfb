"""Digests are of the canonical bytes, whichever way they are made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seawall.native import keccak256
from seawall.primitives.codec import pack, payload_digest
from seawall.primitives.units import Address
from seawall.primitives.verdicts import Payload

addresses = st.binary(min_size=20, max_size=20).map(Address)
payloads = st.builds(
    Payload,
    chain_id=st.integers(1, 2**63 - 1),
    sender=addresses,
    to=addresses,
    data=st.binary(max_size=80),
    value_wei=st.integers(0, 2**256 - 1),
    gas_limit=st.integers(21_000, 2**63 - 1),
)


@given(payloads)
def test_payload_digest_is_of_its_packed_form(payload: Payload) -> None:
    assert payload_digest(payload) == keccak256(b"seawall.payload.1" + pack(payload))
