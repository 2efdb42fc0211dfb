"""What a call will read, found by running it on state that is not there: for nodes that tell no access lists.

Flow: a run on what was fetched stops soon after the first thing that it lacks. So what it lacks is *assumed*:
an unknown account answers whoever calls it, an unknown slot has some value; and the call is run again, which
goes on to the next unknown thing. Where it fails instead, what may have made it fail is changed: what was
read last, or the answer of the call that failed. What all these runs lacked is fetched in one batch, and the
next look begins on what is true by then, until a run lacks nothing.

Nothing here is a result. What is found is fetched like any hint, and the call itself is run on fetched state
alone afterwards. It is bounded in runs and keys, and gives up without harm: what it did not find is fetched
as it is missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from typing import Final

from seawall.chain.state import StateKeys
from seawall.native.evm import CallFrame, Evm, EvmTransaction, Missing, StateOverride
from seawall.primitives.units import Address

__all__ = ["look"]

# Runs of one look, and what it may find.
RUNS_MAX: Final = 24
KEYS_MAX: Final = 64

_WORD_BYTES: Final = 32
_WORDS: Final = 8
_BALANCE_OF: Final = bytes.fromhex("70a08231")
# Calls that run the code of another on the slots of the caller.
_BORROWED: Final = ("delegatecall", "callcode")

# Forms of what is assumed, the likeliest first. An answer of ones is true and an amount, of zeros an empty
# list, the third an address and a larger amount. A slot holds nothing, something in each field, or one.
_ONE: Final = (1).to_bytes(_WORD_BYTES, "big")
_ZERO: Final = bytes(_WORD_BYTES)
_MUCH: Final = (0xFFFFFF << 64).to_bytes(_WORD_BYTES, "big")
_ANSWERS: Final = (_ONE, _ZERO, _MUCH)
_VALUES: Final = (_ZERO, 4 * bytes.fromhex("0000000000ffffff"), _ONE)
_IMPLEMENTATION: Final = bytes.fromhex("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc")
_ANY: Final = b""  # in place of a selector

_Slot = tuple[bytes, bytes]
_Function = tuple[bytes, bytes]  # account and selector
_Change = tuple[dict[tuple[bytes, bytes], int], tuple[bytes, bytes], int]
"""Slots or functions, which of them, and the form that it is to have."""
_Reach = tuple[int, ...]
"""How far a run came: the calls made by the outermost one, by the last of those if it failed, and so on."""


def look(evm: Evm, transaction: EvmTransaction, codes: Mapping[bytes, bytes]) -> StateKeys:
    """What the call is likely to need and is not loaded; nothing where it runs on what is there. `codes` are
    those of accounts that are loaded, as far as they are at hand."""
    if not isinstance(evm.run([transaction], [], [], False), Missing):
        return StateKeys()
    one = _Look(evm, transaction, transaction.to or b"", codes)
    one.run()
    return StateKeys(
        tuple(map(Address, one.accounts)),
        (
            *[(Address(account), slot) for account, slot in islice(one.slots, KEYS_MAX)],
            # Where a proxy keeps its code's place (EIP-1967): asked of whatever is new, it saves a round.
            *[(Address(account), _IMPLEMENTATION) for account in one.accounts],
        ),
        (),
        tuple(one.numbers),
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """A call that failed."""

    function: _Function
    holder: bytes  # whose slots it reads
    calls: int  # that it made
    asked: _Function | None = None  # the last of them
    asked_holder: bytes | None = None
    tokens: tuple[bytes, ...] = ()  # that it asked for balances


@dataclass(slots=True)
class _Look:
    """Runs of one call on what is known and what is assumed, until they meet nothing new."""

    evm: Evm
    transaction: EvmTransaction
    to: bytes
    codes: Mapping[bytes, bytes]
    accounts: dict[bytes, None] = field(default_factory=dict)
    slots: dict[_Slot, int] = field(default_factory=dict)  # and the form of each
    numbers: dict[int, None] = field(default_factory=dict)
    _answers: dict[_Function, int] = field(default_factory=dict)
    _runs: int = 0

    @property
    def _found(self) -> int:
        return len(self.accounts) + len(self.slots) + len(self.numbers)

    def run(self) -> None:
        path = self._run()
        while path and self._runs < RUNS_MAX and self._found < KEYS_MAX:
            path = self._further(path)

    def _further(self, path: list[_Step]) -> list[_Step]:
        """The first change that brings it further: to something new, or past where it failed. Nothing where
        none does."""
        reach, found = _reach(path), self._found
        for forms, key, form in list(self._changes(path)):
            before = forms.get(key)
            forms[key] = form
            after = self._run()
            if not after or self._found > found or _reach(after) > reach:
                return after
            if before is None:
                del forms[key]
            else:
                forms[key] = before
        return []

    def _run(self) -> list[_Step]:
        """Run it, assuming whatever it lacks, until it ends. Where it failed; nothing if it did not."""
        while self._runs < RUNS_MAX and self._found < KEYS_MAX:
            self._runs += 1
            answer = self.evm.run([self.transaction], [], self._overrides(), True)
            if not isinstance(answer, Missing):
                return [] if answer.success else _failed_path(answer.transactions[0].trace or [])
            for account in (*answer.accounts, *answer.codes):
                self.accounts[account] = None
                self._answers.setdefault((account, _ANY), 0)
            for slot in answer.slots:
                self.slots.setdefault(slot, 0)
            self.numbers.update(dict.fromkeys(answer.block_hashes))
        return []

    def _changes(self, path: Sequence[_Step]) -> Iterator[_Change]:
        """What may have made it fail, the likeliest first: from the innermost call that did outwards, what it
        was told by the last one that it asked, what it read itself, and then that it failed at all."""
        for step in reversed(path):
            for holder in dict.fromkeys((step.asked_holder, step.holder)):
                if holder is None or (holder, _ANY) in self._answers:
                    continue
                latest = next((slot for slot in reversed(self.slots) if slot[0] == holder), None)
                if latest is not None:
                    now = self.slots[latest]
                    yield from ((self.slots, latest, form) for form in range(len(_VALUES)) if form != now)
            yield from self._other_answers(step)

    def _other_answers(self, step: _Step) -> Iterator[_Change]:
        """Of whom it asked last, where it is a guess or nothing else can be; its own; and those of tokens."""
        for function in (step.asked, step.function):
            if function is None or not function[0] or function[0] == self.to:  # a creation has no address yet
                continue
            key = self._answerable(function)
            if key in self._answers or function is step.function or step.function[0] == self.to:
                now = self._answers.get(key)
                yield from ((self._answers, key, form) for form in range(len(_ANSWERS)) if form != now)
        for token in step.tokens:
            key = self._answerable((token, _BALANCE_OF))
            if key not in self._answers:
                yield self._answers, key, 0

    def _answerable(self, function: _Function) -> _Function:
        """The function alone, or all of an account whose code is not at hand."""
        whole = (function[0], _ANY)
        return whole if whole in self._answers or function[0] not in self.codes else function

    def _overrides(self) -> list[StateOverride]:
        values: dict[bytes, list[_Slot]] = {}
        for (account, slot), form in self.slots.items():
            if (account, _ANY) not in self._answers:
                values.setdefault(account, []).append((slot, _VALUES[form]))
        functions: dict[bytes, dict[bytes, int]] = {}
        for (account, selector), form in self._answers.items():
            functions.setdefault(account, {})[selector] = form
        overrides = []
        for account, forms in functions.items():
            if _ANY in forms:
                overrides.append(StateOverride(account, 0, 1, _answering(forms[_ANY])))
                continue
            behind = bytes(byte ^ 0xFF for byte in account)
            overrides.append(StateOverride(behind, 0, 1, self.codes[account]))
            code = _passing(forms, behind)
            overrides.append(StateOverride(account, code=code, slots=values.pop(account, ())))
        return overrides + [StateOverride(account, slots=slots) for account, slots in values.items()]


# ---------------------------------------------------------------------- where it failed


def _failed_path(frames: Sequence[CallFrame]) -> list[_Step]:
    """From the outermost call inwards as far as calls failed."""
    path: list[_Step] = []
    place: int | None = 0 if frames else None
    holder = b""
    while place is not None:
        frame, last, calls = frames[place], None, 0
        tokens: dict[bytes, None] = {}
        holder = _holder(frame, holder)
        for index in range(place + 1, len(frames)):
            if frames[index].depth <= frame.depth:
                break
            if frames[index].depth == frame.depth + 1:
                last, calls = index, calls + 1
                if frames[index].input[:4] == _BALANCE_OF:
                    tokens[frames[index].to or b""] = None
        step = _Step(_function(frame), holder, calls, tokens=tuple(tokens))
        if last is not None:
            step = replace(step, asked=_function(frames[last]), asked_holder=_holder(frames[last], holder))
        path.append(step)
        place = last if last is not None and not frames[last].success else None
    return path


def _function(frame: CallFrame) -> _Function:
    return frame.to or b"", frame.input[:4]


def _holder(frame: CallFrame, caller: bytes) -> bytes:
    return caller if frame.kind in _BORROWED else frame.to or b""


def _reach(path: Sequence[_Step]) -> _Reach:
    return tuple([step.calls for step in path])


# ---------------------------------------------------------------------- code that answers

# `balanceOf` is 2**112 - (gas << 40): much, and more each time, so that who compares finds that some came in.
_BALANCE: Final = bytes.fromhex("5a60281b6e01" + 14 * "00" + "035f5260205ff3")


@cache
def _answering(form: int) -> bytes:
    """Code that answers `balanceOf` with a balance, and anything else in this form."""
    return _dispatching([(_BALANCE_OF, _BALANCE)], _words(_ANSWERS[form]))


def _passing(forms: Mapping[bytes, int], behind: bytes) -> bytes:
    """Code that answers these functions so, and passes on all else to the code that stands `behind`."""
    cases = [
        (selector, _BALANCE if selector == _BALANCE_OF and not form else _words(_ANSWERS[form]))
        for selector, form in forms.items()
    ]
    # calldatacopy of all, delegatecall, returndatacopy of all, and past the next jump if it succeeded
    return _dispatching(cases, bytes.fromhex(f"365f5f375f5f365f73{behind.hex()}5af43d5f5f3e"), returns=True)


def _dispatching(cases: Sequence[tuple[bytes, bytes]], rest: bytes, *, returns: bool = False) -> bytes:
    code = bytes.fromhex("5f3560e01c")  # the selector
    for selector, body in cases:
        there = len(code) + 12 + len(body)
        code += b"\x80\x63" + selector + bytes.fromhex(f"141561{there:04x}57") + body + b"\x5b"
    code += rest
    if returns:
        code += bytes.fromhex(f"61{len(code) + 7:04x}573d5ffd5b3d5ff3")
    return code


@cache
def _words(word: bytes) -> bytes:
    stores = b"".join(b"\x7f" + word + bytes((0x60, _WORD_BYTES * place, 0x52)) for place in range(_WORDS))
    return stores + bytes.fromhex(f"61{_WORD_BYTES * _WORDS:04x}5ff3")
