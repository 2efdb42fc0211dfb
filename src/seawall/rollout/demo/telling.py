"""How the demo is told: a running narration, then an account as text or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import orjson

from seawall.primitives.units import address_text, hex_text

if TYPE_CHECKING:
    from seawall.rollout.demo.account import PlanAccount
    from seawall.rollout.demo.play import Result

__all__ = ["narrate", "tell_as_json", "tell_as_text"]

_ETHER: Final = 10**18
_DECIMALS: Final = {"ETH": 18, "WETH": 18, "USDX": 6}
_SHOWN: Final = 6
_JSON_INTEGER_MAX: Final = 2**63 - 1


def narrate(quiet: bool) -> Callable[[str], None]:
    """Says each line as it happens; with JSON wanted, nothing but the JSON is printed."""

    def say(text: str) -> None:
        if not quiet:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    return say


def tell_as_json(result: Result) -> None:
    """Amounts of WETH and ETH in wei. An integer over 63 bits, which JSON readers lose, is a decimal text."""
    stage, reorg, halt = result.stage, result.reorg, result.halt
    document = {
        "plans": [_plan_json(plan) for plan in result.plans],
        "reorg": {
            "depth": reorg.depth,
            "plan": reorg.plan,
            "tx_hash": hex_text(reorg.transaction),
            "removed_from_block": hex_text(reorg.removed_from),
            "landed_again_in_block": hex_text(reorg.landed_again_in),
        },
        "halt": {
            "plan": halt.plan,
            "tx_hash": hex_text(halt.transaction),
            "seen_by_node": halt.seen_by_node,
            "pool_was_empty": halt.pool_was_empty,
            "nonce_unmoved": halt.nonce_unmoved,
            "filled_by": hex_text(halt.filled_by),
        },
        "balances": [
            {
                "holder": balance.holder,
                "address": address_text(balance.address),
                "symbol": balance.symbol,
                "token": address_text(balance.token),
                "before": _integer(balance.before),
                "after": _integer(balance.after),
                "booked": _integer(balance.booked),
            }
            for balance in result.balances
        ],
        "chain": {
            "rpc_url": stage.devnet.info.rpc_url,
            "first_block": stage.start_number,
            "key": address_text(stage.key),
            "treasury": address_text(stage.treasury),
            "weth": address_text(stage.devnet.book.address("weth")),
        },
        "kernel_started_in_s": round(result.kernel_started_in_s, 3),
        "took_s": round(result.took_s, 3),
    }
    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()


def tell_as_text(result: Result) -> None:
    lines = ["", "The account", "==========="]
    for plan in result.plans:
        lines += _plan_lines(plan)
    lines += [
        "",
        "Balances, from the first block to the last; the ledger's postings and the chain agree to the last unit:",
    ]
    for balance in result.balances:
        decimals = _DECIMALS[balance.symbol]
        lines.append(
            f"  {balance.holder:<9}{balance.symbol:<5}{_amount(balance.before, decimals):>18} ->"
            f"{_amount(balance.after, decimals):>18}   change {_amount(balance.booked, decimals, sign=True):>16}"
        )
    lines.append(f"\nTook {result.took_s:.1f} s.")
    sys.stdout.write("\n".join(lines) + "\n")


def _plan_json(plan: PlanAccount) -> dict[str, object]:
    row = plan.row
    last = plan.verdicts[-1].verdict if plan.verdicts else None
    return {
        "id": row.number,
        "strategy": row.strategy,
        "status": row.state.value,
        "note": row.plan.note,
        "reason": row.reason,
        "verdict": None
        if last is None
        else {
            "admitted": last.admitted,
            "block_hash": hex_text(last.base_hash),
            "guards": [
                {
                    "guard": m.guard,
                    "measured": _integer(m.measured),
                    "limit": _integer(m.limit),
                    "margin": _integer(m.margin),
                    "unit": m.unit,
                    "passed": m.passed,
                    "reason": m.reason,
                }
                for m in last.measurements
            ],
        },
        "transactions": [
            {
                "hash": hex_text(attempt.hash),
                "nonce": attempt.nonce,
                "block_hash": hex_text(plan.inclusion.block_hash)
                if plan.inclusion is not None and plan.inclusion.attempt_hash == attempt.hash
                else None,
                "gas_used": plan.inclusion.gas_used
                if plan.inclusion is not None and plan.inclusion.attempt_hash == attempt.hash
                else None,
            }
            for attempt in plan.attempts
        ],
        "profit_predicted_wei": _integer(row.predicted_wei),
        "profit_realised_wei": _integer(row.realised_wei),
    }


def _plan_lines(plan: PlanAccount) -> list[str]:
    row = plan.row
    lines = [
        f"\n#{row.number} {row.strategy}: {row.plan.note}",
        f"  {row.state.value}" + (f": {row.reason}" if row.reason else ""),
    ]
    if plan.verdicts:
        verdict = plan.verdicts[-1].verdict
        passed = sum(m.passed for m in verdict.measurements)
        lines.append(
            f"  verdict: {passed} of {len(verdict.measurements)} guards passed, judged {len(plan.verdicts)} time(s)"
        )
    for attempt in plan.attempts:
        where = "not on chain"
        if plan.inclusion is not None and plan.inclusion.attempt_hash == attempt.hash:
            where = f"block {plan.inclusion.block_number}, {plan.inclusion.gas_used} gas, fee {plan.inclusion.fee_wei} wei"
        lines.append(f"  transaction {hex_text(attempt.hash)}: {where}")
    if row.realised_wei is not None and row.predicted_wei is not None:
        lines.append(f"  profit: predicted {row.predicted_wei} wei, realised {row.realised_wei} wei")
    return lines


def _integer(value: int | None) -> int | str | None:
    return value if value is None or abs(value) <= _JSON_INTEGER_MAX else str(value)


def _amount(value: int, decimals: int, *, sign: bool = False) -> str:
    whole, rest = divmod(abs(value), 10**decimals)
    shown = f"{whole}.{rest:0{decimals}d}"[: len(str(whole)) + 1 + _SHOWN]
    return f"{'-' if value < 0 else '+' if sign else ''}{shown}"
