"""What a chain's gate judges by: limits, layers and facts, put together from the configuration.

Facts come from the chain's settings and its address book: prices, receipts and debts by their class, places
where positions lie, the uptime feed, the multicall that answers native balances, and the keys whose lanes
carry private traffic only. Layers of signers get their keys here, where keys are known.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from seawall.chain.addresses import AddressBook, AddressKind, TokenClass
from seawall.primitives.errors import ConfigError
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address
from seawall.protocols.adapters import convex, lido, redeemable
from seawall.protocols.adapters.position_views import is_debt_view
from seawall.risk.claims import ClaimPlace, Queue, Stake
from seawall.risk.guards.base import Guard
from seawall.risk.guards.own import load_own
from seawall.risk.guards.tokens import Exposure
from seawall.risk.layers import Layer, LayerKind, Limited
from seawall.risk.lending import LendingPlace, MorphoMarket
from seawall.risk.limits import ChainFacts, RiskLimits
from seawall.runtime.configuration.settings import ChainSettings, Configuration

__all__ = ["accruing", "claims_of", "limited_by", "own_guards_of", "require_countable"]

# View calls of one kind of guard, of the 1,024 that a simulation takes.
EXPOSURE_CALLS_MAX: Final = 512
_MULTICALL: Final = "multicall3"


def limited_by(configuration: Configuration, settings: ChainSettings, keys: Mapping[str, Address]) -> Limited:
    """Of one chain. `keys` are the addresses behind the signers' names."""
    chain_id = settings.network.chain_id
    base = configuration.limits.get(chain_id, RiskLimits())
    return Limited(
        replace(base, facts=_facts_of(settings, keys)),
        tuple(_with_key(layer, keys) for layer in configuration.layers.get(chain_id, ())),
    )


def require_countable(limited: Limited, holders: frozenset[Address]) -> None:
    """Exposures are read by one call for each token and address: `ConfigError` where these are too many."""
    groups = [*limited.base.exposures, *(one for layer in limited.layers for one in layer.says.exposures)]
    calls = {
        probe.label
        for group in groups
        for probe in Exposure(group, limited.base.facts, tuple(sorted(holders))).probes()
    }
    if len(calls) > EXPOSURE_CALLS_MAX:
        raise ConfigError(
            f"to measure exposures takes {len(calls)} calls a plan, and {EXPOSURE_CALLS_MAX} are the most",
            "limits.exposures",
            "list fewer tokens under [[chains.prices]], or use fewer signers on this chain",
        )


def own_guards_of(configuration: Configuration, chain_id: int) -> tuple[Guard, ...]:
    """The guards that the operator wrote for this chain, imported: their modules may lie where strategies'
    do."""
    wanted = [one for one in configuration.own_guards if one.chain_id == chain_id]
    if not wanted:
        return ()
    for place in reversed(configuration.hosts.python_path):
        if place not in sys.path:
            sys.path.insert(0, place)
    return tuple(load_own(one.name, one.path, one.settings, f"guard {one.name!r}") for one in wanted)


def _facts_of(settings: ChainSettings, keys: Mapping[str, Address]) -> ChainFacts:
    book = settings.book
    wrapped = settings.network.wrapped_native
    if wrapped is None and "weth" in book:
        wrapped = book.address("weth")
    return ChainFacts(
        prices=settings.prices,
        shares=settings.shares,
        receipts=_of_class(settings, TokenClass.RECEIPT),
        debts=_of_class(settings, TokenClass.DEBT),
        lending=accruing(settings),
        sequencer=settings.sequencer,
        multicall=_multicall_of(settings),
        private_keys=frozenset(keys[name] for name in settings.private.signers if name in keys),
        wrapped_native=wrapped,
        claims=claims_of(book),
        positions=frozenset(one.address for one in book.of_kind(AddressKind.POSITIONS)),
        position_debts=frozenset(
            one.address for one in book.of_kind(AddressKind.POSITIONS) if is_debt_view(one.name)
        ),
    )


def claims_of(book: AddressBook) -> tuple[ClaimPlace, ...]:
    """Stakes and queues of the protocols that the book knows."""
    stakes = [Stake(one.rewards, one.lp_token) for one in convex.from_book(book)]
    exits = [
        Queue(
            one.queue,
            (one.steth, one.wsteth),
            NATIVE,
            one.queue,
            "getWithdrawalRequests(address)",
            "getLastRequestId()",
        )
        for one in lido.from_book(book)
    ]
    redemptions = [
        Queue(
            one.issuer,
            (one.token,),
            one.asset,
            ZERO_ADDRESS,
            "openRequests(address)",
            "requestCount()",
            "queueFeeBps()",
        )
        for one in redeemable.from_book(book)
    ]
    return (*stakes, *exits, *redemptions)


def accruing(settings: ChainSettings) -> tuple[LendingPlace, ...]:
    """The chain's lending places; Morpho's markets are read accrued where that can be done."""
    multicall = _multicall_of(settings)
    return tuple(
        replace(place, multicall=multicall) if isinstance(place, MorphoMarket) else place
        for place in settings.lending
    )


def _multicall_of(settings: ChainSettings) -> Address | None:
    known = settings.network.multicall
    if known is None and _MULTICALL in settings.book:
        return settings.book.address(_MULTICALL)
    return known


def _of_class(settings: ChainSettings, kind: TokenClass) -> tuple[Address, ...]:
    return tuple(sorted(entry.address for entry in settings.book if entry.token_class is kind))


def _with_key(layer: Layer, keys: Mapping[str, Address]) -> Layer:
    if layer.kind is not LayerKind.SIGNER or layer.name not in keys:
        return layer
    return replace(layer, addresses=frozenset({keys[layer.name]}))
