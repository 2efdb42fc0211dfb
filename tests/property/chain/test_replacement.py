"""Replacements against each client's own rule, written down from its source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from seawall.chain.fees import FeeQuote
from seawall.chain.networks import NETWORKS
from seawall.chain.replacement import BLOB_RULE, RULES, Client, Fees, replacement_fees, rule_of

FEES_WEI = st.one_of(st.integers(0, 30), st.integers(0, 10**13))
Accepts = Callable[[Fees, Fees, int], bool]


@st.composite
def fees(draw: st.DrawFn) -> Fees:
    maximum = draw(FEES_WEI)
    return Fees(maximum, draw(st.integers(0, maximum)))


@st.composite
def quotes(draw: st.DrawFn) -> FeeQuote:
    wanted = draw(fees())
    return FeeQuote(
        base_fee_next_wei=draw(FEES_WEI),
        max_priority_fee_per_gas_wei=wanted.max_priority_fee_per_gas_wei,
        max_fee_per_gas_wei=wanted.max_fee_per_gas_wei,
        expected_fee_per_gas_wei=wanted.max_fee_per_gas_wei,
        ceiling_fee_per_gas_wei=wanted.max_fee_per_gas_wei,
    )


def geth(old: Fees, new: Fees, _: int) -> bool:
    """legacypool list.Add: both strictly higher, and both at least the threshold, which is rounded down."""
    pairs = _pairs(old, new)
    return all(n > o for o, n in pairs) and all(n >= o * 110 // 100 for o, n in pairs)


def reth(old: Fees, new: Fees, _: int) -> bool:
    """Underpriced if either is at or under the old one with the bump."""
    return all(n > o * 110 // 100 or (n >= o * 110 // 100 and n > o) for o, n in _pairs(old, new))


def erigon(old: Fees, new: Fees, _: int) -> bool:
    """The strict form of older releases."""
    return all(n > o * 110 // 100 for o, n in _pairs(old, new))


def nethermind(old: Fees, new: Fees, _: int) -> bool:
    """CompareReplacedTxByFee: a tenth more; with a tenth of nothing, an equal priority fee keeps the old."""
    if old.max_fee_per_gas_wei == 0:
        return True
    bump, priority_bump = old.max_fee_per_gas_wei // 10, old.max_priority_fee_per_gas_wei // 10
    if old.max_fee_per_gas_wei + bump > new.max_fee_per_gas_wei:
        return False
    difference = new.max_priority_fee_per_gas_wei - (old.max_priority_fee_per_gas_wei + priority_bump)
    return difference > 0 or (difference == 0 and bump > 0 and priority_bump > 0)


def besu(old: Fees, new: Fees, base_fee_wei: int) -> bool:
    """TransactionReplacementByFeeMarketRule at one base fee."""
    old_price, new_price = _price(old, base_fee_wei), _price(new, base_fee_wei)
    old_priority, new_priority = old_price - base_fee_wei, new_price - base_fee_wei
    if old_price * 110 <= new_price * 100:
        return new_priority >= old_priority
    return old_price == new_price and old_priority * 110 <= new_priority * 100


def anvil(old: Fees, new: Fees, _: int) -> bool:
    return new.max_fee_per_gas_wei > old.max_fee_per_gas_wei


def nitro(old: Fees, new: Fees, _: int) -> bool:
    """Nothing is replaced; bytes that are sent again must only be other bytes, and not cheaper."""
    return new != old and all(n >= o for o, n in _pairs(old, new))


def blob(old: Fees, new: Fees, _: int) -> bool:
    return all(n >= 2 * o for o, n in _pairs(old, new))


REFERENCES: Final[dict[Client, Accepts]] = {
    Client.GETH: geth,
    Client.RETH: reth,
    Client.ERIGON: erigon,
    Client.NETHERMIND: nethermind,
    Client.BESU: besu,
    Client.ANVIL: anvil,
    Client.NITRO: nitro,
}


def _pairs(old: Fees, new: Fees) -> tuple[tuple[int, int], tuple[int, int]]:
    return (
        (old.max_fee_per_gas_wei, new.max_fee_per_gas_wei),
        (old.max_priority_fee_per_gas_wei, new.max_priority_fee_per_gas_wei),
    )


def _price(one: Fees, base_fee_wei: int) -> int:
    return min(one.max_fee_per_gas_wei, base_fee_wei + one.max_priority_fee_per_gas_wei)


@given(
    client=st.sampled_from(Client),
    earlier=st.lists(fees(), min_size=1, max_size=4),
    wanted=quotes(),
    ceiling_wei=st.integers(0, 10**14),
)
def test_what_is_answered_replaces_every_earlier_one_under_the_clients_rule(
    client: Client, earlier: list[Fees], wanted: FeeQuote, ceiling_wei: int
) -> None:
    found = replacement_fees(earlier, wanted, RULES[client], ceiling_wei)
    if found is None:
        return
    assert found.max_priority_fee_per_gas_wei <= found.max_fee_per_gas_wei <= ceiling_wei
    for old in earlier:
        assert REFERENCES[client](old, found, wanted.base_fee_next_wei), (old, found)


@given(old=fees(), wanted=quotes())
def test_blob_rule_doubles_both_fields(old: Fees, wanted: FeeQuote) -> None:
    found = replacement_fees([old], wanted, BLOB_RULE, 10**15)
    assert found is not None
    assert blob(old, found, wanted.base_fee_next_wei)


@given(client=st.sampled_from(Client), old=fees(), wanted=quotes())
def test_nothing_is_answered_only_where_the_least_passes_the_ceiling(
    client: Client, old: Fees, wanted: FeeQuote
) -> None:
    modest = FeeQuote(wanted.base_fee_next_wei, 0, 0, 0, 0)
    least = replacement_fees([old], modest, RULES[client], 10**30)
    assert least is not None
    assert replacement_fees([old], wanted, RULES[client], least.max_fee_per_gas_wei) is not None
    assert replacement_fees([old], wanted, RULES[client], least.max_fee_per_gas_wei - 1) is None


@given(
    client=st.sampled_from(Client),
    old=fees(),
    other=fees(),
    wanted=quotes(),
    ceiling_wei=st.integers(0, 10**14),
)
def test_dearer_histories_and_higher_ceilings_never_answer_less(
    client: Client, old: Fees, other: Fees, wanted: FeeQuote, ceiling_wei: int
) -> None:
    alone = replacement_fees([old], wanted, RULES[client], ceiling_wei)
    both = replacement_fees([old, other], wanted, RULES[client], ceiling_wei)
    higher = replacement_fees([old], wanted, RULES[client], ceiling_wei * 2)
    if both is not None:
        assert alone is not None
        assert all(n >= o for o, n in _pairs(alone, both))
    if alone is not None:
        assert higher is not None
        assert all(n >= o for o, n in _pairs(alone, higher))


@given(wanted=quotes(), ceiling_wei=st.integers(0, 10**14))
def test_first_attempt_is_what_is_wanted_cut_by_the_ceiling(wanted: FeeQuote, ceiling_wei: int) -> None:
    found = replacement_fees([], wanted, RULES[Client.GETH], ceiling_wei)
    assert found is not None
    assert found.max_fee_per_gas_wei == min(wanted.max_fee_per_gas_wei, ceiling_wei)


def test_networks_have_the_rule_of_their_clients() -> None:
    assert rule_of(NETWORKS[1]) == RULES[Client.GETH]
    assert rule_of(NETWORKS[8_453]) == rule_of(NETWORKS[137]) == RULES[Client.GETH]
    assert rule_of(NETWORKS[138]).by_effective_price
    assert not rule_of(NETWORKS[42_161]).replaceable
