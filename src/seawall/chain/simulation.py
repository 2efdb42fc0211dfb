"""Simulation on a pinned block plus our unlanded attempts, by the native EVM on state fetched as it is
missed.

Flow: `pin` fixes the base (a block by hash; its successor is what is simulated) and fetches again what the
runs on the last base read; `rebuild` and `push` keep the overlay of committed, unlanded attempts; `run`
executes one payload with probes on the state after it. What the EVM misses is fetched in one batch pinned
to the block's hash and the run is repeated, at most `MISSING_ROUNDS_MAX` times. Before the first run on a
base, the last read set of the payload's (sender, target, selector) is fetched ahead, so that a known call
usually takes no round at all; for a call that is new, the node's own access list is the hint, and where it
tells none, looking ahead finds most of what a round each would find (`exploring`).

Environment: number + 1, timestamp + block time, coinbase and gas limit of the base, its prevrandao in place
of the unknown one, and by default the highest base fee that the next block can have.

An overlay that could not be completed is never run on: until it is rebuilt, every run is stale.
`UnavailableError` and `StaleError` are not refusals. Chains whose EVM is not modelled are refused when the
simulator is made. One operation at a time: a lock keeps pin, overlay and runs apart. No result is cached.
The next base may be prepared beside the present one (`prepare`, `switch`), so that a new head holds up nobody
for longer than it takes to change places.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Final, Generic, Protocol, TypeVar

from seawall.chain.client import ChainClient
from seawall.chain.exploring import look
from seawall.chain.fees import highest_base_fee_after
from seawall.chain.networks import Network, hardfork_at, require_local_judge
from seawall.chain.state import StateAt, StateKeys
from seawall.native.evm import (
    AccountState,
    BlockEnvironment,
    Evm,
    EvmTransaction,
    Execution,
    Missing,
    StateOverride,
)
from seawall.native.evm import (
    Probe as NativeProbe,
)
from seawall.primitives.blocks import Block
from seawall.primitives.bounds import MISSING_ROUNDS_MAX
from seawall.primitives.errors import (
    EndpointError,
    NativeError,
    StaleError,
    UnavailableError,
    UnknownBlockError,
)
from seawall.primitives.ports import Offload
from seawall.primitives.simulations import Probe
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash, hex_text
from seawall.primitives.verdicts import Payload
from seawall.telemetry.logs import get_logger

__all__ = ["OVERLAY_MAX", "Entry", "Machine", "SimulationWork", "Simulator", "StateKey", "Step"]

OVERLAY_MAX: Final = 32_768
# Read sets remembered, one per (sender, target, selector), and the keys fetched ahead in one go.
READ_SETS_MAX: Final = 512
PREFETCH_KEYS_MAX: Final = 2_000
# Rounds of looking for what a new call reads, where no node says it.
LOOKS_MAX: Final = 32
_SELECTOR_BYTES: Final = 4
_log = get_logger(__name__)

_Call = tuple[Address, Address, bytes]
_VIEWS: Final[_Call] = (ZERO_ADDRESS, ZERO_ADDRESS, b"")

StateKey = bytes | tuple[bytes, bytes]
"""An account, or a slot of one."""
Entry = tuple[Payload, int, int]
"""An unlanded attempt: payload, nonce, fee per gas [wei]."""
Step = tuple[Entry, Sequence[Probe]]
"""One run of a series, and view calls on the state after it."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SimulationWork(Protocol[T_co]):
    """Synchronous work on the machine that can stop for want of state and go on later."""

    @property
    def progress(self) -> int:
        """Grows as parts of the work are done: the bound on rounds of fetching is per part."""
        ...

    def go(self) -> T_co | Missing: ...


# What belongs to one base, and changes places with the twin.
_STANDING: Final = ("_evm", "_base", "base_fee_wei", "_complete", "_loaded", "_used", "held")


class Simulator:
    """One chain's EVM. `rounds` counts fetches that runs waited for, `prefetches` those made ahead."""

    def __init__(self, client: ChainClient, network: Network, offload: Offload) -> None:
        require_local_judge(network)
        self._client = client
        self._network = network
        self._offload = offload
        self._evm = Evm(network.chain_id)
        self.machine = Machine(self, self._evm)
        self._lock = asyncio.Lock()
        self._base: Block | None = None
        self.base_fee_wei = 0
        self._complete = False  # the overlay holds all that was asked for
        self.held: list[Entry] = []  # what the overlay holds
        self._loaded = _Loaded()
        self._used: set[_Call] = set()
        self._read_sets: OrderedDict[_Call, StateKeys] = OrderedDict()
        self._twin: Simulator | None = None  # stands on the next base while that is prepared
        self.rounds = 0
        self.prefetches = 0

    @property
    def base(self) -> Block | None:
        return self._base

    @property
    def overlay_digest(self) -> Hash:
        return Hash(self._evm.overlay_digest())

    async def pin(self, block: Block, next_base_fee_wei: int | None = None) -> None:
        """Make `block` the base: the overlay is empty afterwards. `StaleError` if the block is gone."""
        async with self._lock:
            self._complete = False
            timestamp_s = block.timestamp_s + self._network.block_time_s
            self.base_fee_wei = (
                highest_base_fee_after(block.base_fee_wei, 1)
                if next_base_fee_wei is None
                else next_base_fee_wei
            )
            environment = BlockEnvironment(
                number=block.number + 1,
                timestamp_s=timestamp_s,
                base_fee_wei=self.base_fee_wei,
                gas_limit=block.gas_limit,
                coinbase=block.coinbase,
                prevrandao=block.prevrandao,
                hardfork=hardfork_at(self._network, timestamp_s),
            )
            self._evm.pin(environment, block.hash)
            self._base, self.held = block, []
            used, self._used, self._loaded = self._used, set(), _Loaded()
            read_sets = [keys for call in used if (keys := self._read_sets.get(call)) is not None]
            await self._prefetch(reduce(StateKeys.union, read_sets, StateKeys()))
            self._complete = True

    async def prepare(self, block: Block, entries: Sequence[Entry]) -> None:
        """Put a second machine on `block` with `entries` as its overlay, while the present one serves on.

        `switch` goes over to it. Raises as `pin` and `rebuild` do; the present base is never touched."""
        if self._twin is None:
            self._twin = Simulator(self._client, self._network, self._offload)
            self._twin._read_sets = self._read_sets
        self._twin._used = self._used | self._twin._used
        await self._twin.pin(block)
        await self._twin.rebuild(entries)

    async def switch(self, block: Block) -> bool:
        """Go over to the machine that was prepared on `block`. False if none was, or not wholly."""
        twin = self._twin
        if twin is None or twin._base != block or not twin._complete:
            return False
        async with self._lock:
            for name in _STANDING:
                mine, theirs = getattr(self, name), getattr(twin, name)
                setattr(self, name, theirs)
                setattr(twin, name, mine)
            self.machine, twin.machine = Machine(self, self._evm), Machine(twin, twin._evm)
            self.rounds, twin.rounds = self.rounds + twin.rounds, 0
            self.prefetches, twin.prefetches = self.prefetches + twin.prefetches, 0
            twin._complete = False
            return True

    async def rebuild(self, entries: Sequence[Entry]) -> None:
        """Make the overlay exactly `entries`, in commit order (nonce order inside a lane).

        What it begins with already is left standing."""
        assert len(entries) <= OVERLAY_MAX
        async with self._lock:
            self._complete = False
            count = len(self.held)
            if count > len(entries) or any(map(_differ, self.held, entries)):
                self._evm.reset_overlay()
                self.held.clear()
            rest = entries[len(self.held) :]
            await self._driven(_Pushes(self.machine, rest), [entry[0] for entry in rest])
            self._complete = True

    async def append(self, entries: Sequence[Entry]) -> set[StateKey]:
        """Put these on top of the overlay, tentatively; answers what they wrote, the block's beneficiary
        apart, whom everybody pays."""
        executions = await self.drive(_Pushes(self.machine, entries), [entry[0] for entry in entries])
        written: set[StateKey] = set()
        for execution in executions:
            written.update(execution.write_set.accounts)
            written.update(execution.write_set.slots)
        return written - ({self._base.coinbase} if self._base is not None else set())

    async def push(self, payload: Payload, nonce: int, fee_per_gas_wei: int) -> Execution:
        """Append one committed attempt. What it did is returned: one that fails still uses its nonce."""
        async with self._lock:
            self._require_complete()
            self._complete = False
            entry = (payload, nonce, fee_per_gas_wei)
            (execution,) = await self._driven(_Pushes(self.machine, [entry]), [payload])
            self._complete = True
            return execution

    async def run(
        self,
        payload: Payload,
        nonce: int,
        fee_per_gas_wei: int,
        probes: Sequence[Probe] = (),
        overrides: Sequence[StateOverride] = (),
        *,
        trace: bool = False,
    ) -> Execution:
        """Exactly this payload on base and overlay, paying `fee_per_gas_wei`, then the probes."""
        return await self.drive(
            _Once(lambda: self.machine.run(payload, nonce, fee_per_gas_wei, probes, overrides, trace=trace)),
            [payload],
        )

    async def view(self, probes: Sequence[Probe]) -> dict[str, bytes | None]:
        """The probes on base and overlay as they are; None where one reverts."""
        return await self.drive(_Once(lambda: self.machine.view(probes)), ()) if probes else {}

    async def drive(self, work: SimulationWork[T], ahead: Sequence[Payload], *, is_short: bool = False) -> T:
        """Let `work` run on the machine until it answers: off the loop, or on it where it is so short that
        two changes of thread would take longer.

        It answers `Missing` for what it lacks; that is fetched in one batch, and it is called again, so it
        must go on where it stopped. State that calls like `ahead` are known to read is fetched first."""
        async with self._lock:
            self._require_complete()
            return await self._driven(work, ahead, is_short=is_short)

    def _require_complete(self) -> None:
        if self._base is None:
            raise StaleError("no block is pinned", "simulation", "pin a head first")
        if not self._complete:
            raise StaleError(
                "the overlay lacks attempts that could not be simulated", "simulation", "pin and rebuild"
            )

    async def _driven(
        self, work: SimulationWork[T], ahead: Sequence[Payload], *, is_short: bool = False
    ) -> T:
        await self._prefetch_for(ahead)
        rounds, progress = 0, -1
        while True:
            answer = work.go() if is_short else await self._offload(work.go)
            if not isinstance(answer, Missing):
                return answer
            rounds = rounds + 1 if work.progress == progress else 1
            progress = work.progress
            if rounds > MISSING_ROUNDS_MAX:
                raise UnavailableError(
                    f"still missing state after {MISSING_ROUNDS_MAX} rounds",
                    "simulation",
                    "the candidate is built again later",
                )
            wanted = StateKeys(
                tuple(Address(address) for address in answer.accounts),
                tuple((Address(address), slot) for address, slot in answer.slots),
                tuple(Address(address) for address in answer.codes),
                tuple(answer.block_hashes),
            )
            self.rounds += 1
            await self._fetch(wanted.unique())

    async def _fetch(self, keys: StateKeys) -> StateAt:
        base = self._base
        assert base is not None
        try:
            state = await self._client.fetch_state(keys, base)
            hashes = await self._client.block_hashes(keys.block_numbers, base)
        except UnknownBlockError as error:
            raise StaleError(
                f"the pinned block is gone: {error.what}", hex_text(base.hash), "pin a newer head"
            ) from None
        except EndpointError as error:
            raise UnavailableError(f"state cannot be read: {error.what}", error.where, error.fix) from None
        self._evm.load(
            [AccountState(a.address, a.balance_wei, a.nonce) for a in state.accounts],
            list(state.slots),
            list(state.codes),
            hashes,
        )
        self._loaded.add(keys)
        return state

    async def _prefetch_for(self, payloads: Sequence[Payload]) -> None:
        """Fetch ahead what calls like these read last time, once per base; of a new call, what the node
        expects."""
        base, keys = self._base, StateKeys()
        if base is None:
            return
        fresh: dict[_Call, Payload] = {}
        for payload in payloads:
            call = _call_of(payload)
            if call in self._used or call in fresh:
                continue
            known = self._read_sets.get(call)
            if known is not None:
                self._used.add(call)
                keys = keys.union(known)
            else:
                fresh[call] = payload
        several = list(fresh.values())
        hints = await asyncio.gather(*(self._hint(payload, base) for payload in several))
        own = StateKeys(
            tuple([address for one in several for address in (one.sender, one.to, base.coinbase)])
        )
        await self._prefetch(reduce(StateKeys.union, hints, keys.union(own)))
        for payload, hint in zip(several, hints, strict=True):
            if payload.data and not len(hint):
                await self._explore(payload)

    async def _hint(self, payload: Payload, base: Block) -> StateKeys:
        """What the node expects of the call beside its sender and target; nothing where it does not say."""
        if not payload.data:
            return StateKeys()  # a transfer to a plain account, most likely; to a contract it costs rounds
        try:
            return await self._client.access_hint(payload, base)
        except UnknownBlockError as error:
            raise StaleError(
                f"the pinned block is gone: {error.what}", hex_text(base.hash), "pin a newer head"
            ) from None
        except EndpointError:
            return StateKeys()  # a hint that cannot be read costs rounds, never a simulation

    async def _explore(self, payload: Payload) -> None:
        """Fetch what the call may read where no node says it: find by looking what a run would miss."""
        transaction, codes = _transaction(payload, None, 0), dict[bytes, bytes]()
        for _ in range(LOOKS_MAX):
            try:
                found = await self._offload(lambda: look(self._evm, transaction, codes))
            except NativeError as error:
                _log.warning("look_failed", cause=str(error))
                return  # as a hint that cannot be read
            wanted = self._loaded.missing_of(found)
            if not len(wanted):
                return
            self.rounds += 1
            codes.update((await self._fetch(wanted)).codes)

    async def _prefetch(self, keys: StateKeys) -> None:
        base = self._base
        if base is None or not len(keys):
            return
        # The machine needs the beneficiary's account, which no read set names.
        wanted = self._loaded.missing_of(keys.union(StateKeys((base.coinbase,))))
        for part in wanted.parts(PREFETCH_KEYS_MAX):
            self.prefetches += 1
            await self._fetch(part)

    def remember(self, call: _Call, execution: Execution) -> None:
        """Keep what a call reads, so that the next base has it before the call comes."""
        earlier = self._read_sets.get(call)
        if call in self._used and earlier is not None and execution.slots_read <= len(earlier.slots):
            return  # one look a base: the rest would be the same
        read = execution.read_set
        keys = StateKeys(
            tuple(Address(address) for address in read.accounts),
            tuple((Address(address), slot) for address, slot in read.slots),
            (),
            tuple(read.block_numbers),
        )
        # The twin's thread keeps its own calls here at the same time: no step needs what another one left.
        self._read_sets.pop(call, None)
        self._read_sets[call] = keys
        if len(self._read_sets) > READ_SETS_MAX:
            self._read_sets.popitem(last=False)
        self._used.add(call)


class Machine:
    """The EVM of a simulator as work inside `drive` sees it: no awaiting, so that a whole batch is one hop
    off the loop."""

    def __init__(self, simulator: Simulator, evm: Evm) -> None:
        self._simulator = simulator
        self._evm = evm
        self.reads: set[StateKey] | None = None  # where a work collects what its runs read

    def run(
        self,
        payload: Payload,
        nonce: int,
        fee_per_gas_wei: int,
        probes: Sequence[Probe] = (),
        overrides: Sequence[StateOverride] = (),
        *,
        trace: bool = False,
    ) -> Execution | Missing:
        transaction = _transaction(payload, nonce, fee_per_gas_wei)
        answer = self._evm.run([transaction], _native(probes), overrides, trace)
        if isinstance(answer, Execution):
            self._ran(payload, answer)
        return answer

    def run_first(
        self, payload: Payload, fee_per_gas_wei: int, overrides: Sequence[StateOverride] = ()
    ) -> Execution | Missing | None:
        """As if it came before everything of ours that has not landed, at whatever nonce it would have then.
        None: nothing is before it."""
        if not self._simulator.held:
            return None
        return self._evm.run_alone(_transaction(payload, None, fee_per_gas_wei), overrides)

    def is_behind_others(self, sender: Address) -> bool:
        """Whether plans of other keys are before it: a block may put it first."""
        return any(payload.sender != sender for payload, _, _ in self._simulator.held)

    def series(self, steps: Sequence[Step]) -> list[Execution | Missing]:
        """Each step upon those before it, as far as that goes: where one fails or misses state, that is the
        last answer. The overlay stays as it is."""
        answers = self._evm.run_series([(_transaction(*entry), _native(probes)) for entry, probes in steps])
        for ((payload, _, _), _), answer in zip(steps, answers, strict=False):
            if isinstance(answer, Execution):
                self._ran(payload, answer)
        return answers

    def keep(self, entries: Sequence[Entry]) -> Missing | None:
        """Put the first of the last series, which were these, onto the overlay."""
        if len(entries) == 1 and not self.is_paid(entries[0]):
            pushed = self.push(*entries[0])
            return pushed if isinstance(pushed, Missing) else None
        adopted = self._evm.adopt(len(entries))
        assert adopted, "nothing moves between a series and this"
        self._simulator.held += entries
        return None

    def is_paid(self, entry: Entry) -> bool:
        """What bids less than the base fee pays less in its run than it is made to pay on the overlay: it
        must be alone in its series."""
        return entry[2] >= self._simulator.base_fee_wei

    def push(self, payload: Payload, nonce: int, fee_per_gas_wei: int) -> Execution | Missing:
        # An attempt priced below the next base fee waits, and still stands before its successors.
        paid_wei = max(fee_per_gas_wei, self._simulator.base_fee_wei)
        answer = self._evm.push_overlay(_transaction(payload, nonce, paid_wei))
        if isinstance(answer, Execution):
            self._simulator.held.append((payload, nonce, fee_per_gas_wei))
            self._simulator.remember(_call_of(payload), answer)
        return answer

    def view(self, probes: Sequence[Probe]) -> dict[str, bytes | None] | Missing:
        answer = self._evm.run([], _native(probes), [], False)
        if isinstance(answer, Missing):
            return answer
        self._simulator.remember(_VIEWS, answer)
        results = zip(probes, answer.probes, strict=True)
        return {probe.label: result.return_data if result.success else None for probe, result in results}

    def _ran(self, payload: Payload, execution: Execution) -> None:
        self._simulator.remember(_call_of(payload), execution)
        if self.reads is not None:
            self.reads.update(execution.read_set.accounts)
            self.reads.update(execution.read_set.slots)


class _Once(Generic[T]):
    """One run."""

    progress = 0

    def __init__(self, work: Callable[[], T | Missing]) -> None:
        self.go = work


class _Pushes:
    """Entries onto the overlay, one after the other."""

    def __init__(self, machine: Machine, entries: Sequence[Entry]) -> None:
        self._machine = machine
        self._entries = entries
        self._executions: list[Execution] = []

    @property
    def progress(self) -> int:
        return len(self._executions)

    def go(self) -> list[Execution] | Missing:
        for entry in self._entries[self.progress :]:
            answer = self._machine.push(*entry)
            if isinstance(answer, Missing):
                return answer
            self._executions.append(answer)
        return self._executions


class _Loaded:
    """Keys whose values the EVM holds for the present base."""

    def __init__(self) -> None:
        self._accounts: set[Address] = set()
        self._slots: set[tuple[Address, bytes]] = set()
        self._block_numbers: set[int] = set()

    def add(self, keys: StateKeys) -> None:
        self._accounts.update(keys.accounts)
        self._slots.update(keys.slots)
        self._block_numbers.update(keys.block_numbers)

    def missing_of(self, keys: StateKeys) -> StateKeys:
        return StateKeys(
            tuple(a for a in dict.fromkeys(keys.accounts) if a not in self._accounts),
            tuple(s for s in dict.fromkeys(keys.slots) if s not in self._slots),
            (),
            tuple(n for n in dict.fromkeys(keys.block_numbers) if n not in self._block_numbers),
        )


def _differ(one: Entry, other: Entry) -> bool:
    return one is not other and one != other


def _call_of(payload: Payload) -> _Call:
    return payload.sender, payload.to, payload.data[:_SELECTOR_BYTES]


def _native(probes: Sequence[Probe]) -> list[NativeProbe]:
    return [NativeProbe(probe.target, probe.calldata) for probe in probes]


def _transaction(payload: Payload, nonce: int | None, fee_per_gas_wei: int) -> EvmTransaction:
    return EvmTransaction(
        payload.sender, payload.to, payload.data, payload.value_wei, payload.gas_limit, fee_per_gas_wei, nonce
    )
