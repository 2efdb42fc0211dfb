"""Weighted pools of Balancer V2, traded through its Vault; one adapter a pool.

A book names pools `balancer_<token>_<token>...`, with the pool's id as their `reference`, beside
`balancer_vault`, and gives the decimals of the tokens. A name that ends in `_v1` is a pool of the first
version, which computes powers another way.

What the Vault lends is `protocols.balancer_v2`.

Not done: bringing and taking back liquidity, whose amounts hide in the pool's own user data (their exact
maths are in `markets.balancer_weighted`); stable and composable pools.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.balancer_weighted import WeightedPool
from seawall.native import abi_decode, encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import EncodingError, InputError, ProtocolError
from seawall.primitives.units import Address, address_text, hash_from_text
from seawall.protocols.adapters.actions import Action, Swap
from seawall.protocols.adapters.answer_lists import integer_list
from seawall.protocols.adapters.base import (
    Dependency,
    DependencyKind,
    PolicyPart,
    Position,
    PositionKind,
    Quote,
    Rates,
)
from seawall.protocols.adapters.holdings import Holdings, holding_of, holding_reads, holdings
from seawall.protocols.adapters.pair_shares import FOREVER_S
from seawall.protocols.adapters.pools import NamedPool, pools_named, swap_quote, token_set
from seawall.protocols.adapters.refusals import foreign_token, market_refusals, refused, unsupported
from seawall.protocols.answers import Answers, integer_answer
from seawall.protocols.executor.operations import CallWithAllowance, Measured, Operation, Splice
from seawall.protocols.executor.policy import (
    Listing,
    TokenPolicy,
    anything,
    content,
    equal_to,
    in_set,
    ourselves,
)

__all__ = ["BalancerV2Adapter", "BalancerV2State", "from_book"]

_PREFIX: Final = "balancer"
_FIRST_VERSION: Final = "v1"
_TOKENS_MAX: Final = 8
_GIVEN_IN: Final = 0
_SWAP: Final = (
    "swap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool),uint256,uint256)"
)
# Where the encoding of `_SWAP` puts them: seven head words, then the first tuple.
_AMOUNT_WORD: Final = 11
_LIMIT_WORD: Final = 5


@dataclass(frozen=True, slots=True)
class BalancerV2State:
    pool: WeightedPool
    paused: bool
    held: Holdings
    """Pool shares of the holders that were asked about."""


@dataclass(frozen=True, slots=True)
class BalancerV2Adapter:
    chain_id: int
    name: str
    vault: Address
    pool: Address
    pool_id: bytes
    tokens: tuple[Address, ...]
    """Ascending, as the Vault keeps them."""
    scales: tuple[int, ...]
    """What makes 18 decimals of an amount of each token."""
    first_version: bool = False

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Swap})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        return (
            Read(self._label("tokens"), self.vault, encode_call("getPoolTokens(bytes32)", (self.pool_id,))),
            Read(self._label("weights"), self.pool, encode_call("getNormalizedWeights()", ())),
            Read(self._label("fee"), self.pool, encode_call("getSwapFeePercentage()", ())),
            Read(self._label("supply"), self.pool, encode_call(self._supply_function(), ())),
            Read(self._label("paused"), self.pool, encode_call("getPausedState()", ())),
            Read(self._label("vault-paused"), self.vault, encode_call("getPausedState()", ())),
            *holding_reads(self.name, self.pool, holders),
        )

    def decode(self, answers: Answers, block: Block) -> BalancerV2State:
        del block
        paused = [
            integer_answer(answers, self._label(what), "uint256") for what in ("paused", "vault-paused")
        ]
        with market_refusals(self.name):
            pool = WeightedPool(
                self.pool,
                self._balances(answers),
                self.scales,
                integer_list(answers, self._label("weights")),
                integer_answer(answers, self._label("fee"), "uint256"),
                integer_answer(answers, self._label("supply"), "uint256"),
                simple_powers=not self.first_version,
            )
        return BalancerV2State(pool, any(paused), holdings(self.name, self.pool, answers))

    def quote(self, state: BalancerV2State, action: Action, account: Address) -> Quote:
        del account
        if not isinstance(action, Swap):
            raise unsupported(self.name, action)
        place_in, place_out = self._places(action)
        if state.paused:
            raise refused("pool or Vault are paused", self.name, "wait, or use another pool")
        with market_refusals(self.name):
            return swap_quote(
                self.name, action, lambda amount: state.pool.amount_out_down(place_in, place_out, amount)
            )

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        if not isinstance(action, Swap):
            raise unsupported(self.name, action)
        self._places(action)
        amounts = {_AMOUNT_WORD: action.amount_in, _LIMIT_WORD: action.min_out}
        known = {word: 0 if isinstance(x, Measured) else x for word, x in amounts.items()}
        single = (self.pool_id, _GIVEN_IN, action.token_in, action.token_out, known[_AMOUNT_WORD], b"")
        funds = (account, False, account, False)
        return (
            CallWithAllowance(
                self.vault,
                encode_call(_SWAP, (single, funds, known[_LIMIT_WORD], FOREVER_S)),
                action.token_in,
                action.amount_in,
                splices=tuple(Splice(n, x) for n, x in amounts.items() if isinstance(x, Measured)),
                measure=action.measure,
            ),
        )

    def policy(self, account: Address) -> PolicyPart:
        del account
        tokens = token_set(*self.tokens)
        single = (
            equal_to(int.from_bytes(self.pool_id)),
            equal_to(_GIVEN_IN),
            in_set(tokens.set_id),
            in_set(tokens.set_id),
            anything(),
            content(b""),
        )
        funds = (ourselves(), equal_to(0), ourselves(), equal_to(0))
        return PolicyPart(
            listings=(Listing(self.vault, _SWAP, (*single, *funds, anything(), anything())),),
            tokens=tuple(TokenPolicy(token, allowance=True) for token in self.tokens),
            sets=(tokens,),
        )

    def positions(self, state: BalancerV2State, holder: Address) -> tuple[Position, ...]:
        """One position a token, all with the same receipt: the shares stand for them together."""
        shares = holding_of(holder, state.held, self.name)
        if shares == 0:
            return ()
        with market_refusals(self.name):
            amounts = state.pool.amounts_out_down(shares)
        return tuple(
            Position(holder, PositionKind.SHARE, token, amount, self.pool, shares)
            for token, amount in zip(self.tokens, amounts, strict=True)
        )

    def liquidity(self, state: BalancerV2State, token: Address) -> int:
        if token not in self.tokens:
            raise foreign_token(self.name, token)
        return state.pool.balances[self.tokens.index(token)]

    def rates(self, state: BalancerV2State, token: Address, change: int = 0) -> Rates:
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, "balancer-v2"),
            *(Dependency(DependencyKind.ASSET, address_text(token).lower()) for token in self.tokens),
        )

    def _places(self, action: Swap) -> tuple[int, int]:
        for token in (action.token_in, action.token_out):
            if token not in self.tokens:
                raise foreign_token(self.name, token)
        if action.token_in == action.token_out:
            raise refused("a swap of a token for itself", self.name, "name the other token")
        return self.tokens.index(action.token_in), self.tokens.index(action.token_out)

    def _balances(self, answers: Answers) -> tuple[int, ...]:
        """As the Vault counts them; the tokens must be those that the book names."""
        label = self._label("tokens")
        # Offsets, lengths and the last block's number take six words beside the two lists.
        raw = (answers.get(label) or b"")[: 32 * (2 * _TOKENS_MAX + 6)]
        try:
            tokens, balances, _ = abi_decode(("address[]", "uint256[]", "uint256"), raw)
        except EncodingError:
            tokens, balances = (), ()
        if not isinstance(balances, list | tuple) or not isinstance(tokens, list | tuple):
            tokens, balances = (), ()
        found = tuple(balance for balance in balances if isinstance(balance, int))
        if tuple(tokens) != self.tokens or len(found) != len(self.tokens):
            raise ProtocolError(
                what="the Vault does not answer with the balances of the pool's tokens",
                where=f"read {label!r}",
                fix="check the pool's id and tokens in the address book",
            )
        return found

    def _supply_function(self) -> str:
        """The first version mints nothing later; the others owe their protocol shares until the next join."""
        return "totalSupply()" if self.first_version else "getActualSupply()"

    def _label(self, what: str) -> str:
        return f"{self.name}:{self.pool.hex()}:{what}"


def from_book(book: AddressBook) -> tuple[BalancerV2Adapter, ...]:
    if f"{_PREFIX}_vault" not in book:
        return ()
    return tuple(_adapter(book, pool) for pool in pools_named(book, _PREFIX))


def _adapter(book: AddressBook, pool: NamedPool) -> BalancerV2Adapter:
    tokens = tuple(sorted(pool.tokens))
    reference = book[pool.name].reference
    if reference is None or pool.suffix not in ("", _FIRST_VERSION) or len(tokens) > _TOKENS_MAX:
        raise InputError(
            f"{pool.name} has no id, too many tokens, or a name that says more than its tokens",
            f"address book of chain {book.chain_id}",
            f"give the pool's id as its reference, and name it {_PREFIX}_<token>_<token>",
        )
    return BalancerV2Adapter(
        book.chain_id,
        f"{_PREFIX}_v2:{pool.pair_name}",
        book.address(f"{_PREFIX}_vault"),
        pool.address,
        hash_from_text(reference),
        tokens,
        tuple(10**18 // pool.unit(book, token) for token in tokens),
        pool.suffix == _FIRST_VERSION,
    )
