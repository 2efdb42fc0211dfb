"""What a call does, in words, for whoever decides about it: tokens that move, rules of a Safe that change.

A selector is not proof of what a contract does: words are a reading, the simulation is the evidence. What is
not known is said to be so, with its selector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.native import abi_decode, encode_call, selector
from seawall.primitives.errors import EncodingError
from seawall.primitives.units import Address, address_text, hex_text
from seawall.protocols.safe.multisend import InnerCall

__all__ = ["CallWords", "is_rule_change", "words_of"]

_KNOWN: Final = (
    ("transfer(address,uint256)", "to", "amount"),
    ("approve(address,uint256)", "spender", "amount"),
    ("transferFrom(address,address,uint256)", "from", "to", "amount"),
    ("deposit()",),
    ("withdraw(uint256)", "amount"),
    ("approveHash(bytes32)", "hash"),
    ("addOwnerWithThreshold(address,uint256)", "owner", "threshold"),
    ("removeOwner(address,address,uint256)", "previous", "owner", "threshold"),
    ("swapOwner(address,address,address)", "previous", "old", "new"),
    ("changeThreshold(uint256)", "threshold"),
    ("enableModule(address)", "module"),
    ("disableModule(address,address)", "previous", "module"),
    ("setGuard(address)", "guard"),
    ("setFallbackHandler(address)", "handler"),
)
_BY_SELECTOR: Final = {selector(entry[0]): entry for entry in _KNOWN}


@dataclass(frozen=True, slots=True)
class CallWords:
    """One call, read. `function` is empty where it is not known."""

    call: InnerCall
    function: str
    arguments: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """One line."""
        value = f" with {self.call.value_wei} wei" if self.call.value_wei else ""
        where = address_text(self.call.to)
        if not self.call.data:
            return f"send {self.call.value_wei} wei to {where}"
        if not self.function:
            return f"call {hex_text(self.call.data[:4])} ({len(self.call.data)} bytes) of {where}{value}"
        inside = ", ".join(f"{name} {value}" for name, value in self.arguments)
        return f"{self.function.partition('(')[0]}({inside}) of {where}{value}"


def words_of(call: InnerCall) -> CallWords:
    """The call as far as it is known; arguments that are not exactly its own make it unknown."""
    entry = _BY_SELECTOR.get(call.data[:4])
    if entry is None:
        return CallWords(call, "", ())
    signature, names = entry[0], entry[1:]
    kinds = [kind for kind in signature.partition("(")[2].rstrip(")").split(",") if kind]
    try:
        values = abi_decode(kinds, call.data[4:])
        if encode_call(signature, values) != call.data:
            return CallWords(call, "", ())
    except EncodingError:
        return CallWords(call, "", ())
    said = tuple((name, _shown(kind, value)) for name, kind, value in zip(names, kinds, values, strict=True))
    return CallWords(call, signature, said)


def is_rule_change(call: InnerCall, safe: Address) -> bool:
    """Whether it goes to the Safe itself: only that can change its owners, threshold, modules or guard."""
    return call.to == safe


def _shown(kind: str, value: object) -> str:
    if isinstance(value, bytes):
        return address_text(value) if kind == "address" else hex_text(value)
    return str(value)
