from __future__ import annotations

from dataclasses import dataclass

import pytest

from seawall.primitives.errors import ConfigError
from seawall.primitives.units import Address, address_text
from seawall.strategies.settings import parse_settings

KEY = Address(b"\x5a" * 20)


@dataclass(frozen=True, slots=True)
class Inner:
    name: str


@dataclass(frozen=True, slots=True)
class Sample:
    key: Address
    amount_wei: int
    enabled: bool = False
    pools: tuple[Address, ...] = ()
    inner: Inner = Inner("none")


def parse(**settings: object) -> Sample:
    return parse_settings(Sample, {"key": address_text(KEY), "amount_wei": 1, **settings}, "strategies.x")


def test_values_of_every_kind_are_read() -> None:
    found = parse(amount_wei="1_000", enabled=True, pools=[address_text(KEY)], inner={"name": "a"})
    assert found == Sample(KEY, 1000, True, (KEY,), Inner("a"))


@pytest.mark.parametrize(
    ("settings", "where", "what"),
    [
        ({"amonut": 1}, "strategies.x", "unknown setting 'amonut'"),
        ({"amount_wei": 1.5}, "strategies.x.amount_wei", "not a whole number"),
        ({"amount_wei": True}, "strategies.x.amount_wei", "not a whole number"),
        ({"amount_wei": "1e18"}, "strategies.x.amount_wei", "not a whole number"),
        ({"enabled": "yes"}, "strategies.x.enabled", "not true or false"),
        ({"key": 5}, "strategies.x.key", "not an address"),
        ({"key": "0x1234"}, "strategies.x.key", ""),
        ({"key": address_text(KEY)[:-1] + "b"}, "strategies.x.key", ""),
        ({"pools": address_text(KEY)}, "strategies.x.pools", "not a list"),
        ({"pools": ["x"]}, "strategies.x.pools[0]", ""),
        ({"inner": {"name": "a", "age": 1}}, "strategies.x.inner", "unknown setting 'age'"),
        ({"inner": 3}, "strategies.x.inner", "not a table"),
    ],
)
def test_unusable_value_is_refused_with_its_key(settings: dict[str, object], where: str, what: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(**settings)
    assert refused.value.where == where
    assert what in refused.value.what
    assert refused.value.fix


def test_missing_required_setting_is_named() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_settings(Sample, {"amount_wei": 1}, "strategies.x")
    assert refused.value.where == "strategies.x.key"
