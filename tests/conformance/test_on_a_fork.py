"""Exchanges on a fork of a chain that exists: what their adapters quote is what happens there.

Runs where SEAWALL_FORK_URL names an endpoint, with the address book published for its chain, or the one that
SEAWALL_FORK_BOOK names. Nothing is sent to that endpoint: the fork is a node on this machine, and only reads
go out. The same way is gone without any endpoint by a fork of the devnet's own chain.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import permutations
from pathlib import Path

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.primitives.errors import UnavailableActionError
from seawall.primitives.secrets import Secret
from seawall.primitives.units import NATIVE, Address
from seawall.protocols import uniswap_v2, uniswap_v3
from seawall.protocols.adapters.actions import Action, Deposit, Redeem, Swap
from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.adapters.erased import AnyAdapter
from seawall.protocols.executor.policy import TokenClass
from seawall.rollout.devnet import Devnet, DevnetSettings, ForkSettings, running
from seawall.rollout.devnet.rpc import NodeRefusedError
from tests.conformance.stage import Account, Stage

FORK_URL = os.environ.get("SEAWALL_FORK_URL", "")
FORK_BOOK = os.environ.get("SEAWALL_FORK_BOOK", "")
pytestmark = pytest.mark.anvil
# Tokens whose pools are looked for on a public chain.
PUBLIC_PAIR = ("weth", "usdc")
# Those of which a swap of one unit each way is known to be worth trying anywhere.
FAMILIES = (
    "weth",
    "uniswap_",
    "sushi_",
    "pancake_",
    "slipstream",
    "solidly",
    "velodrome",
    "aerodrome",
    "camelot",
    "balancer_",
)


@contextmanager
def forked(url: str, book: str, directory: Path) -> Iterator[Stage]:
    """A node of ours on top of an endpoint's head, with our own contracts."""
    settings = ForkSettings(Secret(url), book=Path(book) if book else None)
    with running(DevnetSettings(directory, fork=settings)) as devnet:
        yield Stage(Devnet(devnet.info, with_pools(devnet.book), devnet.rpc))


def with_pools(book: AddressBook) -> AddressBook:
    """The pools of the best-known pair, where the book leaves them out."""
    extended = AddressBook(book.chain_id, list(book))
    if any(name not in book for name in PUBLIC_PAIR):
        return extended
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
        if name in book:
            continue
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


@pytest.mark.skipif(not FORK_URL, reason="SEAWALL_FORK_URL names no endpoint to fork from")
def test_what_adapters_quote_is_what_happens_on_the_fork(tmp_path: Path) -> None:
    with forked(FORK_URL, FORK_BOOK, tmp_path) as stage:
        trades_as_quoted(stage)


@pytest.mark.long
def test_what_adapters_quote_is_what_happens_on_a_fork_of_the_devnet(tmp_path: Path) -> None:
    with (
        running(DevnetSettings(tmp_path / "origin")) as origin,
        forked(origin.info.rpc_url, str(origin.info.addresses), tmp_path / "fork") as stage,
    ):
        trades_as_quoted(stage)


def trades_as_quoted(stage: Stage) -> None:
    moved: dict[str, int] = {}
    found = adapters_of(stage.devnet.book)
    adapters = {name: found[name] for name in found if name.startswith(FAMILIES)}
    for name, adapter in adapters.items():
        account = stage.open_account(adapter)
        for actions in attempts(stage, adapter, account):
            with suppress(UnavailableActionError, NodeRefusedError):
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
