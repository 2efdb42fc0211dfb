"""Books: a ledger with the chains that live in it, opened for a kernel.

The live book is the configured ledger. A dry-run strategy has a book of its own: an SQLite ledger named by
mode and strategy, and a chain whose lanes have no signer and whose port refuses to write; all else is the
same code. On PostgreSQL other kernels may work on the live book too: its writes then need a send permit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from seawall.chain.broadcast import SignedWrite, SocketBroadcastPort, WriteAnswer, WriteResult
from seawall.chain.relays.port import RoutedPort
from seawall.chain.rpc import HttpTransport
from seawall.control.latch import Latch
from seawall.control.permit import SendPermit
from seawall.ledger import Ledger, LedgerSettings
from seawall.primitives.errors import LedgerError, SeawallError
from seawall.primitives.ports import Clock, SystemEntropy, ThreadOffload
from seawall.primitives.units import Address
from seawall.risk.gate import Gate
from seawall.risk.limits import OurAddresses
from seawall.runtime.authority import AuthorityKeeper, Membership
from seawall.runtime.configuration.policies import book_of, policies_of
from seawall.runtime.configuration.settings import ChainSettings, Configuration, StrategySettings
from seawall.runtime.feeds import Feed
from seawall.runtime.limit_changes import keep_limits
from seawall.runtime.limiting import limited_by, own_guards_of, require_countable
from seawall.runtime.reducing import reduce_rule_of
from seawall.runtime.relays import open_routed, routes_of
from seawall.runtime.wiring import Chain, ChainSpec, Services, build_chain
from seawall.signers.base import Signer
from seawall.telemetry.logs import get_logger
from seawall.telemetry.metrics import Metrics

__all__ = ["Book", "BookOpener", "dry_run_ledger", "gate_of"]

# An orderly stop tells the fleet so; a database that does not answer is not waited for.
LEAVE_WAIT_S: Final = 2.0
_PROCESS_TOKEN_BYTES: Final = 4
_log = get_logger(__name__)


@dataclass(slots=True)
class Book:
    """One ledger with the chains and strategies that live in it."""

    ledger: Ledger
    chains: dict[int, Chain]
    authority: AuthorityKeeper
    membership: Membership | None = None  # in a fleet
    feeds: list[Feed] = field(default_factory=list)

    async def leave(self) -> None:
        """Before an orderly stop: lanes are free at once, and nobody waits for this kernel."""
        if self.membership is None:
            return
        try:
            async with asyncio.timeout(LEAVE_WAIT_S):
                for chain in self.chains.values():
                    await chain.loop.leases.close()
                await self.authority.leave()
        except (LedgerError, TimeoutError) as trouble:
            _log.warning("left_without_telling", cause=str(trouble))


@dataclass(frozen=True, slots=True)
class BookOpener:
    """Opens books; what they need is closed by `stack`."""

    configuration: Configuration
    latch: Latch
    clock: Clock
    signers: Mapping[str, Signer]
    metrics: Metrics
    on_integrity_alarm: Callable[[SeawallError], None]
    on_raised: Callable[[], None]
    stack: AsyncExitStack

    async def open_live(self) -> Book:
        """What the limits loosen since the last run is told before anything is judged by them."""
        book = await self._open(self.configuration.kernel.ledger_url, None)
        keys = {name: signer.address for name, signer in self.signers.items()}
        chains = self.configuration.chains
        limited = {one.network.chain_id: limited_by(self.configuration, one, keys) for one in chains}
        await keep_limits(book.ledger, limited, self.clock)
        return book

    async def open_dry_run(self, strategy: StrategySettings, live: Ledger) -> Book:
        path = dry_run_ledger(self.configuration, strategy.name)
        if not path.exists():
            await self._found_dry_run(live, path, strategy.name)
        return await self._open(f"sqlite:///{path}", strategy)

    async def _open(self, url: str, dry_run: StrategySettings | None) -> Book:
        ledger = Ledger.open(LedgerSettings(url), clock=self.clock, entropy=SystemEntropy())
        self.stack.push_async_callback(ledger.close)
        is_shared = not url.startswith("sqlite")
        services = Services(
            ledger=ledger,
            latch=self.latch,
            clock=self.clock,
            entropy=SystemEntropy(),
            offload=ThreadOffload(),
            metrics=self.metrics,
            holder=self._holder(is_shared=is_shared),
            lease_ttl_s=self.configuration.kernel.lease_ttl_s,
            is_shared=is_shared,
        )
        membership = Membership(services.holder, SendPermit(self.clock)) if is_shared else None
        chains = {}
        for settings in self.configuration.chains:
            if dry_run is None or dry_run.chain_id == settings.network.chain_id:
                spec = await self._spec(settings, dry_run, membership)
                chain = await build_chain(spec, services, self.on_integrity_alarm)
                self.stack.push_async_callback(chain.pool.close)
                chains[settings.network.chain_id] = chain
        desks = [chain.desk for chain in chains.values()]
        authority = AuthorityKeeper(self.latch, ledger, self.clock, desks, self.on_raised, membership)
        return Book(ledger, chains, authority, membership)

    async def _spec(
        self, settings: ChainSettings, dry_run: StrategySettings | None, membership: Membership | None
    ) -> ChainSpec:
        keys: dict[Address, Signer | None] = {}
        for name, signer in self.signers.items():
            if dry_run is None:
                keys[signer.address] = signer
            elif dry_run.signer == name:
                keys[signer.address] = None
        named = {name: signer.address for name, signer in self.signers.items()}
        wrapped = settings.network.wrapped_native or _wrapped_in(settings)
        port = None if dry_run is not None else await self._port(settings, membership)
        return ChainSpec(
            network=settings.network,
            transports=[HttpTransport(endpoint.url) for endpoint in settings.rpc],
            port=port or _NoPort(),
            signers=keys,
            gate=gate_of(self.configuration, settings, named),
            fees=settings.fees,
            emergency_max_fee_per_gas_wei=settings.emergency_max_fee_per_gas_wei,
            poll_interval_s=settings.poll_interval_s,
            lane_unlanded_max=settings.lane_unlanded_max,
            segments_max=settings.batch_plans_max,
            agreement=settings.agreement,
            verify_state=settings.verify_state,
            stuck=settings.stuck,
            moves=settings.moves,
            endpoints=settings.readers,
            routes=routes_of(settings.relays, settings.private, wrapped, named, self.metrics),
            relays=port,
        )

    async def _port(self, settings: ChainSettings, membership: Membership | None) -> RoutedPort:
        permit = None if membership is None else membership.permit
        urls = [endpoint.url for endpoint in settings.send]
        public = SocketBroadcastPort(urls, self.latch, clock=self.clock, permit=permit)
        own = [signer.address for signer in self.signers.values()]
        return await open_routed(public, settings.relays, self.latch, self.clock, permit, self.stack, own)

    def _holder(self, *, is_shared: bool) -> str:
        """Who holds our lanes' leases. On SQLite the file's lock already admits one kernel, so the next one
        is the same holder and need not wait for a dead one's lease; elsewhere each process is its own, also
        where containers give all of them one name and one number.
        """
        machine = os.uname().nodename
        if not is_shared:
            return f"{machine}:{self.configuration.kernel.data}"
        return f"{machine}:{os.getpid()}:{SystemEntropy().token(_PROCESS_TOKEN_BYTES).hex()}"

    async def _found_dry_run(self, live: Ledger, path: Path, strategy: str) -> None:
        """A dry run's own ledger begins with what the strategy knows in the live one; nothing ever flows
        back."""
        from seawall.ledger.migrate import create

        create(f"sqlite:///{path}")
        version, state = await live.read(lambda tx: tx.states.get(strategy))
        if version == 0:
            return
        ledger = Ledger.open(LedgerSettings(f"sqlite:///{path}"), clock=self.clock, entropy=SystemEntropy())
        try:
            await ledger.write(lambda tx: tx.states.compare_and_set(strategy, 0, state))
        finally:
            await ledger.close()


class _NoPort:
    """The port of a dry run: there is nothing to write, and whatever comes is left unsent."""

    async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        return [WriteResult(write.hash, WriteAnswer.UNSENT, "a dry run sends nothing") for write in writes]

    async def close(self) -> None:
        return


def dry_run_ledger(configuration: Configuration, strategy: str) -> Path:
    """Where the ledger of a dry run is: named by mode and strategy, beside everything else of the kernel."""
    return configuration.kernel.data / f"dry_run-{strategy}.db"


def gate_of(configuration: Configuration, settings: ChainSettings, named: Mapping[str, Address]) -> Gate:
    """The gate of one chain for keys of these names."""
    chain_id = settings.network.chain_id
    holders = {*named.values(), *settings.accounts}
    if settings.executor is not None:
        holders.add(settings.executor)
    wrapped = settings.network.wrapped_native or _wrapped_in(settings)
    limited = limited_by(configuration, settings, named)
    rule = reduce_rule_of(settings, wrapped, frozenset(holders))
    limits = replace(limited.base, policies=policies_of(configuration, chain_id, named))
    book = book_of(configuration, chain_id, named)
    require_countable(limited, frozenset(holders))
    own = own_guards_of(configuration, chain_id)
    return Gate(limits, OurAddresses(frozenset(holders), wrapped), rule, book, limited.layers, own)


def _wrapped_in(settings: ChainSettings) -> Address | None:
    return settings.book.address("weth") if "weth" in settings.book else None
