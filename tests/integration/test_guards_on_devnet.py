"""Guards on true contracts: what they measure before anything is signed is what the chain says afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.networks import network_of
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.chain.simulation import Machine, Simulator
from seawall.native import encode_call
from seawall.native.evm import Missing
from seawall.primitives.codec import plan_digest
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Authority
from seawall.primitives.plans import DirectBody, GuardSpec, Plan
from seawall.primitives.ports import SystemClock, ThreadOffload
from seawall.primitives.units import BPS, Address
from seawall.primitives.verdicts import Candidate, Measurement, Payload, Verdict
from seawall.protocols import uniswap_v2
from seawall.risk.gate import Gate
from seawall.risk.lending import AavePool, Collateral, Comet, LendingPlace, MorphoMarket
from seawall.risk.limits import ChainFacts, ExposureLimit, OurAddresses, PriceFeed, RiskLimits
from seawall.risk.reduce import ReduceRule
from seawall.rollout.devnet import Devnet, Trader
from seawall.rollout.devnet.accounts import BORROWERS, OWNER, TRADERS
from seawall.rollout.devnet.steering import mine, revert, set_feed, snapshot
from seawall.transactions.judging import judge_now
from tests.fixtures.devnet import built_devnet, shared_devnet, toolchain

__all__ = ["built_devnet", "shared_devnet", "toolchain"]

pytestmark = pytest.mark.anvil

CHAIN_ID = 31_337
ETHER = 10**18
GWEI = 10**9
GAS_LIMIT = 2_000_000
FOREVER_S = 2**40
MORPHO_PARAMS = "(address,address,address,address,uint256)"


@dataclass
class Work:
    machine: Machine
    gate: Gate
    candidate: Candidate
    progress: int = 0

    def go(self) -> Verdict | Missing:
        return judge_now(
            self.machine, self.gate, self.candidate, Authority.RUN, self.candidate.base.timestamp_s
        )


async def judged(devnet: Devnet, plan: Plan, limits: RiskLimits) -> Verdict:
    network = network_of(CHAIN_ID)
    pool = RpcPool([HttpTransport(devnet.info.rpc_url)], chain_id=CHAIN_ID, clock=SystemClock())
    try:
        client = ChainClient(pool, network)
        head = await client.head()
        simulator = Simulator(client, network, ThreadOffload())
        await simulator.pin(head)
        assert isinstance(plan.body, DirectBody)
        payload = Payload(
            CHAIN_ID, plan.key, plan.body.target, plan.body.calldata, plan.body.value_wei, GAS_LIMIT
        )
        nonce = await client.nonce_at(plan.key, head.hash)
        candidate = Candidate(
            IntentNumber(1), 1, plan, plan_digest(plan), 1, Lane(CHAIN_ID, plan.key), nonce, payload,
            10 * GWEI, GWEI, 2 * GWEI, 10 * GWEI, head,
        )  # fmt: skip
        gate = Gate(limits, ours(devnet, plan.key), ReduceRule({}, (), (), ()))
        return await simulator.drive(Work(simulator.machine, gate, candidate), [payload])
    finally:
        await pool.close()


def ours(devnet: Devnet, key: Address) -> OurAddresses:
    return OurAddresses(frozenset({key}), devnet.book.address("weth"))


def plan_of(key: Address, target: Address, data: bytes, *guards: GuardSpec) -> Plan:
    return Plan("x", CHAIN_ID, key, DirectBody(target, data), target, "k", FOREVER_S, guards=guards)


def spec(name: str, **arguments: int | bytes) -> GuardSpec:
    return GuardSpec(name, tuple(arguments.items()))


def found(verdict: Verdict, name: str) -> Measurement:
    (one,) = [one for one in verdict.measurements if one.guard == name]
    return one


def selling(devnet: Devnet, amount_wei: int) -> tuple[Address, bytes]:
    book = devnet.book
    path = (book.address("weth"), book.address("usdx"))
    call = encode_call(
        "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
        (amount_wei, 0, path, TRADERS[0], FOREVER_S),
    )
    return book.address("uniswap_v2_router"), call


def pair_of(devnet: Devnet) -> Address:
    book = devnet.book
    return uniswap_v2.pair_address(
        book.address("uniswap_v2_factory"), book.address("weth"), book.address("usdx")
    )


def reserves(devnet: Devnet, pair: Address) -> tuple[int, int]:
    raw = devnet.rpc.view(pair, encode_call("getReserves()", ()))
    return int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big")


async def test_the_impact_that_is_judged_is_the_one_that_happens(shared_devnet: Devnet) -> None:
    devnet, amount = shared_devnet, 20 * ETHER
    pair, (router, call) = pair_of(devnet), selling(devnet, amount)
    plan = plan_of(TRADERS[0], router, call, spec("price_impact", pair=pair, limit_bps=100))
    caps = {devnet.book.address("weth"): 100 * ETHER}
    verdict = await judged(devnet, plan, RiskLimits(position_caps=caps))
    before = reserves(devnet, pair)
    taken = snapshot(devnet)
    try:
        Trader(devnet).swap_v2("weth", "usdx", amount)
        after = reserves(devnet, pair)
    finally:
        revert(devnet, taken)
    one, other = before[1] * after[0], after[1] * before[0]
    apart = -(-abs(one - other) * BPS // min(one, other))
    assert apart > 0
    assert found(verdict, "price_impact").measured == apart


@pytest.mark.parametrize(("price", "passes"), [(None, True), (10**8, False)])
async def test_a_feed_that_left_its_market_is_refused(
    shared_devnet: Devnet, price: int | None, passes: bool
) -> None:
    devnet, book = shared_devnet, shared_devnet.book
    weth, usdx = book.address("weth"), book.address("usdx")
    taken = snapshot(devnet)
    try:
        for name in ("feed_eth_usd", "feed_usdx_usd"):
            answer = devnet.rpc.view(book.address(name), encode_call("latestAnswer()", ()))
            set_feed(devnet, name, int.from_bytes(answer, "big"))  # of now, and the price that it had
        if price is not None:
            set_feed(devnet, "feed_eth_usd", price)
        asked = spec(
            "oracle_deviation", feed=book.address("feed_eth_usd"), quote_feed=book.address("feed_usdx_usd"),
            pair=pair_of(devnet), base_decimals=18, quote_decimals=6, inverse=int(weth > usdx), limit_bps=200,
        )  # fmt: skip
        target, call = selling(devnet, 10**15)
        verdict = await judged(devnet, plan_of(TRADERS[0], target, call, asked), RiskLimits())
    finally:
        revert(devnet, taken)
    assert found(verdict, "oracle_deviation").passed is passes


async def test_a_pool_is_held_against_what_it_remembers(shared_devnet: Devnet) -> None:
    devnet, book = shared_devnet, shared_devnet.book
    pool = book.address("uniswap_v3_weth_usdx_3000")
    target, call = selling(devnet, 10**15)
    plan = plan_of(TRADERS[0], target, call, spec("twap_deviation", pool=pool, window_s=60, limit_bps=50))
    taken = snapshot(devnet)
    try:
        devnet.rpc.call("evm_increaseTime", 600)
        mine(devnet)
        quiet = found(await judged(devnet, plan, RiskLimits()), "twap_deviation")
        Trader(devnet).swap_v3("weth", "usdx", 3000, 200 * ETHER)
        moved = found(await judged(devnet, plan, RiskLimits()), "twap_deviation")
    finally:
        revert(devnet, taken)
    assert (quiet.measured is None, quiet.passed) == (False, True)
    assert not moved.passed  # either it is far from its average, or it remembers nothing older than now


def aave(devnet: Devnet) -> AavePool:
    return AavePool(devnet.book.address("aave_pool"))


def morpho(devnet: Devnet) -> MorphoMarket:
    book = devnet.book
    return MorphoMarket(
        book.address("morpho"), book.address("usdx"), book.address("weth"),
        book.address("morpho_oracle_weth_usdx_8600"), book.address("morpho_irm"), 86 * 10**16,
        book.address("multicall3"),
    )  # fmt: skip


def comet(devnet: Devnet) -> Comet:
    book = devnet.book
    collaterals = (Collateral(book.address("weth"), book.address("feed_eth_usd")),)
    return Comet(book.address("comet_usdx"), book.address("usdx"), book.address("feed_usdx_usd"), collaterals)


def asked_at(place: LendingPlace, name: str, **limit: int) -> GuardSpec:
    if isinstance(place, AavePool):
        return spec(name, pool=place.pool, **limit)
    if isinstance(place, MorphoMarket):
        return spec(
            name, morpho=place.morpho, loan=place.loan, collateral=place.collateral, oracle=place.oracle,
            irm=place.irm, lltv_wad=place.lltv_wad, **limit,
        )  # fmt: skip
    assert isinstance(place, Comet)
    (one,) = place.collaterals
    return spec(
        name, comet=place.comet, base=place.base, base_feed=place.base_feed, collateral=one.token,
        feed=one.feed, **limit,
    )  # fmt: skip


def withdrawal(place: LendingPlace, weth: Address, who: Address, amount: int) -> bytes:
    if isinstance(place, AavePool):
        return encode_call("withdraw(address,uint256,address)", (weth, amount, who))
    if isinstance(place, MorphoMarket):
        params = (place.loan, place.collateral, place.oracle, place.irm, place.lltv_wad)
        signature = f"withdrawCollateral({MORPHO_PARAMS},uint256,address,address)"
        return encode_call(signature, (params, amount, who, who))
    return encode_call("withdraw(address,uint256)", (weth, amount))


PLACES: dict[str, tuple[Callable[[Devnet], LendingPlace], Address]] = {
    "aave": (aave, BORROWERS[0]),
    "morpho": (morpho, BORROWERS[0]),
    "comet": (comet, BORROWERS[1]),
}


@pytest.mark.parametrize("name", PLACES)
async def test_a_withdrawal_is_judged_by_where_it_leaves_the_position(
    shared_devnet: Devnet, name: str
) -> None:
    make, who = PLACES[name]
    devnet, place = shared_devnet, make(shared_devnet)
    weth = devnet.book.address("weth")
    facts = ChainFacts(multicall=devnet.book.address("multicall3"))

    async def of(amount: int, min_wad: int) -> tuple[Measurement, Measurement]:
        data = withdrawal(place, weth, who, amount)
        guards = (asked_at(place, "health_factor", min_wad=min_wad), asked_at(place, "ltv", limit_bps=8_000))
        limits = RiskLimits(facts=facts, health_factor_min_wad=0)
        verdict = await judged(devnet, plan_of(who, place.address, data, *guards), limits)
        assert found(verdict, "simulation").passed, verdict.explanation
        return found(verdict, "health_factor"), found(verdict, "ltv")

    small, small_loan = await of(10**12, 1)
    large, large_loan = await of(2 * ETHER, 1)
    assert small.measured is not None
    assert large.measured is not None
    assert ETHER < large.measured < small.measured
    assert small_loan.measured is not None
    assert large_loan.measured is not None
    assert 0 < small_loan.measured < large_loan.measured
    strict, _ = await of(2 * ETHER, small.measured)
    assert not strict.passed

    taken = snapshot(devnet)
    try:
        sent = devnet.rpc.send(who, place.address, withdrawal(place, weth, who, 2 * ETHER))
        devnet.rpc.settle([sent], mine=True)
        approval = encode_call("approve(address,uint256)", (OWNER, 0))
        nothing = plan_of(who, weth, approval, asked_at(place, "health_factor", min_wad=1))
        after = found(await judged(devnet, nothing, RiskLimits(facts=facts)), "health_factor")
    finally:
        revert(devnet, taken)
    assert after.measured is not None
    assert abs(after.measured - large.measured) < large.measured // 10**6  # a second's interest


async def test_exposure_is_the_share_of_what_the_chain_says_that_we_hold(shared_devnet: Devnet) -> None:
    devnet, book, who = shared_devnet, shared_devnet.book, BORROWERS[2]
    weth, usdx = book.address("weth"), book.address("usdx")
    taken = snapshot(devnet)
    try:
        for name, price in (("feed_eth_usd", 2_000 * 10**8), ("feed_usdx_usd", 10**8)):
            set_feed(devnet, name, price)
        feeds = (
            PriceFeed(weth, book.address("feed_eth_usd"), 18, 8),
            PriceFeed(usdx, book.address("feed_usdx_usd"), 6, 8),
        )
        limits = RiskLimits(
            exposures=(ExposureLimit("dollars", frozenset({usdx}), BPS),),
            facts=ChainFacts(feeds, multicall=book.address("multicall3"), wrapped_native=weth),
        )
        data = encode_call("approve(address,uint256)", (OWNER, 0))
        verdict = await judged(devnet, plan_of(who, weth, data), limits)
        held = {
            token: int.from_bytes(devnet.rpc.view(token, encode_call("balanceOf(address)", (who,))), "big")
            for token in (weth, usdx)
        }
        native_wei = devnet.rpc.integer("eth_getBalance", "0x" + who.hex(), "latest")
    finally:
        revert(devnet, taken)
    dollars = held[usdx] * 10**12
    total = dollars + (held[weth] + native_wei) * 2_000
    share_bps = found(verdict, "exposure").measured
    assert share_bps is not None
    assert abs(share_bps - dollars * BPS // total) <= 1  # the fee was paid in between
