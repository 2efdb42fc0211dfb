"""A devnet on which the strategy of ten calls runs: its policy listed, a gap open, one observation read.

Rehearsals of plans in both forms stand on it, warm in this process or cold through a delayed connection.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from bench.strategies.ten_calls import PROTOCOLS, TenCalls
from seawall.chain.client import ChainClient
from seawall.chain.fees import FeeQuote
from seawall.chain.networks import network_of
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.ledger.rows import IntentRow
from seawall.native.evm import Missing
from seawall.primitives.blocks import Block
from seawall.primitives.codec import plan_digest
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import IntentState
from seawall.primitives.observations import Cause, Decision, Observation
from seawall.primitives.plans import Plan
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.protocols.adapters.base import READ_ROUNDS_MAX
from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.executor.policy import registry_calls
from seawall.protocols.executor.policy_parts import policy_of
from seawall.protocols.snapshots import snapshot
from seawall.protocols.surroundings import surroundings_of
from seawall.risk.gate import Gate
from seawall.risk.limits import OurAddresses, RiskLimits
from seawall.risk.reduce import ReduceRule
from seawall.rollout.devnet import TRADERS, Devnet, DevnetSettings, Trader, running
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.steering import authorise
from seawall.strategies.scripts.settings import script_settings
from seawall.strategies.scripts.strategy import ScriptStrategy

__all__ = [
    "GWEI",
    "OPERATOR",
    "Form",
    "Work",
    "client_of",
    "fees_on",
    "forms",
    "gate_on",
    "observe",
    "row_of",
    "ten_calls_stage",
]

CHAIN_ID: Final = 31337
GWEI: Final = 10**9
ETHER: Final = 10**18
OPERATOR: Final = TRADERS[2]
GAP_BPS: Final = 300
FILE: Final = Path(__file__).resolve().parent / "strategies" / "ten_calls.yaml"
CAP: Final = 10**24
FEE_CEILING_WEI: Final = 500 * GWEI
TIP_WEI: Final = GWEI

T = TypeVar("T")


class Work(Generic[T]):
    """One piece of work for `Simulator.drive`."""

    progress = 0

    def __init__(self, work: Callable[[], T | Missing]) -> None:
        self.go = work


class Form(Protocol):
    """A strategy, whatever it is written in."""

    def decide(self, observation: Observation, state: bytes) -> Decision: ...


@contextlib.contextmanager
def ten_calls_stage() -> Iterator[Devnet]:
    """A devnet with room for the ten calls in the executor's policy, and with something to gain."""
    with tempfile.TemporaryDirectory() as folder, running(DevnetSettings(Path(folder))) as devnet:
        book, rpc = devnet.book, devnet.rpc
        authorise(devnet, OPERATOR, book.address("safe_treasury"))
        executor, adapters = book.address("atomic_executor"), adapters_of(book)
        policy = policy_of([adapters[name].policy(executor) for name in PROTOCOLS], executor)
        registry = book.address("policy_registry")
        rpc.settle([rpc.send(OWNER, registry, call) for call in registry_calls(policy)], mine=True)
        Trader(devnet).open_gap_v2("weth", "usdx", GAP_BPS)
        yield devnet


def forms(devnet: Devnet) -> dict[str, Form]:
    """The same strategy from its file and in Python."""
    executor, text = devnet.book.address("atomic_executor"), devnet.book.to_json()
    settings = {
        **script_settings(FILE.name, FILE.read_text(), text, address_text(executor), {}),
        "chain_id": CHAIN_ID,
        "key": address_text(OPERATOR),
    }
    return {
        "YAML": ScriptStrategy.configured("ten_calls", settings),
        "Python": TenCalls(surroundings_of(text), OPERATOR, executor),
    }


@contextlib.asynccontextmanager
async def client_of(url: str) -> AsyncIterator[ChainClient]:
    pool = RpcPool([HttpTransport(url)], chain_id=CHAIN_ID, clock=SystemClock())
    try:
        yield ChainClient(pool, network_of(CHAIN_ID))
    finally:
        await pool.close()


async def observe(client: ChainClient, devnet: Devnet) -> Observation:
    """All that the ten calls read, at the head."""
    strategy = forms(devnet)["YAML"]
    assert isinstance(strategy, ScriptStrategy)
    block = await client.head()
    answers: dict[str, bytes | None] = {}
    for _ in range(READ_ROUNDS_MAX):
        missing = [one for one in strategy.script.scope.needs.reads(answers) if one.label not in answers]
        if not missing:
            break
        found = await snapshot(client, missing, block, devnet.book.address("multicall3"))
        answers |= found.values
    return Observation("ten_calls", 1, Cause.HEAD, block.timestamp_s, block, answers)


def gate_on(devnet: Devnet) -> Gate:
    book = devnet.book
    holders = frozenset({OPERATOR, book.address("atomic_executor"), book.address("safe_treasury")})
    tokens = ("weth", "usdx", "a_weth", "aave_debt_usdx")
    caps: Mapping[Address, int] = {NATIVE: CAP, **{book.address(name): CAP for name in tokens}}
    limits = RiskLimits(max_fee_per_gas_wei=FEE_CEILING_WEI, position_caps=dict(caps))
    return Gate(limits, OurAddresses(holders, book.address("weth")), ReduceRule({}, (), (), ()))


def fees_on(block: Block) -> FeeQuote:
    base_fee_wei = block.base_fee_wei * 9 // 8
    most_wei = base_fee_wei + TIP_WEI
    return FeeQuote(base_fee_wei, TIP_WEI, most_wei, most_wei, most_wei)


def row_of(plan: Plan, number: int, now_s: int) -> IntentRow:
    """As the intake makes it of an accepted plan."""
    return IntentRow(
        number=IntentNumber(number),
        strategy=plan.strategy,
        lane=Lane(plan.chain_id, plan.key),
        plan=plan,
        plan_digest=plan_digest(plan),
        intent_id=number,
        state=IntentState.QUEUED,
        reason="",
        finality=None,
        correlation_id="bench",
        accepted_at_s=now_s,
        ended_at_s=None,
        candidates=0,
        predicted_wei=None,
        realised_wei=None,
    )
