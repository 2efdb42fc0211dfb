"""A tried strategy file as a document, and as text: steps, values, verdict, flows of tokens, calls by name.

Names come from the address book, functions from what the protocols' adapters list and the interfaces known
here. What nobody knows is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.cli.output import Json, print_facts, print_line, print_table
from seawall.cli.shapes import measurement_view, plan_view
from seawall.native import abi_decode, selector
from seawall.native.evm import CallFrame, TokenFlow
from seawall.primitives.codec import plan_digest
from seawall.primitives.errors import NativeError
from seawall.primitives.units import NATIVE, Address, address_text, hex_text
from seawall.protocols.adapters.base import Exact
from seawall.protocols.executor.artifacts import EXECUTOR, PLAN_CHECKS, REGISTRY, RISK_BOOK, load_artifact
from seawall.protocols.executor.events import decode_revert
from seawall.runtime.rehearsing import Judged, Seen
from seawall.strategies.scripts.kinds import Base
from seawall.strategies.scripts.script import Script
from seawall.strategies.scripts.signatures import parameters_of

__all__ = ["Names", "document_of", "print_document"]

FRAMES_SHOWN_MAX: Final = 300
FLOWS_SHOWN_MAX: Final = 200
_SELECTOR_BYTES: Final = 4
_ARGUMENTS_SHOWN: Final = 6
_SHOWN_CHARS: Final = 44
_MANY: Final = 2**255
_ADDRESS: Final = re.compile(r"\b0x[0-9a-fA-F]{40}\b")

# Interfaces that calls pass through on their way, which no adapter lists.
_KNOWN: Final = (
    "balanceOf(address)",
    "transfer(address,uint256)",
    "transferFrom(address,address,uint256)",
    "approve(address,uint256)",
    "allowance(address,address)",
    "deposit()",
    "withdraw(uint256)",
    "getReserves()",
    "getPair(address,address)",
    "swap(uint256,uint256,address,bytes)",
    "swap(address,bool,int256,uint160,bytes)",
    "flashLoan(address,address[],uint256[],bytes)",
    "receiveFlashLoan(address[],uint256[],uint256[],bytes)",
    "flashLoanSimple(address,address,uint256,bytes,uint16)",
    "executeOperation(address,uint256,uint256,address,bytes)",
    "uniswapV2Call(address,uint256,uint256,bytes)",
    "uniswapV3SwapCallback(int256,int256,bytes)",
    "latestRoundData()",
    "decimals()",
    "factory()",
    "token0()",
    "token1()",
    "fee()",
    "getFlashLoanFeePercentage()",
)


@dataclass(frozen=True)
class Names:
    """What addresses, amounts and functions are called."""

    book: AddressBook
    signers: Mapping[str, Address]
    script: Script

    def address(self, address: bytes | None) -> str:
        if address is None:
            return "a new contract"
        if address == NATIVE:
            return "native"
        entry = self.book.find(address)
        if entry is not None:
            return entry.name
        return next(
            (f"signer {n}" for n, key in self.signers.items() if key == address), address_text(address)
        )

    def amount(self, token: bytes, amount: int) -> str:
        """`1.5 weth`; an amount of something unknown in its smallest unit."""
        entry = None if token == NATIVE else self.book.find(token)
        decimals = 18 if token == NATIVE else entry.decimals if entry is not None else None
        return f"{_decimal(amount, decimals or 0)} {self.address(token)}"

    def value(self, name: str, value: int) -> str:
        """One of the file's values, in its unit."""
        kind = self.script.scope.definitions[name].kind
        if kind.unit is not None:
            return f"{_decimal(value, kind.unit.decimals)} {kind.unit.name}"
        units = {
            Base.BPS: f"{value} bps",
            Base.DURATION: f"{value} s",
            Base.BOOL: "true" if value else "false",
        }
        return units.get(kind.base, str(value))

    def told(self, text: str) -> str:
        """A sentence with names in place of addresses."""
        return _ADDRESS.sub(lambda match: self.address(bytes.fromhex(match.group()[2:])), text)

    @cached_property
    def functions(self) -> Mapping[bytes, str]:
        listed = [
            listing.signature
            for adapter in self.script.scope.needs.adapters.values()
            for listing in adapter.policy(self.script.account.address).listings
        ]
        return {selector(signature): signature for signature in (*listed, *_KNOWN, *_ours())}

    def call(self, frame: CallFrame) -> str:
        """`uniswap_v2_weth_usdx.swap(...)`."""
        target = self.address(frame.to)
        if len(frame.input) < _SELECTOR_BYTES:
            return f"{target} <- nothing but value"
        signature = self.functions.get(frame.input[:_SELECTOR_BYTES])
        if signature is None:
            return f"{target}.{hex_text(frame.input[:_SELECTOR_BYTES])}(...)"
        return f"{target}.{signature.partition('(')[0]}({self._arguments(signature, frame.input)})"

    def _arguments(self, signature: str, data: bytes) -> str:
        kinds = parameters_of(signature) or ()
        try:
            values = abi_decode(kinds, data[_SELECTOR_BYTES:])
        except NativeError:
            return "..."
        told = [self._argument(value) for value in values[:_ARGUMENTS_SHOWN]]
        return ", ".join(told if len(values) <= _ARGUMENTS_SHOWN else [*told, "..."])

    def _argument(self, value: object) -> str:
        if isinstance(value, bytes):
            text = self.address(value) if len(value) == len(NATIVE) else hex_text(value)
        elif isinstance(value, tuple | list):
            text = f"[{', '.join(map(self._argument, value))}]"
        elif isinstance(value, int) and not isinstance(value, bool) and value >= _MANY:
            text = "max"
        else:
            text = str(value)
        return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def _ours() -> list[str]:
    """Functions of our own contracts."""
    return [
        f"{item['name']}({_types_of(item.get('inputs'))})"
        for contract in (EXECUTOR, REGISTRY, RISK_BOOK, PLAN_CHECKS)
        for item in load_artifact(contract).abi
        if item["type"] == "function"
    ]


def _types_of(parameters: object) -> str:
    assert isinstance(parameters, list), "the compiler lists them"
    return ",".join(_type_of(one) for one in parameters if isinstance(one, dict))


def _type_of(parameter: Mapping[str, object]) -> str:
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({_types_of(parameter.get('components'))}){kind.removeprefix('tuple')}"


def document_of(names: Names, seen: Seen, judged: Judged | None, depth: int) -> dict[str, Json]:
    """`depth` 1 tells the plan, 2 the verdict too, 3 flows and calls."""
    found, block = seen.attempt, seen.observation.block
    document: dict[str, Json] = {
        "strategy": names.script.name,
        "block_number": block.number,
        "block_hash": hex_text(block.hash),
        "values": {name: names.value(name, value) for name, value in found.values.items()},
        "steps": [
            {
                "verb": one.verb,
                "where": names.address(bytes.fromhex(one.where)) if one.verb == "flash" else one.where,
                "takes": _amounts(names, one.takes),
                "gives": _amounts(names, one.gives),
                "at_least": _amounts(names, one.least),
                "depth": one.depth,
            }
            for one in found.taken
        ],
        "plan": None,
    }
    if found.plan is None:
        document["reason"] = found.reason
        document["at"] = str(found.place) if found.place is not None else ""
        return document
    plan = found.plan
    document["plan"] = {
        **plan_view(plan),
        "digest": hex_text(plan_digest(plan)),
        "runs_at": names.address(plan.target),
        "note": plan.note,
        "expects": [
            f"{names.address(one.holder)} {names.amount(one.token, one.change)}"
            f" (tolerance {one.tolerance_bps} bps)"
            for one in plan.expected
        ],
    }
    if judged is not None:
        document |= _judged_view(names, judged, depth)
    return document


def _judged_view(names: Names, judged: Judged, depth: int) -> dict[str, Json]:
    verdict, result = judged.verdict, judged.result
    token = judged.candidate.plan.accounting_token
    predicted = verdict.predicted_floor_wei
    view: dict[str, Json] = {
        "admitted": verdict.admitted,
        "explanation": names.told(verdict.explanation),
        "gas_used": result.gas_used,
        "gas_limit": judged.candidate.payload.gas_limit,
        "max_total_fee": names.amount(NATIVE, verdict.max_total_fee_wei),
        "profit_floor": None if predicted is None else names.amount(token, predicted),
        "measurements": [
            {**measurement_view(one), "reason": names.told(one.reason)} for one in verdict.measurements
        ],
    }
    if depth > 2:
        view["flows"] = [_flow(names, one) for one in result.flows[:FLOWS_SHOWN_MAX]]
        view["balances"] = _net(names, result.flows)
        view["calls"] = [_frame(names, one) for one in (result.trace or ())[:FRAMES_SHOWN_MAX]]
    return view


def _flow(names: Names, flow: TokenFlow) -> dict[str, Json]:
    token = NATIVE if flow.token is None else flow.token
    return {
        "from": names.address(flow.sender),
        "to": names.address(flow.recipient),
        "amount": names.amount(token, flow.amount),
        "units": str(flow.amount),
        "token": names.address(token),
    }


def _net(names: Names, flows: Sequence[TokenFlow]) -> list[Json]:
    """What everybody has more or less of in the end."""
    net: dict[tuple[bytes, bytes], int] = {}
    for flow in flows:
        token = NATIVE if flow.token is None else flow.token
        for holder, change in ((flow.sender, -flow.amount), (flow.recipient, flow.amount)):
            net[(holder, token)] = net.get((holder, token), 0) + change
    return [
        {"holder": names.address(holder), "change": names.amount(token, change)}
        for (holder, token), change in net.items()
        if change
    ]


def _frame(names: Names, frame: CallFrame) -> dict[str, Json]:
    failed = None if frame.success else decode_revert(frame.output)
    return {
        "depth": frame.depth,
        "kind": frame.kind,
        "call": names.call(frame),
        "value": str(frame.value_wei),
        "gas_used": frame.gas_used,
        "success": frame.success,
        "reason": failed.text if failed is not None else "",
    }


def _amounts(names: Names, amounts: Sequence[Exact]) -> str:
    return ", ".join(names.amount(one.token, one.amount) for one in amounts)


def print_document(document: Mapping[str, Json]) -> None:
    """For people."""
    print_line(f"{document['strategy']} at block {document['block_number']}")
    values = _mapping(document["values"])
    if values:
        print_line("")
        print_facts({f"  {name}": value for name, value in values.items()})
    steps = _rows(document["steps"])
    if steps:
        print_line("")
        rows = [
            (
                "  " * _number(one["depth"]) + str(one["verb"]),
                one["where"],
                one["takes"],
                one["gives"],
                one["at_least"],
            )
            for one in steps
        ]
        print_table(("step", "where", "takes", "gives", "at least"), rows, "")
    plan = document["plan"]
    if plan is None:
        print_line(f"no plan: {document['reason']}")
        if document["at"]:
            print_line(f"     at: {document['at']}")
        if document.get("line"):
            print_line(f"         {document['line']}")
        return
    told = _mapping(plan)
    print_line("")
    print_facts({"plan": told["note"], "runs at": told["runs_at"], "digest": told["digest"]})
    for text in _texts(told["expects"]):
        print_line(f"expects: {text}")
    if "admitted" in document:
        _print_verdict(document)
    if "calls" in document:
        _print_trace(document)


def _print_verdict(document: Mapping[str, Json]) -> None:
    answer = "admitted" if document["admitted"] else f"refused: {document['explanation']}"
    print_line("")
    print_facts(
        {
            "verdict": answer,
            "gas": f"{document['gas_used']} used, limit {document['gas_limit']}",
            "largest fee": document["max_total_fee"],
            "least profit": document["profit_floor"] or "not measured",
        }
    )
    columns = ("guard", "passed", "measured", "limit", "margin", "unit", "reason")
    rows = [[one[column] for column in columns] for one in _rows(document["measurements"])]
    print_table(columns, rows, "no guard was asked")


def _print_trace(document: Mapping[str, Json]) -> None:
    flows = [(one["from"], "->", one["to"], one["amount"]) for one in _rows(document["flows"])]
    print_table(("from", "", "to", "amount"), flows, "no token moves")
    net = [(one["holder"], one["change"]) for one in _rows(document["balances"])]
    print_table(("in the end", "has more or less"), net, "nobody has more or less")
    for one in _rows(document["calls"]):
        failed = "" if one["success"] else f"  FAILED {one['reason']}"
        print_line(f"{'  ' * _number(one['depth'])}{one['call']}  [{one['gas_used']} gas]{failed}")


def _decimal(amount: int, decimals: int) -> str:
    whole, rest = divmod(abs(amount), 10**decimals)
    fraction = f"{rest:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{'-' if amount < 0 else ''}{whole}{'.' if fraction else ''}{fraction}"


def _mapping(value: Json) -> Mapping[str, Json]:
    assert isinstance(value, Mapping)
    return value


def _rows(value: Json) -> Sequence[Mapping[str, Json]]:
    assert isinstance(value, list)
    return [one for one in value if isinstance(one, Mapping)]


def _texts(value: Json) -> Sequence[str]:
    assert isinstance(value, list)
    return [str(one) for one in value]


def _number(value: Json) -> int:
    assert isinstance(value, int)
    return value
