"""Every guard for any figures: a looser limit passes whatever a tighter one does, the margin's sign tells
whether it passed, and what cannot be measured never passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.primitives.plans import ExecutorBody, Plan, TokenDelta
from seawall.primitives.simulations import Flow, Simulation
from seawall.primitives.units import NATIVE
from seawall.protocols.sequencer import UptimeTerms
from seawall.risk.evidence import Evidence
from seawall.risk.guards.base import Comparing, Guard
from seawall.risk.guards.fees import Balance, GasPrice, GasUse
from seawall.risk.guards.flows import PositionSize, Slippage
from seawall.risk.guards.lending import HealthFactor, LoanToValue
from seawall.risk.guards.mev import MevExposure
from seawall.risk.guards.multisig import Multisig
from seawall.risk.guards.oracles import OracleDeviation, OracleStaleness, OracleTerms, SequencerUp
from seawall.risk.guards.pools import Pool, PoolKind, PriceImpact, TwapDeviation
from seawall.risk.guards.profit import MinProfit, PositionLoss
from seawall.risk.guards.tokens import Exposure, TokenList
from seawall.risk.guards.volatile import Volatile
from seawall.risk.lending import AavePool, Collateral, Comet, MorphoMarket
from seawall.risk.limits import ChainFacts, ExposureLimit, MultisigRule, OurAddresses, PriceFeed, RiskLimits
from seawall.risk.volatility import VolatilityRule
from tests.builders.messages import (
    EXECUTOR,
    FEED,
    KEY,
    LENDER,
    NOW_S,
    POOL,
    TREASURY,
    USD,
    WETH,
    candidate,
    executor_plan,
    simulation,
)

OURS = OurAddresses(frozenset({KEY, EXECUTOR, TREASURY}), WETH)
FEEDS = (PriceFeed(WETH, FEED, 1, 1), PriceFeed(USD, LENDER, 0, 0))
FACTS = ChainFacts(
    FEEDS, (USD,), (), lending=(AavePool(POOL),), multicall=POOL, wrapped_native=WETH
)  # fmt: skip
PAIR, V3 = Pool(POOL, PoolKind.V2), Pool(POOL, PoolKind.V3)
MARKET = MorphoMarket(POOL, USD, WETH, FEED, LENDER, 86 * 10**16)
COMET = Comet(POOL, USD, FEED, (Collateral(WETH, LENDER),))
RULE = VolatilityRule(POOL, 50, samples=2)
Maker = Callable[[int], Guard]

# Each from one number, the larger the looser.
AT_MOST: dict[str, Maker] = {
    "gas_price": GasPrice,
    "slippage": Slippage,
    "position_size": lambda n: PositionSize(((WETH, n), (USD, n), (NATIVE, n))),
    "multisig": lambda n: Multisig(MultisigRule(n, FEEDS)),
    "oracle_staleness": lambda n: OracleStaleness(FEED, n),
    "oracle_deviation": lambda n: OracleDeviation(OracleTerms(FEED, PAIR, 1, 0, quote_feed=LENDER), n),
    "oracle_deviation of an average": lambda n: OracleDeviation(OracleTerms(FEED, V3, 1, 0, window_s=9), n),
    "twap_deviation": lambda n: TwapDeviation(V3, 9, n),
    "price_impact": lambda n: PriceImpact(PAIR, n),
    "price_impact of v3": lambda n: PriceImpact(V3, n),
    "ltv of aave": lambda n: LoanToValue(AavePool(POOL), EXECUTOR, n),
    "ltv of morpho": lambda n: LoanToValue(MARKET, EXECUTOR, n),
    "ltv of comet": lambda n: LoanToValue(COMET, EXECUTOR, n, 2 * n),
    "exposure": lambda n: Exposure(ExposureLimit("x", frozenset({USD}), n), FACTS, (EXECUTOR, KEY)),
    "mev_exposure": lambda n: MevExposure(n, FACTS),
    "position_loss": lambda n: PositionLoss((EXECUTOR, KEY), n, FACTS),
    "volatile": lambda n: Volatile(PositionSize(((WETH, n), (USD, n), (NATIVE, n))), RULE),
}
AT_LEAST: dict[str, Maker] = {
    "balance": Balance,
    "min_profit": MinProfit,
    "health_factor of aave": lambda n: HealthFactor(AavePool(POOL), EXECUTOR, n),
    "health_factor of morpho": lambda n: HealthFactor(MARKET, EXECUTOR, n),
    "health_factor of comet": lambda n: HealthFactor(COMET, EXECUTOR, n, n // 2),
    "sequencer_up": lambda n: SequencerUp(UptimeTerms(FEED, n)),
}
UNBOUND: dict[str, Maker] = {
    "gas_use": lambda _: GasUse(),
    "token_list": lambda _: TokenList(frozenset({WETH}), frozenset({USD})),
}
ALL = AT_MOST | AT_LEAST | UNBOUND
# Guards that read no view calls: nothing that is answered can blind them.
SIGHTED = {"gas_price", "gas_use", "slippage", "position_size", "balance", "min_profit", "token_list"}

WORD = st.one_of(
    st.integers(0, 12),
    st.integers(NOW_S - 4_000, NOW_S),
    st.integers(10**17, 10**19),
    st.integers(0, 2**256 - 1),
).map(lambda value: value.to_bytes(32, "big"))
ROUND = st.builds(
    lambda answer, age_s: b"".join(
        value.to_bytes(32, "big") for value in (7, answer, NOW_S - age_s, NOW_S - age_s, 7)
    ),
    st.integers(0, 10**12),
    st.integers(0, 4_000),
)
ANSWER = st.one_of(st.none(), st.binary(max_size=64), st.lists(WORD, max_size=12).map(b"".join), ROUND)
AMOUNTS = st.integers(0, 10**20)
FLOWS = st.lists(
    st.builds(
        Flow,
        st.sampled_from((WETH, USD, NATIVE)),
        st.sampled_from((KEY, EXECUTOR, POOL)),
        st.sampled_from((TREASURY, EXECUTOR, POOL)),
        AMOUNTS,
    ),
    max_size=4,
)
LIMITS = st.one_of(st.integers(0, 20_000), st.integers(0, 10**19), st.integers(0, 2**200))


@dataclass(frozen=True)
class Seen:
    """What a simulation and a plan may be, before a guard names its calls."""

    flows: Sequence[Flow]
    after: Sequence[bytes | None]
    before: Sequence[bytes | None]
    is_position: bool
    fee_wei: int

    def of(self, guard: Guard) -> Evidence:
        probes = guard.probes()
        earlier = guard.before() if isinstance(guard, Comparing) else ()
        found = simulation(
            *self.flows,
            probes={probe.label: self.after[at % len(self.after)] for at, probe in enumerate(probes)},
            before={probe.label: self.before[at % len(self.before)] for at, probe in enumerate(earlier)},
        )
        return self.evidence(found)

    def evidence(self, found: Simulation) -> Evidence:
        one = candidate(self._plan(), max_fee_per_gas_wei=self.fee_wei, gas_limit=21_000)
        return Evidence(one, found, OURS, RiskLimits(), NOW_S)

    def _plan(self) -> Plan:
        body = ExecutorBody(EXECUTOR, TREASURY, b"\x01", (), 0, position=self.is_position)
        plan = executor_plan(expected=(TokenDelta(TREASURY, WETH, 10),))
        return Plan(
            plan.strategy, plan.chain_id, KEY, body, WETH, "k", plan.deadline_s, expected=plan.expected
        )


SEEN = st.builds(
    Seen,
    FLOWS,
    st.lists(ANSWER, min_size=1, max_size=8),
    st.lists(ANSWER, min_size=1, max_size=8),
    st.booleans(),
    st.integers(0, 10**12),
)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=40)
@given(seen=SEEN, limit=LIMITS)
def test_the_margin_tells_whether_it_passed(name: str, seen: Seen, limit: int) -> None:
    guard = ALL[name](limit)
    found = guard.measure(seen.of(guard))
    assert found.guard == guard.name
    assert (found.measured is None) == (found.margin is None)
    assert found.passed == (found.margin is not None and found.margin >= 0)
    assert found.reason


@pytest.mark.parametrize("name", AT_MOST | AT_LEAST)
@settings(max_examples=40)
@given(seen=SEEN, one=LIMITS, other=LIMITS)
def test_what_passes_a_tight_limit_passes_a_loose_one(name: str, seen: Seen, one: int, other: int) -> None:
    tight, loose = sorted((one, other), reverse=name in AT_LEAST)
    strict, lenient = ALL[name](tight), ALL[name](loose)
    if strict.measure(seen.of(strict)).passed:
        assert lenient.measure(seen.of(lenient)).passed


@pytest.mark.parametrize("name", [name for name in ALL if name not in SIGHTED])
@settings(max_examples=40)
@given(seen=SEEN, limit=LIMITS, answer=st.none() | st.binary(max_size=31))
def test_a_guard_whose_calls_nobody_answers_never_passes(
    name: str, seen: Seen, limit: int, answer: bytes | None
) -> None:
    guard = ALL[name](limit)
    probes = {probe.label: answer for probe in guard.probes()}
    found = guard.measure(
        seen.evidence(simulation(Flow(WETH, EXECUTOR, POOL, 1), probes=probes, before=probes))
    )
    if name == "mev_exposure":  # it needs a price only for what could be taken
        assert found.passed is False or found.measured == 0
    else:
        assert (found.measured, found.passed) == (None, False)
