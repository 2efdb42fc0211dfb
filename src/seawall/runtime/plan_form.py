"""The form in which a plan comes from outside: a JSON object becomes a `Plan`, or an error names the field.

    {"idempotency_key": "rent-2026-11", "deadline_s": 1795000000, "target": "0x...",
     "body": {"kind": "direct", "data": "0x...", "value_wei": "1000"}}

Optional beside these: `signer` (name or address; needed where the submitter has several), `accounting_token`
(default: native), `priority`, `depends_on`, `depends_finality`, `guards`, `expected`, `gas_limit`, `note`,
`retry_of`, `routing` (an object of `private`, `unlanded`, `window_blocks`, `alternatives`). The body of a
plan for the executor, which is then the target, is `{"kind": "executor", "beneficiary", "operations",
"bounds", "min_profit_wei"}`; operations are packed by `protocols.executor`, and so are `checks`, which may be
left out. With `"position": true` the plan leaves its result in an account, and asks for no profit.

Amounts are whole numbers in the smallest unit, as numbers or as texts. An address may be `@name` of the
chain's address book, or `@key` for the signer's own. The deadline is absolute, because the same plan said
again must have the same digest. Pure: neither clock nor ledger.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeVar

from seawall.chain.addresses import AddressBook
from seawall.primitives.bounds import TIME_S_MAX, UINT256_MAX
from seawall.primitives.errors import InputError, NativeError
from seawall.primitives.levels import Finality, Priority
from seawall.primitives.plans import DirectBody, ExecutorBody, GuardSpec, Plan, TokenBound, TokenDelta
from seawall.primitives.routes import WINDOW_BLOCKS_MAX, Routing, Unlanded
from seawall.primitives.units import BPS, NATIVE, Address, address_from_text, address_text

__all__ = ["Form", "PlanOrigin", "plan_of"]

ITEMS_MAX: Final = 256
TEXT_CHARS_MAX: Final = 4_096
_SHOWN_CHARS: Final = 60
_GAS_MAX: Final = 2**63 - 1
_OWN_KEY: Final = "@key"
_NATIVE_NAME: Final = "native"
_DIGITS: Final = re.compile(r"-?[0-9]{1,78}")
_HEX: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*")

_PLAN: Final = (
    "idempotency_key", "signer", "deadline_s", "target", "body", "accounting_token", "priority", "depends_on",
    "depends_finality", "guards", "expected", "gas_limit", "note", "retry_of", "routing",
)  # fmt: skip
_DIRECT: Final = ("kind", "data", "value_wei")
_EXECUTOR: Final = (
    "kind", "beneficiary", "operations", "bounds", "min_profit_wei", "checks", "position",
)  # fmt: skip
_BOUND: Final = ("token", "kind", "amount")
_DELTA: Final = ("holder", "token", "change", "tolerance_bps")
_GUARD: Final = ("name", "arguments")
_ROUTING: Final = ("private", "unlanded", "window_blocks", "alternatives")

E = TypeVar("E", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class PlanOrigin:
    """Whose plans these are, and what they may name."""

    submitter: str  # the strategy name under which they stand
    chain_id: int
    keys: Mapping[str, Address]  # lanes that it may use, by the signer's name
    book: AddressBook


class Form:
    """One JSON object, read strictly: it is told all its fields, and every refusal names the one it means."""

    def __init__(self, content: object, where: str, known: Sequence[str]) -> None:
        if not isinstance(content, dict):
            raise InputError(f"{_shown(content)} is not an object", where, "write {...}")
        self._content: Mapping[str, object] = content
        self.where = where
        for name in self._content:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                fix = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
                raise InputError("this field is not known", self.place(str(name)), fix)

    def __contains__(self, name: str) -> bool:
        return self._content.get(name) is not None

    def place(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name

    def value(self, name: str) -> object:
        value = self._content.get(name)
        if value is None:
            raise InputError("a required field is missing", self.place(name), "add it")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        if default is not None and name not in self:
            return default
        value = self.value(name)
        if not isinstance(value, str) or not value or len(value) > TEXT_CHARS_MAX:
            raise InputError(f"{_shown(value)} is not a text", self.place(name), "write a text in quotes")
        return value

    def number(self, name: str, default: int | None = None, *, least: int, most: int) -> int:
        if default is not None and name not in self:
            return default
        return self._within(name, self.value(name), least, most)

    def hex(self, name: str) -> bytes:
        value = self.value(name)
        if not isinstance(value, str) or not _HEX.fullmatch(value):
            raise InputError(f"{_shown(value)} is not hex", self.place(name), "write 0x and pairs of digits")
        return bytes.fromhex(value[2:])

    def choice(self, name: str, options: type[E], default: E) -> E:
        text = self.text(name, default.name.lower())
        for option in options:
            if option.name.lower() == text:
                return option
        names = ", ".join(option.name.lower() for option in options)
        raise InputError(f"{_shown(text)} is not one of the choices", self.place(name), f"use one of {names}")

    def items(self, name: str) -> list[tuple[object, str]]:
        """Each item of a list with its place; none where the field is absent."""
        value = self._content.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > ITEMS_MAX:
            raise InputError(
                f"{_shown(value)} is not a list", self.place(name), f"write [...], at most {ITEMS_MAX}"
            )
        return [(item, f"{self.place(name)}[{place}]") for place, item in enumerate(value)]

    def forms(self, name: str, known: Sequence[str]) -> list[Form]:
        return [Form(item, place, known) for item, place in self.items(name)]

    def texts(self, name: str) -> tuple[str, ...]:
        for item, place in self.items(name):
            if not isinstance(item, str) or not 0 < len(item) <= TEXT_CHARS_MAX:
                raise InputError(f"{_shown(item)} is not a text", place, "write a text in quotes")
        return tuple(str(item) for item, _ in self.items(name))

    def _within(self, name: str, value: object, least: int, most: int) -> int:
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError(f"{_shown(value)} is not a whole number", self.place(name), "write digits")
        if not least <= value <= most:
            raise InputError(f"{_shown(value)} is out of range", self.place(name), f"give {least} to {most}")
        return value


def plan_of(content: object, where: str, origin: PlanOrigin) -> Plan:
    """The plan that `content` describes. Raises `InputError` for its form, `PlanError` for its contents."""
    form = Form(content, where, _PLAN)
    key = _key_of(form, origin)
    names = _Names(origin.book, key)
    return Plan(
        strategy=origin.submitter,
        chain_id=origin.chain_id,
        key=key,
        body=_body_of(form, names),
        accounting_token=names.token(form, "accounting_token", _NATIVE_NAME),
        idempotency_key=form.text("idempotency_key"),
        deadline_s=form.number("deadline_s", least=1, most=TIME_S_MAX),
        guards=tuple(_guard_of(guard, names) for guard in form.forms("guards", _GUARD)),
        expected=tuple(_delta_of(delta, names) for delta in form.forms("expected", _DELTA)),
        priority=form.choice("priority", Priority, Priority.NORMAL),
        depends_on=form.texts("depends_on"),
        depends_finality=form.choice("depends_finality", Finality, Finality.SAFE),
        gas_limit=form.number("gas_limit", least=21_000, most=_GAS_MAX) if "gas_limit" in form else None,
        note=form.text("note", ""),
        retry_of=form.text("retry_of", ""),
        routing=_routing_of(form) if "routing" in form else None,
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """Addresses as they may be written: 0x with checksum, `@name` of the book, `@key`."""

    book: AddressBook
    key: Address

    def address(self, form: Form, name: str) -> Address:
        return self.parsed(form.text(name), form.place(name))

    def token(self, form: Form, name: str, default: str | None = None) -> Address:
        text = form.text(name, default)
        return NATIVE if text == _NATIVE_NAME else self.parsed(text, form.place(name))

    def parsed(self, text: str, where: str) -> Address:
        if text == _OWN_KEY:
            return self.key
        try:
            return self.book.address(text[1:]) if text.startswith("@") else address_from_text(text)
        except (InputError, NativeError) as error:
            raise InputError(error.what, where, error.fix) from None


def _key_of(form: Form, origin: PlanOrigin) -> Address:
    if "signer" not in form and len(origin.keys) == 1:
        return next(iter(origin.keys.values()))
    said = form.text("signer")
    for name, key in origin.keys.items():
        if said == name or said.lower() == address_text(key).lower():
            return key
    raise InputError(
        f"submitter {origin.submitter!r} may not use signer {_shown(said)}",
        form.place("signer"),
        f"use one of {', '.join(sorted(origin.keys))}, or configure it under [[submitters]]",
    )


def _body_of(form: Form, names: _Names) -> DirectBody | ExecutorBody:
    where, target = form.place("body"), names.address(form, "target")
    content = form.value("body")
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind == "direct":
        direct = Form(content, where, _DIRECT)
        data = direct.hex("data") if "data" in direct else b""
        return DirectBody(target, data, direct.number("value_wei", 0, least=0, most=UINT256_MAX))
    if kind != "executor":
        raise InputError(f"{_shown(kind)} is no kind of body", f"{where}.kind", "use direct or executor")
    body = Form(content, where, _EXECUTOR)
    bounds = tuple(
        TokenBound(
            names.token(bound, "token"), bound.text("kind"), bound.number("amount", least=0, most=UINT256_MAX)
        )
        for bound in body.forms("bounds", _BOUND)
    )
    position = _flag(body, "position")
    asked = "min_profit_wei" in body or not position
    profit_wei = body.number("min_profit_wei", least=0, most=UINT256_MAX) if asked else 0
    checks = body.hex("checks") if "checks" in body else b""
    return ExecutorBody(
        target,
        names.address(body, "beneficiary"),
        body.hex("operations"),
        bounds,
        profit_wei,
        checks,
        position,
    )


def _routing_of(plan: Form) -> Routing:
    form = Form(plan.value("routing"), plan.place("routing"), _ROUTING)
    private = _flag(form, "private")
    unlanded = form.text("unlanded", Unlanded.EXPIRE.value)
    if unlanded not in list(Unlanded):
        options = ", ".join(Unlanded)
        raise InputError(
            f"{_shown(unlanded)} is not one of the choices", form.place("unlanded"), f"use one of {options}"
        )
    return Routing(
        private=private,
        unlanded=Unlanded(unlanded),
        window_blocks=form.number("window_blocks", 0, least=0, most=WINDOW_BLOCKS_MAX),
        alternatives=form.text("alternatives", ""),
    )


def _flag(form: Form, name: str) -> bool:
    value = form.value(name) if name in form else False
    if not isinstance(value, bool):
        raise InputError(f"{_shown(value)} is neither", form.place(name), "write true or false")
    return value


def _delta_of(form: Form, names: _Names) -> TokenDelta:
    return TokenDelta(
        names.address(form, "holder"),
        names.token(form, "token"),
        form.number("change", least=-UINT256_MAX, most=UINT256_MAX),
        form.number("tolerance_bps", 50, least=0, most=BPS),
    )


def _guard_of(form: Form, names: _Names) -> GuardSpec:
    """Arguments in the order of their names, so that the digest does not depend on who wrote the JSON."""
    arguments = form.value("arguments") if "arguments" in form else {}
    where = form.place("arguments")
    if not isinstance(arguments, dict):
        raise InputError(f"{_shown(arguments)} is not an object", where, "write {...}")
    found = [
        (str(name), _argument_of(arguments[name], f"{where}.{name}", names)) for name in sorted(arguments)
    ]
    return GuardSpec(form.text("name"), tuple(found))


def _argument_of(value: object, where: str, names: _Names) -> int | bytes:
    """A whole number; or an address, written 0x... or @name."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= UINT256_MAX:
        return value
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, str) and value.startswith(("0x", "@")):
        return names.parsed(value, where)
    raise InputError(f"{_shown(value)} is no argument of a guard", where, "give a whole number or an address")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."
