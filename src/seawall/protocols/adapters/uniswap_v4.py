"""Uniswap V4: exact quotes of pools without hooks, one adapter a pool. It does not trade.

A V4 pool is state inside the one PoolManager, read by `extsload` at the slots of its storage layout; the
curve is V3's. The fee of a swap is the protocol's and, on what that leaves, the pool's own. The native coin
is a currency like others (the zero address there, `NATIVE` here).

A book names the manager `uniswap_v4_manager`; its `reference` lists pools as `token/token/fee/spacing`,
separated by commas, with the tokens' names in the book or `native`.

Not done: building operations (the manager calls back whoever unlocks it, which the executor does not speak),
pools with hooks, whose quotes are whatever the hook says, and fees that are set anew for every swap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.uniswap_v3 import V3Pool
from seawall.native import abi_encode, encode_call, keccak256
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import InputError
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address, address_text
from seawall.protocols import uniswap_v3 as protocol
from seawall.protocols.adapters.actions import Action, Swap
from seawall.protocols.adapters.base import (
    Dependency,
    DependencyKind,
    PolicyPart,
    Position,
    Quote,
    Rates,
)
from seawall.protocols.adapters.refusals import (
    foreign_token,
    market_refusals,
    refused,
    unsupported,
)
from seawall.protocols.adapters.v3_swaps import quote_over_ticks, window_of
from seawall.protocols.answers import Answers, integer_answer
from seawall.protocols.executor.operations import Operation

__all__ = ["UniswapV4Adapter", "UniswapV4State", "from_book"]

_BOOK_NAME: Final = "uniswap_v4_manager"
_NATIVE_NAME: Final = "native"
_PIPS: Final = 1_000_000
# A fee with this bit is set by a hook.
_DYNAMIC_FEE: Final = 1 << 23
# Storage of the PoolManager: the mapping of pools, and within a pool.
_POOLS_SLOT: Final = 6
_LIQUIDITY_AT: Final = 3
_TICKS_AT: Final = 4
_BITMAP_AT: Final = 5


@dataclass(frozen=True, slots=True)
class UniswapV4State:
    pool: V3Pool | None
    """None until bitmap and ticks around the price were read."""
    protocol_fees_pips: tuple[int, int]
    """Of selling currency0, and of selling currency1."""


@dataclass(frozen=True, slots=True)
class UniswapV4Adapter:
    chain_id: int
    name: str
    manager: Address
    currency0: Address
    """As the manager names it: zero is the native coin."""
    currency1: Address
    fee_pips: int
    tick_spacing: int

    @property
    def actions(self) -> frozenset[type[Action]]:
        """Of which `build` refuses every one."""
        return frozenset({Swap})

    @property
    def pool_id(self) -> bytes:
        key = (self.currency0, self.currency1, self.fee_pips, self.tick_spacing, ZERO_ADDRESS)
        return keccak256(abi_encode(("address", "address", "uint24", "int24", "address"), key))

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        del holders
        return self._translated(protocol.NOTHING_READ)

    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        del holders
        with market_refusals(self.name):
            observed = protocol.observe(self._market(), self._window(answers), self._as_v3(answers))
        return tuple(read for read in self._translated(observed.next_window) if read.label not in answers)

    def decode(self, answers: Answers, block: Block) -> UniswapV4State:
        del block
        packed = integer_answer(answers, self._label("slot0"), "uint256")
        fees, stored_fee = packed >> 184 & 0xFFFFFF, packed >> 208 & 0xFFFFFF
        if packed and stored_fee != self.fee_pips:
            raise refused(
                f"the pool takes {stored_fee} pips instead of {self.fee_pips}",
                self.name,
                "correct the fee in the address book",
            )
        with market_refusals(self.name):
            observed = protocol.observe(self._market(), self._window(answers), self._as_v3(answers))
        return UniswapV4State(observed.pool, (fees & 0xFFF, fees >> 12))

    def quote(self, state: UniswapV4State, action: Action, account: Address) -> Quote:
        del account
        if not isinstance(action, Swap):
            raise unsupported(self.name, action)
        zero_for_one = self._direction(action)
        pool = state.pool
        if pool is not None:
            pool = self._with_fee(pool, state.protocol_fees_pips[0 if zero_for_one else 1])
        with market_refusals(self.name):
            return quote_over_ticks(self.name, pool, action, zero_for_one)

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        del account
        if not isinstance(action, Swap):
            raise unsupported(self.name, action)
        raise refused("pools of V4 are quoted, not traded", self.name, "trade in a pool of V2 or V3")

    def policy(self, account: Address) -> PolicyPart:
        del account
        return PolicyPart()

    def positions(self, state: UniswapV4State, holder: Address) -> tuple[Position, ...]:
        """Positions of V4 are not read: none of ours can be there, since nothing here brings liquidity."""
        del state, holder
        return ()

    def liquidity(self, state: UniswapV4State, token: Address) -> int:
        """Not known from what is read: no more than a swap can be quoted for."""
        del state, token
        raise refused("pools of V4 share one vault", self.name, "quote the swap that you have in mind")

    def rates(self, state: UniswapV4State, token: Address, change: int = 0) -> Rates:
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        tokens = (_ours(currency) for currency in (self.currency0, self.currency1))
        return (
            Dependency(DependencyKind.PROTOCOL, "uniswap-v4"),
            *(Dependency(DependencyKind.ASSET, address_text(token).lower()) for token in tokens),
        )

    def _direction(self, action: Swap) -> bool:
        tokens = (_ours(self.currency0), _ours(self.currency1))
        for token in (action.token_in, action.token_out):
            if token not in tokens:
                raise foreign_token(self.name, token)
        if action.token_in == action.token_out:
            raise refused("a swap of a token for itself", self.name, "name the other token")
        return action.token_in == tokens[0]

    def _with_fee(self, pool: V3Pool, protocol_fee_pips: int) -> V3Pool:
        own = pool.fee_pips
        fee = protocol_fee_pips + own - protocol_fee_pips * own // _PIPS
        return V3Pool(
            pool.address,
            pool.token0,
            pool.token1,
            fee,
            pool.tick_spacing,
            pool.sqrt_price_x96,
            pool.tick,
            pool.liquidity,
            pool.ticks,
        )

    def _market(self) -> protocol.V3Market:
        """The pool as one of V3, under the head of its id, so that the same code walks its ticks."""
        address = Address(self.pool_id[:20])
        return protocol.V3Market(address, self.currency0, self.currency1, self.fee_pips, self.tick_spacing)

    def _translated(self, window: protocol.V3Window) -> tuple[Read, ...]:
        """What V3 asks a pool, asked of the manager's storage."""
        return (
            self._slot_read("slot0", 0),
            self._slot_read("liquidity", _LIQUIDITY_AT),
            *(self._mapped_read("word", _BITMAP_AT, word) for word in window.words),
            *(self._mapped_read("tick", _TICKS_AT, tick) for tick in window.ticks),
        )

    def _slot_read(self, what: str, offset: int) -> Read:
        slot = (self._base_slot() + offset).to_bytes(32)
        return Read(self._label(what), self.manager, encode_call("extsload(bytes32)", (slot,)))

    def _mapped_read(self, what: str, mapping_at: int, key: int) -> Read:
        base = self._base_slot() + mapping_at
        slot = keccak256(abi_encode(("int256", "uint256"), (key, base)))
        return Read(self._label(f"{what}:{key}"), self.manager, encode_call("extsload(bytes32)", (slot,)))

    def _base_slot(self) -> int:
        return int.from_bytes(keccak256(abi_encode(("bytes32", "uint256"), (self.pool_id, _POOLS_SLOT))))

    def _as_v3(self, answers: Answers) -> Answers:
        """The same answers under V3's labels and in V3's types."""
        prefix = f"v3:{self._market().address.hex()}:"
        found: dict[str, bytes | None] = {}
        for label, what in self._known(answers):
            word = integer_answer(answers, label, "uint256")
            if what == "slot0":
                tick = (word >> 160 & 0xFFFFFF ^ 0x800000) - 0x800000
                found[prefix + what] = abi_encode(("uint256", "int256"), (word & (1 << 160) - 1, tick))
            elif what == "liquidity":
                found[prefix + what] = abi_encode(("uint256",), (word & (1 << 128) - 1,))
            elif what.startswith("tick:"):
                gross, net = word & (1 << 128) - 1, word >> 128
                signed = net - (1 << 128) if net >> 127 else net
                found[prefix + what] = abi_encode(("uint256", "int256"), (gross, signed))
            else:
                found[prefix + what] = abi_encode(("uint256",), (word,))
        return found

    def _window(self, answers: Answers) -> protocol.V3Window:
        """What of the pool was read already."""
        return window_of(what for _, what in self._known(answers))

    def _known(self, answers: Answers) -> tuple[tuple[str, str], ...]:
        prefix = self._label("")
        return tuple((label, label.removeprefix(prefix)) for label in answers if label.startswith(prefix))

    def _label(self, what: str) -> str:
        return f"{self.name}:{self.pool_id.hex()}:{what}"


def _ours(currency: Address) -> Address:
    return NATIVE if currency == ZERO_ADDRESS else currency


def from_book(book: AddressBook) -> tuple[UniswapV4Adapter, ...]:
    if _BOOK_NAME not in book:
        return ()
    listed = (book[_BOOK_NAME].reference or "").split(",")
    return tuple(_adapter(book, pool) for pool in listed if pool)


def _adapter(book: AddressBook, pool: str) -> UniswapV4Adapter:
    parts = pool.split("/")
    numbers = parts[2:]
    fits = len(parts) == 4 and all(number.isdecimal() for number in numbers)
    if not fits or int(numbers[0]) >= _DYNAMIC_FEE:
        raise InputError(
            f"{pool[:80]!r} is not a pool that can be quoted",
            f"{_BOOK_NAME}, address book of chain {book.chain_id}",
            "list pools as token/token/fee/spacing, with a fee that is fixed",
        )
    named = (ZERO_ADDRESS if name == _NATIVE_NAME else book.address(name) for name in parts[:2])
    currency0, currency1 = sorted(named)
    return UniswapV4Adapter(
        book.chain_id,
        f"uniswap_v4:{'-'.join(parts)}",
        book.address(_BOOK_NAME),
        currency0,
        currency1,
        int(numbers[0]),
        int(numbers[1]),
    )
