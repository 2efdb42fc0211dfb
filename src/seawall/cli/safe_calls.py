"""Calls as a person writes them, made into bytes: a function by its signature, arguments as texts.

{"to": "@weth", "function": "transfer(address,uint256)", "arguments": ["0x...", "5"]}
{"to": "0x...", "value": "1.5"}
{"to": "0x...", "data": "0x..."}
"""

from __future__ import annotations

import json
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.native import AbiValue, encode_call
from seawall.primitives.errors import InputError, NativeError
from seawall.primitives.units import address_text, hex_text, token_amount
from seawall.runtime.configuration.names import address_of
from seawall.runtime.plan_form import Form

__all__ = ["call_of", "calls_in"]

_KEYS: Final = ("to", "value", "data", "function", "arguments")
_NATIVE_DECIMALS: Final = 18


def calls_in(content: bytes, where: str, book: AddressBook) -> list[dict[str, str]]:
    """Every call of a file, in the form of the kernel's socket."""
    try:
        tree: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is not JSON: {error}", where, "give a list of calls") from None
    items = tree if isinstance(tree, list) else [tree]
    return [call_of(item, f"{where}[{place}]", book) for place, item in enumerate(items)]


def call_of(content: object, where: str, book: AddressBook) -> dict[str, str]:
    form = Form(content, where, _KEYS)
    if "data" in form and "function" in form:
        raise InputError("data and function say the same twice", form.place("data"), "keep one of them")
    data = form.hex("data") if "data" in form else _encoded(form, book) if "function" in form else b""
    return {
        "to": address_text(address_of(form.text("to"), form.place("to"), book)),
        "value_wei": str(token_amount(form.text("value", "0"), _NATIVE_DECIMALS)),
        "data": hex_text(data),
    }


def _encoded(form: Form, book: AddressBook) -> bytes:
    signature, texts = form.text("function"), form.texts("arguments")
    name, bracket, inside = signature.partition("(")
    kinds = [kind for kind in inside.removesuffix(")").split(",") if kind]
    where = form.place("function")
    if not (name and bracket and inside.endswith(")")) or len(kinds) != len(texts):
        what = f"{signature[:60]!r} with {len(texts)} arguments is no call"
        raise InputError(what, where, "write name(type,type) and give one argument for each type")
    values = [
        _value(kind, text, form.place("arguments"), book) for kind, text in zip(kinds, texts, strict=True)
    ]
    try:
        return encode_call(signature, values)
    except NativeError as error:
        raise InputError(error.what, where, error.fix) from None


def _value(kind: str, text: str, where: str, book: AddressBook) -> AbiValue:
    """Of a plain type; what has lists or tuples in it is given as data."""
    try:
        if kind == "address":
            return address_of(text, where, book)
        if kind == "bool" and text in ("true", "false"):
            return text == "true"
        if kind == "string":
            return text
        if kind.startswith("bytes"):
            return bytes.fromhex(text.removeprefix("0x"))
        if kind.startswith(("uint", "int")):
            return int(text)
    except ValueError:
        pass
    raise InputError(f"{text[:60]!r} is no {kind[:20]}", where, "write it as its type wants, or give --data")
