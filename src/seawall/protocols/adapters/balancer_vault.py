"""What pools of Balancer V2 have in common: the Vault keeps their balances, trades them, and may be paused.

A book names pools with the pool's id as their `reference`, beside `balancer_vault`, and gives the decimals of
the tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.native import abi_decode, encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import EncodingError, InputError, ProtocolError
from seawall.primitives.units import Address, address_text, hash_from_text
from seawall.protocols.adapters.actions import Action, Swap
from seawall.protocols.adapters.base import Dependency, DependencyKind, PolicyPart, Quote
from seawall.protocols.adapters.pair_shares import FOREVER_S
from seawall.protocols.adapters.pools import NamedPool, swap_quote, token_set
from seawall.protocols.adapters.refusals import foreign_token, market_refusals, refused, unsupported
from seawall.protocols.answers import Answers, bytes_answer, integer_answer
from seawall.protocols.executor.operations import CallWithAllowance, Measured, Splice
from seawall.protocols.executor.policy import (
    Listing,
    TokenPolicy,
    anything,
    content,
    equal_to,
    in_set,
    ourselves,
)

__all__ = ["VaultPool", "vault_pool"]

_TOKENS_MAX: Final = 8
_GIVEN_IN: Final = 0
_SWAP: Final = (
    "swap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool),uint256,uint256)"
)
# Where the encoding of `_SWAP` puts them: seven head words, then the first tuple.
_AMOUNT_WORD: Final = 11
_LIMIT_WORD: Final = 5


@dataclass(frozen=True, slots=True)
class VaultPool:
    """What never changes about a pool."""

    name: str
    """Of the adapter."""
    vault: Address
    pool: Address
    pool_id: bytes
    tokens: tuple[Address, ...]
    """Ascending, as the Vault keeps them, without the pool's own shares."""

    def reads(self) -> tuple[Read, ...]:
        call = encode_call("getPoolTokens(bytes32)", (self.pool_id,))
        return (
            Read(self.label("tokens"), self.vault, call),
            self.view("fee", "getSwapFeePercentage()"),
            self.view("paused", "getPausedState()"),
            Read(self.label("vault-paused"), self.vault, encode_call("getPausedState()", ())),
        )

    def view(self, what: str, function: str) -> Read:
        """Of the pool itself, without arguments."""
        return Read(self.label(what), self.pool, encode_call(function, ()))

    def paused(self, answers: Answers) -> bool:
        return any(self.number(answers, what) for what in ("paused", "vault-paused"))

    def number(self, answers: Answers, what: str) -> int:
        return integer_answer(answers, self.label(what), "uint256")

    def balances(self, answers: Answers) -> tuple[int, ...]:
        """As the Vault counts them; the tokens must be those that the book names."""
        label = self.label("tokens")
        # Offsets, lengths and the last block's number take six words beside the two lists.
        raw = bytes_answer(answers, label)[: 32 * (2 * _TOKENS_MAX + 6)]
        try:
            tokens, balances, _ = abi_decode(("address[]", "uint256[]", "uint256"), raw)
        except EncodingError:
            tokens, balances = (), ()
        if not isinstance(balances, list | tuple) or not isinstance(tokens, list | tuple):
            tokens, balances = (), ()
        found = tuple(
            balance
            for token, balance in zip(tokens, balances, strict=False)
            if isinstance(balance, int) and token != self.pool
        )
        if tuple(token for token in tokens if token != self.pool) != self.tokens or len(found) != len(
            self.tokens
        ):
            raise ProtocolError(
                what="the Vault does not answer with the balances of the pool's tokens",
                where=f"read {label!r}",
                fix="check the pool's id and tokens in the address book",
            )
        return found

    def places(self, action: Swap) -> tuple[int, int]:
        for token in (action.token_in, action.token_out):
            self.require(token)
        if action.token_in == action.token_out:
            raise refused("a swap of a token for itself", self.name, "name the other token")
        return self.tokens.index(action.token_in), self.tokens.index(action.token_out)

    def require(self, token: Address) -> None:
        if token not in self.tokens:
            raise foreign_token(self.name, token)

    def quote(self, action: Action, refusal: str, amount_out_down: Callable[[int, int, int], int]) -> Quote:
        """Of a swap, unless the state has a `refusal`; by the places of its tokens and what is brought."""
        if not isinstance(action, Swap):
            raise unsupported(self.name, action)
        place_in, place_out = self.places(action)
        if refusal:
            raise refused(refusal, self.name, "wait, or use another pool")
        with market_refusals(self.name):
            return swap_quote(self.name, action, lambda amount: amount_out_down(place_in, place_out, amount))

    def build(self, action: Action, account: Address) -> CallWithAllowance:
        if not isinstance(action, Swap):
            raise unsupported(self.name, action)
        self.places(action)
        amounts = {_AMOUNT_WORD: action.amount_in, _LIMIT_WORD: action.min_out}
        known = {word: 0 if isinstance(x, Measured) else x for word, x in amounts.items()}
        single = (self.pool_id, _GIVEN_IN, action.token_in, action.token_out, known[_AMOUNT_WORD], b"")
        funds = (account, False, account, False)
        return CallWithAllowance(
            self.vault,
            encode_call(_SWAP, (single, funds, known[_LIMIT_WORD], FOREVER_S)),
            action.token_in,
            action.amount_in,
            splices=tuple(Splice(n, x) for n, x in amounts.items() if isinstance(x, Measured)),
            measure=action.measure,
        )

    def swap_policy(self) -> PolicyPart:
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

    def dependencies(self) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, "balancer-v2"),
            *(Dependency(DependencyKind.ASSET, address_text(token).lower()) for token in self.tokens),
        )

    def label(self, what: str) -> str:
        return f"{self.name}:{self.pool.hex()}:{what}"


def vault_pool(book: AddressBook, pool: NamedPool, family: str, suffixes: tuple[str, ...]) -> VaultPool:
    tokens = tuple(sorted(pool.tokens))
    reference = book[pool.name].reference
    if reference is None or pool.suffix not in suffixes or len(tokens) >= _TOKENS_MAX:
        raise InputError(
            f"{pool.name} has no id, too many tokens, or a name that says more than its tokens",
            f"address book of chain {book.chain_id}",
            "give the pool's id as its reference, and name it <kind>_<token>_<token>",
        )
    pool_id = hash_from_text(reference)
    return VaultPool(
        f"{family}:{pool.pair_name}", book.address("balancer_vault"), pool.address, pool_id, tokens
    )
