"""`seawall plans|tx|strategies list|show`: what the ledger remembers. Reads only, beside a running kernel
too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, load
from seawall.cli.output import Json, JsonOption, print_facts, print_json, print_line, print_table
from seawall.primitives.errors import InputError
from seawall.primitives.units import address_from_text, hash_from_text

if TYPE_CHECKING:
    from seawall.cli.shapes import Sent
    from seawall.ledger import Transaction
    from seawall.ledger.rows import AttemptRow
    from seawall.runtime.configuration.settings import Configuration

__all__ = ["ROWS_DEFAULT", "LimitOption", "plans", "read_ledger", "strategies", "transactions"]

T = TypeVar("T")

ROWS_DEFAULT: Final = 20
ROWS_MAX: Final = 1_000
_NATIVE_DECIMALS: Final = 18
_SHOWN_DECIMALS: Final = 6

plans = typer.Typer(help="Plans: what strategies wanted, and what became of it.", rich_markup_mode=None)
transactions = typer.Typer(help="Transactions: signed bytes and their fate.", rich_markup_mode=None)
strategies = typer.Typer(help="Strategies of the configuration.", rich_markup_mode=None)

LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=ROWS_MAX, help="At most so many.")]


@plans.command("list")
def list_plans(
    path: ConfigOption = DEFAULT_CONFIG,
    limit: LimitOption = ROWS_DEFAULT,
    before: Annotated[int | None, typer.Option(help="Only plans before this number, to page on.")] = None,
    strategy: Annotated[str | None, typer.Option("--strategy", "-s", help="Only of this strategy.")] = None,
    json: JsonOption = False,
) -> None:
    """The newest plans first."""
    from seawall.cli.shapes import plan_summary
    from seawall.primitives.identifiers import IntentNumber

    configuration = load(path)
    page = IntentNumber(before) if before is not None else None
    found = read_ledger(configuration, lambda tx: tx.intents.listing(limit, page, strategy))
    rows = [plan_summary(row) for row in found]
    if json:
        print_json({"plans": rows})
        return
    money = _Money(configuration)
    columns = ("plan", "strategy", "status", "predicted", "realised", "accepted", "why")
    print_table(
        columns,
        [
            (
                f"#{row['id']}",
                row["strategy"],
                row["status"],
                money(row, "profit_predicted_wei"),
                money(row, "profit_realised_wei"),
                _time(row["accepted_at_s"]),
                row["reason"] or row["note"],
            )
            for row in rows
        ],
        "No plan was accepted yet.",
    )


@plans.command("show")
def show_plan(
    number: Annotated[int, typer.Argument(help="The plan's number, as in the list.", min=1)],
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """One plan: every verdict with its measurements, every transaction, every posting."""
    from seawall.cli.shapes import plan_details
    from seawall.primitives.identifiers import IntentNumber

    def read(tx: Transaction) -> dict[str, Json]:
        intent = IntentNumber(number)
        row = tx.intents.get(intent)
        sent = [_sent(tx, attempt) for attempt in tx.attempts.of_intent(intent)]
        return plan_details(row, tx.verdicts.of_intent(intent), sent, tx.postings.of_intent(intent))

    configuration = load(path)
    details = read_ledger(configuration, read)
    if json:
        print_json(details)
    else:
        _print_plan(details, _Money(configuration))


@transactions.command("list")
def list_transactions(
    path: ConfigOption = DEFAULT_CONFIG, limit: LimitOption = ROWS_DEFAULT, json: JsonOption = False
) -> None:
    """The newest slots first, with all transactions that were made for each."""
    from seawall.cli.shapes import transaction_summary

    def read(tx: Transaction) -> list[Sent]:
        slots = tx.slots.listing(limit)
        return [
            _sent(tx, attempt) for slot in slots for attempt in tx.attempts.of_slot(slot.lane, slot.nonce)
        ]

    rows = [transaction_summary(sent) for sent in read_ledger(load(path), read)]
    if json:
        print_json({"transactions": rows})
        return
    columns = ("transaction", "chain", "nonce", "kind", "plans", "answer", "block", "finality")
    print_table(
        columns,
        [
            (
                row["hash"],
                row["chain_id"],
                row["nonce"],
                row["kind"],
                _numbers(row["plans"]),
                row["answer"],
                _part(row["included"], "block_number"),
                _part(row["included"], "finality"),
            )
            for row in rows
        ],
        "No transaction was signed yet.",
    )


@transactions.command("show")
def show_transaction(
    digest: Annotated[str, typer.Argument(metavar="HASH", help="The transaction's hash.")],
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """One transaction: its payload, fees, writes, and the blocks it was in."""
    from seawall.cli.shapes import transaction_details

    wanted = hash_from_text(digest)

    def read(tx: Transaction) -> dict[str, Json]:
        attempt = tx.attempts.by_hash(wanted)
        if attempt is None:
            raise InputError("this ledger has no such transaction", digest[:80], "see `seawall tx list`")
        return transaction_details(_sent(tx, attempt))

    details = read_ledger(load(path), read)
    if json:
        print_json(details)
    else:
        print_facts({name: _fact(value) for name, value in details.items()})


@strategies.command("list")
def list_strategies(path: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """The strategies of the configuration, with their mode."""
    configuration = load(path)
    rows: list[dict[str, Json]] = [
        {
            "name": one.name,
            "class": one.path,
            "chain_id": one.chain_id,
            "signer": one.signer,
            "mode": one.mode.value,
            "host": one.host,
        }
        for one in configuration.strategies
    ]
    if json:
        print_json({"strategies": rows})
    else:
        columns = ("name", "class", "chain_id", "signer", "mode", "host")
        print_table(
            columns, [[row[column] for column in columns] for row in rows], "No strategy is configured."
        )


def read_ledger(configuration: Configuration, work: Callable[[Transaction], T]) -> T:
    """Run `work` on a snapshot of the configuration's ledger."""
    from seawall.ledger import Ledger, LedgerSettings
    from seawall.primitives.ports import SystemClock, SystemEntropy

    settings = LedgerSettings(configuration.kernel.ledger_url, kernel=False)

    async def read() -> T:
        ledger = Ledger.open(settings, clock=SystemClock(), entropy=SystemEntropy())
        try:
            return await ledger.read(work)
        finally:
            await ledger.close()

    return asyncio.run(read())


def _sent(tx: Transaction, attempt: AttemptRow) -> Sent:
    from seawall.cli.shapes import Sent

    return Sent(attempt, tuple(tx.inclusions.of_attempt(attempt.number)))


def _print_plan(details: Mapping[str, Json], money: _Money) -> None:
    plan = details["plan"]
    assert isinstance(plan, Mapping)
    print_facts(
        {
            "plan": f"#{details['id']} of {details['strategy']}: {details['status']}",
            "why": details["reason"] or details["note"],
            "finality": details["finality"],
            "accepted": _time(details["accepted_at_s"]),
            "deadline": _time(plan["deadline_s"]),
            "target": plan["target"],
            "predicted": money(details, "profit_predicted_wei"),
            "realised": money(details, "profit_realised_wei"),
        }
    )
    for verdict in _tables(details["verdicts"]):
        answer = "admitted" if verdict["admitted"] else "refused"
        print_line(
            f"\nverdict on candidate {verdict['candidate']} at block {verdict['base_number']}: {answer}"
        )
        measurements = _tables(verdict["measurements"])
        columns = ("guard", "passed", "measured", "limit", "margin", "unit", "reason")
        print_table(
            columns, [[row[column] for column in columns] for row in measurements], "no guard was asked"
        )
    for sent in _tables(details["transactions"]):
        block = _part(sent["included"], "block_number")
        where = (
            f"in block {block}, {_part(sent['included'], 'finality')}"
            if block is not None
            else "not on chain"
        )
        print_line(f"transaction {sent['hash']} (nonce {sent['nonce']}, {sent['kind']}): {where}")
    for posting in _tables(details["postings"]):
        print_line(f"\nposting {posting['kind']} in block {posting['block_number']}")
        for leg in _tables(posting["legs"]):
            print_line(f"  {leg['account']}  {leg['token']}  {leg['delta']}")


def _tables(value: Json) -> Sequence[Mapping[str, Json]]:
    assert isinstance(value, list)
    return value


def _part(value: Json, name: str) -> Json:
    return value[name] if isinstance(value, Mapping) else None


def _numbers(value: Json) -> str:
    assert isinstance(value, list)
    return " ".join(f"#{number}" for number in value)


def _fact(value: Json) -> object:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    if isinstance(value, list):
        return "; ".join(str(_fact(item)) for item in value)
    return value


def _time(value: Json) -> str:
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, int) else ""


@dataclass(frozen=True, slots=True)
class _Money:
    """Amounts for eyes: whole tokens, cut to a few decimals. The exact numbers are in the JSON."""

    configuration: Configuration

    def __call__(self, row: Mapping[str, Json], field: str) -> str:
        value, chain_id, token = row[field], row["chain_id"], row["accounting_token"]
        if not isinstance(value, str):
            return ""
        chain = next((c for c in self.configuration.chains if c.network.chain_id == chain_id), None)
        if chain is None or not isinstance(token, str):
            return value
        if token == "native":  # noqa: S105  (a token of a chain)
            return f"{_tokens(int(value), _NATIVE_DECIMALS)} {chain.network.native_symbol}"
        entry = chain.book.find(address_from_text(token))
        if entry is None or entry.decimals is None:
            return value
        return f"{_tokens(int(value), entry.decimals)} {entry.symbol or entry.name}"


def _tokens(amount: int, decimals: int) -> str:
    whole, rest = divmod(abs(amount), 10**decimals)
    fraction = f"{rest:0{decimals}d}"[:_SHOWN_DECIMALS] if decimals else ""
    return f"{'-' if amount < 0 else ''}{whole}{'.' if fraction else ''}{fraction}"
