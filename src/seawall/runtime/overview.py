"""One view over all chains of a configuration (CH-10): balances, nonces, what is under way, and health.

Flow: each chain is asked at the same time, from its configured endpoints, for one head and for everything
else of exactly that block; the ledger tells what is ours. No kernel has to run.

A chain that does not answer in `CHAIN_WAIT_S`, or whose newest block is old or of a time to come, is *stale*,
and the view says why. Totals are sums over fresh chains only and name the chains that they leave out: nothing
stale is ever added. A figure that could not be read is None, never zero.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressKind
from seawall.chain.client import ChainClient
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.ledger import Transaction
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import ProtocolError, SeawallError
from seawall.primitives.identifiers import Lane
from seawall.primitives.ports import Clock
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.protocols import erc20
from seawall.protocols.answers import integer_answer
from seawall.runtime.configuration.names import NATIVE_DECIMALS
from seawall.runtime.configuration.settings import ChainSettings, Configuration

__all__ = [
    "AHEAD_S_MAX",
    "CHAIN_WAIT_S",
    "STALE_BLOCKS",
    "STALE_S_MIN",
    "ChainView",
    "HolderView",
    "LaneView",
    "TokenFact",
    "Total",
    "chain_reader",
    "lanes_of",
    "totals",
    "view_chains",
]

CHAIN_WAIT_S: Final = 5.0
# A head this many block times old, and at least so many seconds, is stale.
STALE_BLOCKS: Final = 5
STALE_S_MIN: Final = 30
# Clocks differ, and some chains stamp a block with the time at which it is due.
AHEAD_S_MAX: Final = 60
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class TokenFact:
    address: Address
    symbol: str
    decimals: int


@dataclass(frozen=True, slots=True)
class LaneView:
    """What the ledger knows of a lane."""

    highest_nonce: int | None
    open_slots: int  # nonces that are not settled
    queued: int  # intents that wait for a nonce
    quarantine: str | None
    left_day: Mapping[Address, int]  # reserved or spent in the last day, by token [smallest unit]


@dataclass(frozen=True, slots=True)
class HolderView:
    """An address of ours on one chain, at the view's block."""

    name: str
    address: Address
    nonce: int | None  # the next one at the block; None: not read, or no key
    balances: Mapping[Address, int | None]  # by token [smallest unit]
    health_factors: Mapping[Address, int | None]  # by protocol [1e18]; None: it has none there
    lane: LaneView | None  # None: it signs nothing here
    is_key: bool = True  # else a contract of ours: the executor, a Safe


@dataclass(frozen=True, slots=True)
class ChainView:
    chain_id: int
    name: str
    tokens: tuple[TokenFact, ...]
    block: Block | None  # everything in `holders` is of this block
    age_s: int | None
    stale: str | None  # why its figures must not be relied on; None: fresh
    holders: tuple[HolderView, ...]


@dataclass(frozen=True, slots=True)
class Total:
    """What all our addresses hold of one symbol, over fresh chains."""

    symbol: str
    decimals: int
    amount: int | None  # [smallest unit]; None: no chain of it is fresh
    chains: tuple[str, ...]
    left_out: tuple[str, ...]  # stale, or not read


async def view_chains(
    configuration: Configuration,
    signers: Mapping[str, Address],
    lanes: Mapping[Lane, LaneView],
    clock: Clock,
) -> tuple[ChainView, ...]:
    """Every chain of the configuration, in its order. `signers` are addresses by name."""
    views = (
        _view(settings, _holders(configuration, settings, signers), lanes, clock)
        for settings in configuration.chains
    )
    return tuple(await asyncio.gather(*views))


def lanes_of(tx: Transaction, now_s: int) -> dict[Lane, LaneView]:
    """Every lane that the ledger knows."""
    rows = tx.lanes.all()
    queued = {
        lane: count
        for chain_id in {row.lane.chain_id for row in rows}
        for lane, count in tx.intents.queued_counts(chain_id).items()
    }
    views: dict[Lane, LaneView] = {}
    for row in rows:
        left: dict[Address, int] = {}
        for spend in tx.spends.since(row.lane, now_s - _DAY_S):
            left[spend.token] = left.get(spend.token, 0) + spend.amount
        views[row.lane] = LaneView(
            highest_nonce=tx.slots.highest(row.lane),
            open_slots=len(tx.slots.open(row.lane)),
            queued=queued.get(row.lane, 0),
            quarantine=row.quarantine,
            left_day=left,
        )
    return views


def totals(views: Sequence[ChainView]) -> tuple[Total, ...]:
    """By symbol and decimals, in the order of the chains: tokens of other decimals are other tokens."""
    found: dict[tuple[str, int], tuple[int, list[str], list[str]]] = {}
    for view in views:
        for token in view.tokens:
            amount, chains, left_out = found.get((token.symbol, token.decimals), (0, [], []))
            # Two names may stand for one address, whose money is there once.
            held = list({one.address: one.balances.get(token.address) for one in view.holders}.values())
            known = [one for one in held if one is not None]
            if view.stale is None and len(known) == len(held):
                found[token.symbol, token.decimals] = amount + sum(known), [*chains, view.name], left_out
            else:
                found[token.symbol, token.decimals] = amount, chains, [*left_out, view.name]
    return tuple(
        Total(symbol, decimals, amount if chains else None, tuple(chains), tuple(left_out))
        for (symbol, decimals), (amount, chains, left_out) in found.items()
    )


@contextlib.asynccontextmanager
async def chain_reader(settings: ChainSettings, clock: Clock) -> AsyncIterator[ChainClient]:
    """A client of a chain's read endpoints, for as long as the block lasts."""
    transports = [HttpTransport(endpoint.url) for endpoint in settings.rpc]
    pool = RpcPool(transports, chain_id=settings.network.chain_id, clock=clock, agreement=settings.agreement)
    try:
        yield ChainClient(pool, settings.network, verify_state=settings.verify_state)
    finally:
        await pool.close()


async def _view(
    settings: ChainSettings,
    holders: Sequence[tuple[str, Address, bool]],
    lanes: Mapping[Lane, LaneView],
    clock: Clock,
) -> ChainView:
    chain_id, name, tokens = settings.network.chain_id, settings.network.name, _tokens(settings)
    try:
        async with asyncio.timeout(CHAIN_WAIT_S), chain_reader(settings, clock) as client:
            block = await client.head()
            figures = await _figures(client, settings, tokens, [address for _, address, _ in holders], block)
    except (SeawallError, TimeoutError) as error:
        why = f"no answer within {CHAIN_WAIT_S:g} s" if isinstance(error, TimeoutError) else str(error)
        unread = _Figures({}, {}, {}, {})
        found = tuple(_holder(one, unread, settings, tokens, lanes) for one in holders)
        return ChainView(chain_id, name, tokens, None, None, why, found)
    behind_s = clock.now_s() - block.timestamp_s
    oldest_s = max(STALE_S_MIN, STALE_BLOCKS * settings.network.block_time_s)
    stale = f"its newest block is {behind_s} s old" if behind_s > oldest_s else None
    if behind_s < -AHEAD_S_MAX:
        stale = f"its newest block is {-behind_s} s ahead of this machine's clock"
    age_s = max(0, behind_s)
    found = tuple(_holder(one, figures, settings, tokens, lanes) for one in holders)
    return ChainView(chain_id, name, tokens, block, age_s, stale, found)


@dataclass(frozen=True, slots=True)
class _Figures:
    nonces: Mapping[Address, int]
    native: Mapping[Address, int]
    tokens: Mapping[tuple[Address, Address], int]  # by holder and token
    health: Mapping[tuple[Address, Address], int]  # by holder and protocol


async def _figures(
    client: ChainClient,
    settings: ChainSettings,
    tokens: Sequence[TokenFact],
    holders: Sequence[Address],
    block: Block,
) -> _Figures:
    named: dict[str, tuple[bool, Address, Address]] = {}
    reads: list[Read] = []
    for holder in holders:
        for token in tokens:
            if token.address != NATIVE:
                read = erc20.balance_read(token.address, holder)
                named[read.label] = (True, holder, token.address)
                reads.append(read)
        for target in settings.health:
            label = f"health factor of {address_text(holder)} at {address_text(target)}"
            named[label] = (False, holder, target)
            reads.append(Read(label, target, encode_call("healthFactor(address)", (holder,))))
    nonces, native, answers = await asyncio.gather(
        client.nonces_at(holders, block.hash),
        client.balances_at(holders, block.hash),
        client.call_at(reads, block),
    )
    balances: dict[tuple[Address, Address], int] = {}
    health: dict[tuple[Address, Address], int] = {}
    for label, (is_balance, holder, target) in named.items():
        # What is no contract answers with nothing or with noise: not known, and not zero.
        with contextlib.suppress(ProtocolError):
            (balances if is_balance else health)[holder, target] = integer_answer(answers, label, "uint256")
    return _Figures(
        dict(zip(holders, nonces, strict=True)), dict(zip(holders, native, strict=True)), balances, health
    )


def _holder(
    named: tuple[str, Address, bool],
    figures: _Figures,
    settings: ChainSettings,
    tokens: Sequence[TokenFact],
    lanes: Mapping[Lane, LaneView],
) -> HolderView:
    name, address, is_key = named
    return HolderView(
        name=name,
        address=address,
        nonce=figures.nonces.get(address) if is_key else None,
        balances={
            token.address: figures.native.get(address)
            if token.address == NATIVE
            else figures.tokens.get((address, token.address))
            for token in tokens
        },
        health_factors={target: figures.health.get((address, target)) for target in settings.health},
        lane=lanes.get(Lane(settings.network.chain_id, address)) if is_key else None,
        is_key=is_key,
    )


def _tokens(settings: ChainSettings) -> tuple[TokenFact, ...]:
    """The chain's own token and those of its address book; where decimals are not known, in its units."""
    own = TokenFact(NATIVE, settings.network.native_symbol, NATIVE_DECIMALS)
    listed = []
    for entry in settings.book:
        symbol = entry.symbol or entry.name
        if entry.kind is AddressKind.TOKEN and entry.decimals is None:
            listed.append(TokenFact(entry.address, f"units of {symbol}", 0))
        elif entry.kind is AddressKind.TOKEN and entry.decimals is not None:
            listed.append(TokenFact(entry.address, symbol, entry.decimals))
    return own, *listed


def _holders(
    configuration: Configuration, settings: ChainSettings, signers: Mapping[str, Address]
) -> list[tuple[str, Address, bool]]:
    """The keys that work on the chain, the executor and the Safes; and whether each is a key."""
    chain_id = settings.network.chain_id
    safes = [one for one in configuration.safes if one.policy.chain_id == chain_id]
    used = {one.signer for one in configuration.strategies if one.chain_id == chain_id}
    used |= {name for one in configuration.submitters if one.chain_id == chain_id for name in one.signers}
    used |= {one.name for one in configuration.signers if chain_id in one.policies}
    used |= {one.signer for one in safes}
    found = [
        (one.name, signers[one.name], True)
        for one in configuration.signers
        if one.name in used & set(signers)
    ]
    if settings.executor is not None:
        found.append(("executor", settings.executor, False))
    return [*found, *((one.policy.name, one.policy.safe, False) for one in safes)]
