"""The guards of this release and the names by which plans ask for them.

Always on, asked for or not: gas price, gas use, slippage against the plan's expected changes, position size,
the key's native balance; of a key with a policy what `signer_policy` lists; `multisig` where configured;
of executor plans the executor itself and minimum profit. Asked for: oracle staleness, and tighter values of
the others."""

from __future__ import annotations

from seawall.primitives.errors import PlanError
from seawall.primitives.plans import ExecutorBody, GuardSpec, Plan
from seawall.primitives.units import Address
from seawall.risk.guards.base import Guard, argument
from seawall.risk.guards.executors import Executor
from seawall.risk.guards.fees import Balance, GasPrice, GasUse
from seawall.risk.guards.flows import PositionSize, Slippage
from seawall.risk.guards.multisig import Multisig
from seawall.risk.guards.oracles import OracleStaleness
from seawall.risk.guards.profit import MinProfit
from seawall.risk.guards.signer_policy import policy_guards
from seawall.risk.limits import RiskLimits

__all__ = ["GUARD_NAMES", "guards_of"]

GUARD_NAMES = (
    "gas_price",
    "gas_use",
    "slippage",
    "min_profit",
    "oracle_staleness",
    "position_size",
    "balance",
    "executor",
)


# Asked for once per feed or token.
_MANY = ("oracle_staleness", "position_size")


def guards_of(plan: Plan, limits: RiskLimits) -> tuple[Guard, ...]:
    """Every guard that judges this plan: the standing ones at the tighter of limit and request, then those
    asked for."""
    asked = {spec.name: spec for spec in plan.guards if spec.name not in _MANY}
    if len(asked) < sum(spec.name not in _MANY for spec in plan.guards):
        where = f"plan {plan.idempotency_key!r}"
        raise PlanError("a guard is asked for twice", where, "ask once, with the tightest value")
    for name in asked:
        if name not in GUARD_NAMES:
            raise PlanError(
                f"unknown guard {name!r}",
                f"plan {plan.idempotency_key!r}",
                f"use one of {', '.join(GUARD_NAMES)}",
            )
    guards: list[Guard] = [
        GasPrice(_tighter(asked.get("gas_price"), "max_fee_per_gas_wei", limits.max_fee_per_gas_wei)),
        GasUse(),
        Slippage(_tighter(asked.get("slippage"), "limit_bps", limits.slippage_bps_max)),
        PositionSize(_caps(plan, limits)),
        Balance(max(_balance_min(plan, limits), _asked(asked.get("balance"), "min_wei"))),
    ]
    policy = limits.policies.get(plan.key)
    if policy is not None:
        guards += policy_guards(policy)
    if limits.multisig is not None:
        guards.append(Multisig(limits.multisig))
    floor = _asked(asked.get("min_profit"), "min_wei")
    if isinstance(plan.body, ExecutorBody):
        guards.append(Executor(plan.body.executor, plan.body.beneficiary))
        guards.append(MinProfit(max(floor, plan.body.min_profit_wei)))
    elif "min_profit" in asked:
        guards.append(MinProfit(floor))
    guards += [
        OracleStaleness(_address(spec, "feed"), argument(spec, "max_age_s", int))
        for spec in plan.guards
        if spec.name == "oracle_staleness"
    ]
    return tuple(guards)


def _balance_min(plan: Plan, limits: RiskLimits) -> int:
    policy = limits.policies.get(plan.key)
    return max(limits.key_balance_min_wei, 0 if policy is None else policy.balance_min_wei)


def _asked(spec: GuardSpec | None, name: str) -> int:
    return 0 if spec is None else argument(spec, name, int)


def _tighter(spec: GuardSpec | None, name: str, limit: int) -> int:
    return limit if spec is None else min(limit, argument(spec, name, int))


def _caps(plan: Plan, limits: RiskLimits) -> tuple[tuple[Address, int], ...]:
    caps = dict(limits.position_caps)
    for spec in plan.guards:
        if spec.name == "position_size":
            token, cap = _address(spec, "token"), argument(spec, "cap", int)
            if token in caps:
                caps[token] = min(caps[token], cap)
    return tuple(sorted(caps.items()))


def _address(spec: GuardSpec, name: str) -> Address:
    value = argument(spec, name, bytes)
    if len(value) != 20:
        raise PlanError(
            f"guard {spec.name!r} has {len(value)} bytes for {name!r} instead of 20",
            "plan guards",
            "give an address",
        )
    return Address(value)
