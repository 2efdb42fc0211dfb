"""The guards of this release, the names by which plans ask for them, and which of them are always on.

Always on, asked for or not: gas price, gas use, slippage against the plan's expected changes, position size,
the key's native balance; of a key with a policy what `signer_policy` lists; of executor plans the executor
itself, and minimum profit or, for a position plan, the loss of value and how its account stands at every
lending place. Where configured: `multisig`, token lists, exposures, the sequencer, what a sandwich could
take. Everything else a plan asks for, and tighter values of these.

A verdict lists guards in the order of this file, several of one name in the order in which they are asked
for; that order is part of what operators rely on. What a plan asks may tighten a limit, never loosen it."""

from __future__ import annotations

from typing import Final

from seawall.primitives.plans import ExecutorBody, Plan
from seawall.primitives.units import Address, address_text
from seawall.protocols.sequencer import GRACE_S, UptimeTerms
from seawall.risk.guards.asking import GUARDS, Asked, Wishes
from seawall.risk.guards.base import Guard
from seawall.risk.guards.executors import ChainChecks, Executor, Wanted
from seawall.risk.guards.fees import Balance, GasPrice, GasUse
from seawall.risk.guards.flows import PositionSize, Slippage
from seawall.risk.guards.lending import HealthFactor, LoanToValue
from seawall.risk.guards.mev import MevExposure
from seawall.risk.guards.multisig import Multisig
from seawall.risk.guards.oracles import OracleDeviation, OracleStaleness, OracleTerms, SequencerUp
from seawall.risk.guards.pools import Pool, PoolKind, PriceImpact, TwapDeviation
from seawall.risk.guards.profit import MinProfit, PositionLoss
from seawall.risk.guards.signer_policy import policy_guards
from seawall.risk.guards.tokens import Exposure, TokenList
from seawall.risk.guards.volatile import Scalable, Volatile
from seawall.risk.lending import AavePool, LendingPlace
from seawall.risk.limits import ChainFacts, ExposureLimit, RiskLimits

__all__ = ["GUARD_NAMES", "guards_of", "silent_of"]

GUARD_NAMES: Final = tuple(GUARDS)
# Guards with the kinds of checks that ask the same (`protocols.executor.checks`), by which argument names its
# source.
_CHECKED: Final = {
    "oracle_staleness": ((0x01,), "feed", "the age of feed"),
    "oracle_deviation": ((0x02, 0x03, 0x06), "feed", "the price of feed"),
    "twap_deviation": ((0x05,), "pool", "the average of pool"),
    "sequencer_up": ((0x04,), "feed", "the sequencer's feed"),
}


def guards_of(plan: Plan, limits: RiskLimits, holders: frozenset[Address] = frozenset()) -> tuple[Guard, ...]:
    """Every guard that judges this plan. `holders` are our addresses on its chain."""
    wishes = Wishes(plan)
    return (
        *_standing(plan, wishes, limits),
        *_of_executor_plans(plan, wishes, limits),
        *_prices(wishes, limits),
        *_positions(plan, wishes, limits),
        *_holdings(wishes, limits, holders),
        *_public(plan, wishes, limits),
    )


def silent_of(plan: Plan, facts: ChainFacts) -> tuple[tuple[Address, Address], ...]:
    """Of what the plan expects, positions that move without a log of it: token and holder."""
    if not (facts.positions and plan.expected):
        return ()
    pairs = ((one.token, one.holder) for one in plan.expected if one.token in facts.positions)
    return tuple(dict.fromkeys(pairs))


def _valued_queues(plan: Plan, facts: ChainFacts) -> frozenset[Address]:
    """Of a position plan alone: no other is judged by what it costs."""
    is_position = isinstance(plan.body, ExecutorBody) and plan.body.position
    return frozenset(place.address for place in facts.claims) if is_position else frozenset()


def _standing(plan: Plan, wishes: Wishes, limits: RiskLimits) -> list[Guard]:
    policy = limits.policies.get(plan.key)
    keep_wei = max(limits.key_balance_min_wei, 0 if policy is None else policy.balance_min_wei)
    guards: list[Guard] = [
        GasPrice(wishes.at_most("gas_price", "max_fee_per_gas_wei", limits.max_fee_per_gas_wei)),
        GasUse(),
        Slippage(
            wishes.at_most("slippage", "limit_bps", limits.slippage_bps_max),
            (*limits.facts.debts, *limits.facts.position_debts),
            silent_of(plan, limits.facts),
        ),
        _moving(PositionSize(_caps(wishes, limits), _valued_queues(plan, limits.facts)), limits),
        Balance(wishes.at_least("balance", "min_wei", keep_wei)),
    ]
    if policy is not None:
        guards += policy_guards(policy)
    if limits.multisig is not None:
        guards.append(Multisig(limits.multisig))
    return guards


def _of_executor_plans(plan: Plan, wishes: Wishes, limits: RiskLimits) -> list[Guard]:
    body, profit, loss = plan.body, wishes.one("min_profit"), wishes.one("position_loss")
    is_position = isinstance(body, ExecutorBody) and body.position
    if profit is not None and is_position:
        raise profit.wrong("is asked of a position plan, which pays no profit", "ask for position_loss")
    if loss is not None and not is_position:
        raise loss.wrong("is asked of a plan that moves no position of an account", "ask for min_profit")
    checks = wishes.one("chain_checks")
    if checks is not None and not isinstance(body, ExecutorBody):
        raise checks.wrong("is asked of a direct plan, which has no checks", "leave it out")
    floor = wishes.at_least("min_profit", "min_wei", 0)
    if not isinstance(body, ExecutorBody):
        return [MinProfit(floor)] if profit is not None else []
    guards: list[Guard] = [Executor(body.executor, body.beneficiary)]
    if limits.chain_checks or checks is not None:
        guards.append(ChainChecks(_checked(wishes)))
    if not is_position:
        return [*guards, MinProfit(max(floor, body.min_profit_wei))]
    limit = limits.position_loss_max
    if limit is not None:
        limit = wishes.at_most("position_loss", "max_loss", limit)
    accounts = tuple(dict.fromkeys((body.executor, plan.key, body.beneficiary)))
    return [*guards, _moving(PositionLoss(accounts, limit, limits.facts), limits)]


def _prices(wishes: Wishes, limits: RiskLimits) -> list[Guard]:
    guards: list[Guard] = [
        OracleStaleness(one.address("feed"), min(one.integer("max_age_s"), limits.oracle_age_s_max))
        for one in wishes.all("oracle_staleness")
    ]
    guards += [
        OracleDeviation(_terms(one), min(one.integer("limit_bps"), limits.oracle_deviation_bps_max))
        for one in wishes.all("oracle_deviation")
    ]
    guards += [
        TwapDeviation(
            Pool(one.address("pool"), PoolKind.V3),
            one.integer("window_s"),
            min(one.integer("limit_bps"), limits.twap_deviation_bps_max),
        )
        for one in wishes.all("twap_deviation")
    ]
    guards += [
        PriceImpact(one.pool(), min(one.integer("limit_bps"), limits.price_impact_bps_max))
        for one in wishes.all("price_impact")
    ]
    return guards


def _positions(plan: Plan, wishes: Wishes, limits: RiskLimits) -> list[Guard]:
    """Of a position plan every lending place of the chain is judged, asked for or not."""
    floors: dict[tuple[LendingPlace, Address], int] = {}
    caps: dict[tuple[LendingPlace, Address], int | None] = {}
    if isinstance(plan.body, ExecutorBody) and plan.body.position:
        for place in limits.facts.lending:
            floors[(place, plan.target)], caps[(place, plan.target)] = 0, None
    for one in wishes.all("health_factor"):
        where = _place_of(plan, one, limits.facts.multicall)
        floors[where] = max(floors.get(where, 0), one.integer("min_wad"))
    for one in wishes.all("ltv"):
        where = _place_of(plan, one, limits.facts.multicall)
        asked, known = one.integer("limit_bps"), caps.get(where)
        caps[where] = asked if known is None else min(known, asked)
    least, most = limits.health_factor_min_wad, limits.ltv_bps_max
    return [
        *(_moving(HealthFactor(*where, least, asked), limits) for where, asked in floors.items()),
        *(_moving(LoanToValue(*where, most, asked), limits) for where, asked in caps.items()),
    ]


def _holdings(wishes: Wishes, limits: RiskLimits, holders: frozenset[Address]) -> list[Guard]:
    wanted = [*limits.exposures]
    for one in wishes.all("exposure"):
        token = one.address("token")
        wanted.append(ExposureLimit(address_text(token), frozenset({token}), one.integer("share_bps")))
    ours = tuple(sorted(holders))
    guards: list[Guard] = [_moving(Exposure(one, limits.facts, ours), limits) for one in wanted]
    asked = wishes.all("token_list")
    allowed, denied = limits.tokens_allowed, limits.tokens_denied
    named = frozenset(which for one in asked if (which := one.address_or_none("allow")) is not None)
    if named:
        allowed = named if allowed is None else allowed & named
    denied |= {which for one in asked if (which := one.address_or_none("deny")) is not None}
    if asked or allowed is not None or denied:
        guards.append(TokenList(allowed, denied))
    return guards


def _public(plan: Plan, wishes: Wishes, limits: RiskLimits) -> list[Guard]:
    guards: list[Guard] = []
    known, asked = limits.facts.sequencer, wishes.one("sequencer_up")
    if known is not None and (plan.is_executor_plan or asked is not None):
        guards.append(SequencerUp(known))
    if asked is not None:
        terms = UptimeTerms(asked.address("feed"), asked.integer("grace_s", GRACE_S))
        if known is None or terms.feed != known.feed or terms.grace_s > known.grace_s:
            guards.append(SequencerUp(terms))
    mev, limit = wishes.one("mev_exposure"), limits.mev_value_max
    if mev is not None:
        wanted = mev.integer("max_value")
        limit = wanted if limit is None else min(limit, wanted)
    if limit is not None:
        guards.append(_moving(MevExposure(limit, limits.facts), limits))
    return guards


def _moving(guard: Scalable, limits: RiskLimits) -> Guard:
    """With a limit that follows volatility, where the operator says so."""
    return guard if limits.volatility is None else Volatile(guard, limits.volatility)


def _checked(wishes: Wishes) -> tuple[Wanted, ...]:
    """What the plan's guards ask, by the kinds of checks that ask the same."""
    wanted: list[Wanted] = []
    for name, (kinds, source, what) in _CHECKED.items():
        for one in wishes.all(name):
            address = one.address(source)
            wanted.append(Wanted(f"{what} {address_text(address)}", kinds, address))
    for one in wishes.all("health_factor"):
        place = one.place()
        if isinstance(place, AavePool):
            wanted.append(Wanted(f"the health factor at {place.label}", (0x07,), place.pool))
        else:  # the account's risk book knows it
            wanted.append(Wanted(f"the health factor at {place.label}", (0x08,), None))
    return tuple(wanted)


def _place_of(plan: Plan, asked: Asked, multicall: Address | None) -> tuple[LendingPlace, Address]:
    """Where, and whose: the executor's or the key's, if nobody is named."""
    own = plan.target if plan.is_executor_plan else plan.key
    return asked.place(multicall), asked.address_or_none("holder") or own


def _terms(one: Asked) -> OracleTerms:
    pool, window_s = one.pool(), one.integer("window_s", 0)
    if window_s and pool.kind is not PoolKind.V3:
        raise one.wrong("averages a pair, which remembers nothing", "leave out 'window_s', or name a pool")
    return OracleTerms(
        one.address("feed"),
        pool,
        one.integer("base_decimals"),
        one.integer("quote_decimals"),
        bool(one.integer("inverse", 0)),
        one.address_or_none("quote_feed"),
        window_s,
    )


def _caps(wishes: Wishes, limits: RiskLimits) -> tuple[tuple[Address, int], ...]:
    caps = dict(limits.position_caps)
    for one in wishes.all("position_size"):
        token, cap = one.address("token"), one.integer("cap")
        if token in caps:
            caps[token] = min(caps[token], cap)
    return tuple(sorted(caps.items()))
