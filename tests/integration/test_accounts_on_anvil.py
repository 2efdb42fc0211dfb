"""Accounts on the devnet: policies read back, positions in the true Aave, and what keeps two apart."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from seawall.native import AbiValue, abi_decode, encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address, hex_text
from seawall.protocols.adapters.actions import Borrow, Supply
from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.answers import Answers
from seawall.protocols.executor.encoding import Execution, encode_operations
from seawall.protocols.executor.events import Revert, decode_revert
from seawall.protocols.executor.operations import Operation
from seawall.protocols.executor.policy import Listing, Policy, TokenClass, listing_call, registry_calls
from seawall.protocols.executor.policy_parts import policy_of
from seawall.protocols.executor.policy_reading import (
    FoundPolicy,
    entry_reads,
    found_policy,
    index_reads,
    policy_diff,
)
from seawall.protocols.executor.risk_book import (
    VALUE_UNIT,
    HealthKind,
    HealthSource,
    LossLimit,
    RiskPolicy,
    TokenLimit,
    room_reads,
    rooms_of,
)
from seawall.protocols.multicall import aggregate3_answers, aggregate3_call
from seawall.rollout.devnet import TRADERS, Devnet
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.executor import FEED_HEARTBEAT_S
from seawall.rollout.devnet.positions import account_of, open_account, policy_name

pytestmark = pytest.mark.anvil

ETHER = 10**18
DOLLAR = 10**6
KEY, OTHER_KEY = TRADERS[0], TRADERS[1]
BENEFICIARY = Address(b"\x77" * 20)
FAR_FUTURE_S = 2**40
COPY = Address(b"\x66" * 20)


@dataclass(frozen=True, slots=True)
class Ground:
    devnet: Devnet
    account: Address
    other: Address


@pytest.fixture(scope="module")
def opened(shared_devnet: Devnet) -> Ground:
    made = [open_account(shared_devnet, key, BENEFICIARY, *rules(shared_devnet)) for key in (KEY, OTHER_KEY)]
    weth = shared_devnet.book.address("weth")
    for account in made:
        transfer = encode_call("transfer(address,uint256)", (account, 10 * ETHER))
        shared_devnet.rpc.settle([shared_devnet.rpc.send(TRADERS[2], weth, transfer)], mine=True)
    return Ground(shared_devnet, *made)


@pytest.fixture
def ground(opened: Ground) -> Iterator[Ground]:
    kept = opened.devnet.rpc.call("evm_snapshot")
    yield opened
    assert opened.devnet.rpc.call("evm_revert", kept) is True


def rules(devnet: Devnet) -> tuple[Policy, RiskPolicy]:
    """What the Aave adapter needs, its own tokens kept; a feed and a cap for each."""
    book = devnet.book
    weth, usdx = book.address("weth"), book.address("usdx")
    part = adapters_of(book)["aave_v3"].policy(ZERO_ADDRESS)
    policy = policy_of((part,), ZERO_ADDRESS, {weth: TokenClass.KEPT, usdx: TokenClass.KEPT})
    ether, dollar = book.address("feed_eth_usd"), book.address("feed_usdx_usd")
    limits = tuple(
        TokenLimit(book.address(name), feed, FEED_HEARTBEAT_S, decimals, cap, 0)
        for name, feed, decimals, cap in (
            ("weth", ether, 18, 8 * ETHER),
            ("a_weth", ether, 18, 8 * ETHER),
            ("usdx", dollar, 6, 5_000 * DOLLAR),
            ("aave_debt_usdx", dollar, 6, 5_000 * DOLLAR),
        )
    )
    health = (HealthSource(HealthKind.AAVE_POOL, book.address("aave_pool")),)
    losses = LossLimit(10 * VALUE_UNIT, 20 * VALUE_UNIT)
    return policy, RiskPolicy(ZERO_ADDRESS, limits, losses, health, holds_positions=True)


def ask(devnet: Devnet, reads: Sequence[Read]) -> Answers:
    returned = devnet.rpc.view(devnet.book.address("multicall3"), aggregate3_call(reads))
    return aggregate3_answers(reads, returned)


def policy_on_chain(devnet: Devnet, policy: Address) -> FoundPolicy:
    registry = devnet.book.address("policy_registry")
    answers = ask(devnet, index_reads(registry, policy))
    more = ask(devnet, entry_reads(registry, policy, answers))
    return found_policy(registry, policy, {**answers, **more})


def view(
    devnet: Devnet, name: str, kinds: Sequence[str], signature: str, *values: AbiValue
) -> Sequence[AbiValue]:
    return abi_decode(kinds, devnet.rpc.view(devnet.book.address(name), encode_call(signature, values)))


def lever(ground: Ground, holder: Address, supplied: int, borrowed: int) -> tuple[Operation, ...]:
    """Supply and borrow as an account would if it named `holder`."""
    book = ground.devnet.book
    aave = adapters_of(book)["aave_v3"]
    return (
        *aave.build(Supply(book.address("weth"), supplied), holder),
        *aave.build(Borrow(book.address("usdx"), borrowed), holder),
    )


def plan(ground: Ground, operations: Sequence[Operation], supplied: int, borrowed: int) -> bytes:
    book = ground.devnet.book
    bounds = (
        TokenBound(book.address("weth"), "outflow", supplied),
        TokenBound(book.address("aave_debt_usdx"), "debt_increase", borrowed + 1),
        TokenBound(book.address("usdx"), "inflow", borrowed),
    )
    execution = Execution(encode_operations(operations), bounds, FAR_FUTURE_S, 0, ZERO_ADDRESS)
    return execution.calldata(intent_id=1, plan_digest=bytes(32), max_fee_wei=0)


def refusal(devnet: Devnet, sender: Address, target: Address, data: bytes) -> Revert:
    call = {"from": hex_text(sender), "to": hex_text(target), "data": hex_text(data)}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]}).encode()
    request = urllib.request.Request(devnet.info.rpc_url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        error = json.load(response)["error"]
    decoded = decode_revert(bytes.fromhex(str(error["data"])[2:]))
    assert decoded is not None
    return decoded


def test_a_policy_written_from_what_was_read_reads_the_same(shared_devnet: Devnet) -> None:
    original = policy_on_chain(shared_devnet, shared_devnet.book.address("atomic_executor"))
    assert not original.sealed
    assert len(original.policy.listings) > 3
    wanted = replace(original.policy, executor=COPY)
    registry = shared_devnet.book.address("policy_registry")
    calls = registry_calls(wanted)
    shared_devnet.rpc.settle([shared_devnet.rpc.send(OWNER, registry, call) for call in calls], mine=True)
    assert policy_diff(wanted, policy_on_chain(shared_devnet, COPY).policy) == ()


def test_a_diff_written_closes_itself(ground: Ground) -> None:
    registry = ground.devnet.book.address("policy_registry")
    executor = ground.devnet.book.address("atomic_executor")
    found = policy_on_chain(ground.devnet, executor).policy
    wanted = replace(
        found,
        listings=(*found.listings[1:], Listing(found.listings[0].target, "totalSupply()")),
        tokens=found.tokens[1:],
        lenders=(),
    )
    changes = policy_diff(wanted, found)
    assert {change.loosens for change in changes} == {True, False}
    rpc = ground.devnet.rpc
    rpc.settle([rpc.send(OWNER, registry, change.call) for change in changes], mine=True)
    assert policy_diff(wanted, policy_on_chain(ground.devnet, executor).policy) == ()


def test_the_backup_is_under_the_first_executors_policy(shared_devnet: Devnet) -> None:
    backup = shared_devnet.book.address("atomic_executor_backup")
    for name in ("policy_registry", "risk_book"):
        (policy,) = view(shared_devnet, name, ["address"], "policyOf(address)", backup)
        assert policy == shared_devnet.book.address("atomic_executor")


def test_an_account_is_where_it_was_foretold_and_sealed(ground: Ground) -> None:
    assert ground.account == account_of(ground.devnet, KEY, BENEFICIARY)
    found = policy_on_chain(ground.devnet, policy_name(KEY))
    assert found.sealed
    policy, _ = rules(ground.devnet)
    assert policy_diff(replace(policy, executor=policy_name(KEY)), found.policy) == ()
    listing = listing_call(policy_name(KEY), Listing(ground.devnet.book.address("weth"), "deposit()"))
    registry = ground.devnet.book.address("policy_registry")
    assert refusal(ground.devnet, OWNER, registry, listing).name == "NotProposed"


def test_an_account_opens_a_position_and_its_room_shrinks(ground: Ground) -> None:
    devnet, account = ground.devnet, ground.account
    data = plan(ground, lever(ground, account, 5 * ETHER, 2_000 * DOLLAR), 5 * ETHER, 2_000 * DOLLAR)
    devnet.rpc.settle([devnet.rpc.send(KEY, account, data)], mine=True)
    (health,) = view(devnet, "risk_book", ["uint256[]"], "healthFactors(address)", account)
    (other,) = view(devnet, "risk_book", ["uint256[]"], "healthFactors(address)", ground.other)
    assert isinstance(health, (list, tuple))
    assert isinstance(other, (list, tuple))
    assert isinstance(health[0], int)
    assert ETHER < health[0] < 10 * ETHER
    assert other[0] == 2**256 - 1

    book, tokens = devnet.book.address("risk_book"), (devnet.book.address("weth"), NATIVE)
    mine = rooms_of(ask(devnet, room_reads(book, account, tokens)), book, account, tokens)
    theirs = rooms_of(ask(devnet, room_reads(book, ground.other, tokens)), book, ground.other, tokens)
    assert mine.tokens == {tokens[0]: 3 * ETHER, NATIVE: 0}
    assert theirs.tokens == {tokens[0]: 8 * ETHER, NATIVE: 0}
    assert theirs.loss == 10 * VALUE_UNIT


def test_more_than_the_cap_does_not_leave_an_account(ground: Ground) -> None:
    data = plan(ground, lever(ground, ground.account, 9 * ETHER, 1), 9 * ETHER, 1)
    assert refusal(ground.devnet, KEY, ground.account, data).name == "CapExceeded"


def test_a_key_reaches_neither_another_account_nor_its_position(ground: Ground) -> None:
    data = plan(ground, lever(ground, ground.other, ETHER, 1), ETHER, 1)
    assert refusal(ground.devnet, KEY, ground.account, data).name == "WordRefused"
    assert refusal(ground.devnet, KEY, ground.other, data).name == "MissingRole"
