"""`[[safes]]` of the configuration: what is read, and what is refused with its key."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from seawall.chain.addresses import AddressBook
from seawall.primitives.errors import ConfigError
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address
from seawall.protocols.safe.known import FALLBACK_HANDLER
from seawall.runtime.configuration.safes import SAFE_KEYS, read_safe
from seawall.runtime.configuration.settings import SafeSettings
from seawall.runtime.configuration.tables import Table

SAFE = "0x" + "11" * 20
GOOD: Mapping[str, object] = {
    "name": "vault",
    "chain_id": 31337,
    "address": SAFE,
    "signer": "main",
    "recipients": [SAFE],
    "positions": [{"token": "native", "cap": "1.5"}],
}


def read(**changes: object) -> SafeSettings:
    content = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return read_safe(Table(content, "safes[0]", SAFE_KEYS), {31337: AddressBook(31337)}, frozenset({"main"}))


def test_safe_is_read_with_the_defaults_of_a_fresh_one() -> None:
    found = read()
    policy = found.policy
    assert (found.signer, policy.name, policy.safe) == ("main", "vault", Address(b"\x11" * 20))
    assert (policy.threshold_min, policy.modules, policy.guard) == (1, frozenset(), ZERO_ADDRESS)
    assert (policy.fallback_handler, policy.rule_changes, policy.any_target) == (
        FALLBACK_HANDLER,
        False,
        False,
    )
    assert policy.position_caps == {NATIVE: 15 * 10**17}


def test_listed_calls_are_read_as_a_signers_are() -> None:
    found = read(targets=[{"target": SAFE, "calls": ["transfer(address,uint256)"]}])
    assert found.policy.targets[0].selectors == frozenset({bytes.fromhex("a9059cbb")})


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"chain_id": 1}, "safes[0].chain_id", "not configured"),
        ({"signer": "nobody"}, "safes[0].signer", "no signer 'nobody'"),
        ({"address": "0x12"}, "safes[0].address", "address"),
        ({"threshold_min": 0}, "safes[0].threshold_min", "0"),
        ({"recipients": None}, "safes[0].targets", "may call nothing"),
        ({"any_target": True}, "safes[0].any_target", "opens what"),
        ({"positions": [{"token": "native", "cap": "1"}] * 2}, "safes[0].positions[1].token", "already"),
        ({"owners": []}, "safes[0].owners", "not known"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(changes: dict[str, object], where: str, what: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(**changes)
    assert refusal.value.where == where
    assert what in refusal.value.what
