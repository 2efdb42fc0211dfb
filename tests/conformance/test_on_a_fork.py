"""Exchanges on a fork of a chain that exists: what their adapters quote is what happens there.

Runs where SEAWALL_FORK_URL names an endpoint, with the address book published for its chain. Nothing is sent
to that endpoint: the fork is a node on this machine, and only reads go out.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from itertools import permutations
from pathlib import Path

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.chain.books import published_book
from seawall.native import abi_encode
from seawall.primitives.errors import EndpointError, UnavailableActionError
from seawall.primitives.units import NATIVE, Address, hex_text
from seawall.protocols import uniswap_v2, uniswap_v3
from seawall.protocols.adapters.actions import Action, Deposit, Redeem, Swap
from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.adapters.erased import AnyAdapter
from seawall.protocols.executor.artifacts import PLAN_CHECKS, REGISTRY, load_artifact
from seawall.protocols.executor.policy import TokenClass
from seawall.rollout.devnet import CHAIN_ID, Devnet, DevnetInfo
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.rpc import DevnetRpc
from tests.conformance.stage import OPERATOR, Account, Stage
from tests.fixtures.anvil import running_anvil

FORK_URL = os.environ.get("SEAWALL_FORK_URL", "")
pytestmark = [
    pytest.mark.anvil,
    pytest.mark.skipif(not FORK_URL, reason="SEAWALL_FORK_URL names no endpoint to fork from"),
]
# Tokens whose pools are looked for on a public chain.
PUBLIC_PAIR = ("weth", "usdc")
ANSWER_TIMEOUT_S = 30
# Those of which a swap of one unit each way is known to be worth trying anywhere.
FAMILIES = ("weth", "uniswap_", "sushi_", "solidly", "camelot", "balancer_")


@pytest.fixture(scope="module")
def forked() -> Iterator[Stage]:
    """A node of ours on top of it, with our own contracts."""
    book = with_pools(published_book(chain_id_of(FORK_URL)))
    with running_anvil("--fork-url", FORK_URL) as node, DevnetRpc(node.url) as rpc:
        for account in (OWNER, OPERATOR):
            rpc.call("anvil_impersonateAccount", hex_text(account))
            rpc.call("anvil_setBalance", hex_text(account), hex(10**24))
        ours = [entry for entry in book if entry.name not in ("policy_registry", "plan_checks")]
        extended = AddressBook(book.chain_id, ours)
        for name, artifact, owner in (
            ("policy_registry", REGISTRY, (OWNER,)),
            ("plan_checks", PLAN_CHECKS, ()),
        ):
            code = load_artifact(artifact).creation_code + abi_encode(["address"] * len(owner), owner)
            created = rpc.settle([rpc.send(OWNER, None, code)], mine=True)[0]
            address = Address(bytes.fromhex(str(created["contractAddress"])[2:]))
            extended.add(AddressEntry(book.chain_id, name, address, AddressKind.REGISTRY, "test", bytes(32)))
        info = DevnetInfo(node.url, node.socket_url, node.process.pid, CHAIN_ID, Path(), Path(), "")
        yield Stage(Devnet(info, extended, rpc))


def chain_id_of(url: str) -> int:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as response:
        return int(json.load(response)["result"], 16)


def with_pools(book: AddressBook) -> AddressBook:
    """The pools of the best-known pair, which nobody publishes because their addresses follow."""
    extended = AddressBook(book.chain_id, list(book))
    tokens = [book.address(name) for name in PUBLIC_PAIR]
    found = {}
    if "uniswap_v2_factory" in book:
        found["uniswap_v2_weth_usdc"] = uniswap_v2.pair_address(
            book.address("uniswap_v2_factory"), tokens[0], tokens[1]
        )
    if "uniswap_v3_factory" in book:
        factory = book.address("uniswap_v3_factory")
        for fee in (500, 3000):
            found[f"uniswap_v3_weth_usdc_{fee}"] = uniswap_v3.pool_address(factory, tokens[0], tokens[1], fee)
    for name, address in found.items():
        extended.add(AddressEntry(book.chain_id, name, address, AddressKind.POOL, "derived", None))
    return extended


def attempts(stage: Stage, adapter: AnyAdapter, account: Account) -> list[list[Action]]:
    """Rounds of actions that any adapter of these kinds can be tried with."""
    policy = adapter.policy(account.address)
    tokens = [entry.token for entry in policy.tokens if entry.token_class is TokenClass.PAID_OUT]
    rounds: list[list[Action]] = []
    for token in tokens:
        unit = 10 ** stage.integer(token, "decimals()")
        if Swap in adapter.actions:
            rounds += [[Swap(token, other, unit)] for one, other in permutations(tokens, 2) if one == token]
    if adapter.name == "weth":
        weth = stage.address("weth")
        rounds.append([Deposit(NATIVE, weth, 10**18), Redeem(weth, NATIVE, 10**17)])
    return rounds


def test_what_adapters_quote_is_what_happens_on_the_fork(forked: Stage) -> None:
    moved: dict[str, int] = {}
    found = adapters_of(forked.devnet.book)
    adapters = {name: found[name] for name in found if name.startswith(FAMILIES)}
    for name, adapter in adapters.items():
        account = forked.open_account(adapter)
        for actions in attempts(forked, adapter, account):
            with suppress(UnavailableActionError, EndpointError):
                for action in actions:
                    moved_as_quoted(account, action)
                    moved[name] = moved.get(name, 0) + 1
    idle = {name for name in adapters.keys() - moved.keys() if not name.startswith("uniswap_v4")}
    assert idle == set(), "every exchange of the book trades on the fork"
    assert moved["weth"] == 2


def moved_as_quoted(account: Account, action: Action) -> None:
    for token, amount in spent(action):
        account.stage.give(token, account.address, amount)
    quote = account.quote(action)
    moved = account.run(action, quote)
    expected = dict.fromkeys(moved, 0)
    for entry, sign in (*((e, -1) for e in quote.takes), *((e, 1) for e in quote.gives)):
        expected[entry.token] += sign * entry.amount
    assert moved == expected, f"{account.adapter.name}: {action}"


def spent(action: Action) -> tuple[tuple[Address, int], ...]:
    """What the account needs for it beside what it got before."""
    match action:
        case Swap() | Deposit():
            amount, token = action.amount_in, action.token_in
        case _:
            return ()
    assert isinstance(amount, int)
    return ((token, amount),)
