"""How the demo is told: a running narration, then an account as text or as JSON."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seawall.ledger.rows import AttemptRow, InclusionRow
from seawall.primitives.units import address_text, hex_text
from seawall.primitives.verdicts import Verdict
from seawall.rollout.demo.words import ether

if TYPE_CHECKING:
    from seawall.rollout.demo.account import Balance, PlanAccount
    from seawall.rollout.demo.result import Result

__all__ = ["narrate", "tell_as_json", "tell_as_text"]

_WIDTH: Final = 110
_LABEL_WIDTH: Final = 13
_BEGIN: Final = re.compile(r" *(?:\S+ {2,})?")


def narrate(quiet: bool) -> Callable[[str], None]:
    """Says each line as it happens; with JSON wanted, nothing but the JSON is printed."""

    def say(text: str) -> None:
        if not quiet:
            sys.stdout.write("".join(_wrapped(line) for line in text.split("\n")))
            sys.stdout.flush()

    return say


def tell_as_json(result: Result, keep: Path | None) -> None:
    """Amounts of WETH and ETH in wei. Integers are exact and may exceed 64 bits."""
    stage, reorg, halt = result.play.stage, result.reorg, result.halt
    document = {
        "plans": [_plan_json(plan) for plan in result.plans],
        "reorg": {
            "depth": reorg.depth,
            "head_number": reorg.head_number,
            "plan": reorg.plan,
            "tx_hash": hex_text(reorg.transaction),
            "removed_from_number": reorg.removed_from.block_number,
            "removed_from_block": hex_text(reorg.removed_from.block_hash),
            "landed_again_in_number": reorg.landed_again_in.block_number,
            "landed_again_in_block": hex_text(reorg.landed_again_in.block_hash),
            "judged_again": reorg.renewed,
        },
        "halt": {
            "plan": halt.plan,
            "tx_hash": hex_text(halt.transaction),
            "nonce": halt.nonce,
            "seen_by_node": halt.seen_by_node,
            "pool": dict(halt.halted.pool),
            "nonce_before": halt.halted.nonce_before,
            "nonce_while_halted": halt.halted.nonce,
            "filled_by": hex_text(halt.filler.attempt_hash),
            "filler": _inclusion_json(halt.filler),
        },
        "balances": [
            {
                "holder": balance.holder,
                "address": address_text(balance.address),
                "symbol": balance.symbol,
                "token": address_text(balance.token),
                "before": balance.before,
                "after": balance.after,
                "booked": balance.booked,
            }
            for balance in result.balances
        ],
        "chain": {
            "rpc_url": stage.devnet.info.rpc_url,
            "first_block": stage.start_number,
            "last_block": result.last_number,
            "key": address_text(stage.key),
            "treasury": address_text(stage.treasury),
            "weth": address_text(stage.devnet.book.address("weth")),
        },
        "kept_in": None if keep is None else str(stage.directory),
        "kernel_started_in_s": round(result.kernel_started_in_s, 3),
        "took_s": round(result.took_s, 3),
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    sys.stdout.flush()


def tell_as_text(result: Result, keep: Path | None) -> None:
    play, halt = result.play, result.halt
    say = narrate(quiet=False)
    say("\nThe account\n===========")
    for plan in result.plans:
        say(f"\n#{plan.row.number}  {plan.row.strategy}: {play.note(plan.row)}")
        for label, text in _plan_facts(result, plan):
            say(_fact(label, text))
        if plan.row.number == halt.plan:
            say(_fact("instead", hex_text(halt.filler.attempt_hash)))
            say(_fact("", f"{_where(halt.filler)}: what stopping it cost"))
    say("\nBalances\n========")
    say("\n".join(_balance_lines(result)))
    say(f"\nThe whole demo took {result.took_s:.1f} s.")
    if keep is None:
        say("Nothing of it is left. `seawall demo --keep DIR` leaves chain, ledger and log to look at.")
    else:
        folder = play.stage.directory
        say(
            f"\nThe chain goes on ({play.stage.devnet.info.rpc_url}); configuration, ledger and"
            " kernel.log are in"
            f" {folder}. Look around, then take the chain down:"
        )
        say(f"  seawall plans list --config {play.stage.configuration}")
        say(f"  seawall devnet down --directory {folder / 'devnet'}")


def _plan_facts(result: Result, plan: PlanAccount) -> list[tuple[str, str]]:
    row, words = plan.row, result.play.words
    facts = [(row.state.value, "" if row.reason else "and final")]
    if row.reason and plan.verdict is not None and not plan.verdict.admitted and not plan.attempts:
        facts = [(row.state.value, "because of " + words.refusal(plan.verdict))]
    elif row.reason:
        facts = [(row.state.value, words.sentence(row.reason))]
    if plan.verdict is not None:
        facts.append(("verdict", _judged(plan.verdict, len(plan.verdicts))))
    for attempt in plan.attempts:
        facts.append(("transaction", hex_text(attempt.hash)))
        facts.append(("", _whereabouts(plan, attempt)))
    if row.realised_wei is not None and row.predicted_wei is not None:
        facts.append(("predicted", f"{ether(row.predicted_wei)} after gas ({row.predicted_wei} wei of WETH)"))
        facts.append(("realised", f"{ether(row.realised_wei)} after gas ({row.realised_wei} wei of WETH)"))
    return facts


def _judged(verdict: Verdict, times: int) -> str:
    again = f"; judged {times} times, this is the last" if times > 1 else ""
    guards = verdict.measurements[1:]
    if not guards:
        return f"refused by simulation on block {verdict.base_number}, no guard was asked{again}"
    passed = sum(found.passed for found in guards)
    word = "admitted" if verdict.admitted else "refused"
    return f"{word} on block {verdict.base_number}: {passed} of {len(guards)} guards passed{again}"


def _whereabouts(plan: PlanAccount, attempt: AttemptRow) -> str:
    found = plan.inclusion_of(attempt)
    if found is None:
        written = f"written {attempt.writes} times" if attempt.writes else "never written"
        return f"nonce {attempt.nonce}, {written}: not on chain"
    return _where(found)


def _where(found: InclusionRow) -> str:
    return (
        f"nonce {found.nonce}, block {found.block_number}, {found.gas_used} gas, fee {ether(found.fee_wei)}"
        f" ({found.fee_wei} wei)"
    )


def _balance_lines(result: Result) -> list[str]:
    words, stage = result.play.words, result.play.stage
    moved = [balance for balance in result.balances if balance.before or balance.after]
    rows = [("", f"block {stage.start_number}", f"block {result.last_number}", "change")]
    for balance in moved:
        sign = "+" if balance.booked > 0 else ""
        rows.append(
            (
                f"{balance.holder}",
                words.amount(balance.before, balance.token),
                words.amount(balance.after, balance.token),
                sign + words.amount(balance.booked, balance.token),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows
    ]
    still = len(result.balances) - len(moved)
    return [
        *lines,
        f"  {_names(result.balances)}: {still} of these {len(result.balances)} balances are 0 at both ends.",
        f"  Checked: all {len(result.balances)} changes, as eth_getBalance and balanceOf give them,"
        " equal the sum of"
        " the ledger's postings to the last unit.",
    ]


def _names(found: Sequence[Balance]) -> str:
    holders = ", ".join(dict.fromkeys(balance.holder for balance in found))
    symbols = ", ".join(dict.fromkeys(balance.symbol for balance in found))
    return f"{symbols} of {holders}"


def _plan_json(plan: PlanAccount) -> dict[str, object]:
    row = plan.row
    return {
        "id": row.number,
        "strategy": row.strategy,
        "status": row.state.value,
        "note": row.plan.note,
        "reason": row.reason,
        "verdict": None if plan.verdict is None else _verdict_json(plan.verdict),
        "transactions": [_transaction_json(plan, attempt) for attempt in plan.attempts],
        "profit_predicted_wei": row.predicted_wei,
        "fee_predicted_wei": _fee_predicted_wei(plan),
        "profit_realised_wei": row.realised_wei,
    }


def _fee_predicted_wei(plan: PlanAccount) -> int | None:
    """The fee in the predicted profit, which is that of the verdict it was signed under: judging again may
    find another."""
    for row in plan.verdicts:
        if row.verdict.predicted_wei is not None and row.verdict.predicted_wei == plan.row.predicted_wei:
            return row.verdict.expected_fee_wei
    return None


def _verdict_json(verdict: Verdict) -> dict[str, object]:
    return {
        "admitted": verdict.admitted,
        "block_hash": hex_text(verdict.base_hash),
        "guards": [
            {
                "guard": found.guard,
                "measured": found.measured,
                "limit": found.limit,
                "margin": found.margin,
                "unit": found.unit,
                "passed": found.passed,
                "reason": found.reason,
            }
            for found in verdict.measurements
        ],
    }


def _transaction_json(plan: PlanAccount, attempt: AttemptRow) -> dict[str, object]:
    found = plan.inclusion_of(attempt)
    where: dict[str, object] = (
        {"block_number": None, "block_hash": None, "gas_used": None, "fee_wei": None}
        if found is None
        else _inclusion_json(found)
    )
    return {"hash": hex_text(attempt.hash), "nonce": attempt.nonce, **where}


def _inclusion_json(found: InclusionRow) -> dict[str, object]:
    return {
        "block_number": found.block_number,
        "block_hash": hex_text(found.block_hash),
        "gas_used": found.gas_used,
        "fee_wei": found.fee_wei,
    }


def _fact(label: str, text: str) -> str:
    return f"    {label:<{_LABEL_WIDTH}}{text}"


def _wrapped(line: str) -> str:
    """Long lines go on under their text, which begins after the indent or after a label's gap."""
    begin = _BEGIN.match(line)
    assert begin is not None
    indent = " " * len(begin[0])
    parts = textwrap.wrap(
        line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(parts or [""]) + "\n"
