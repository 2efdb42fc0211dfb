"""An account on the devnet for the key that runs strategy files, under the policy that these files need.

    files -> their policy -> risk limits by the devnet's feeds -> `open_account` -> entered in the book

The account goes by `my_account` in the address book, which is what a file calls it. Limits are those of a
devnet: wide enough to try things out. On a real chain a person writes them, and the policy's owners approve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.native import keccak256
from seawall.primitives.errors import InputError
from seawall.primitives.units import NATIVE, Address
from seawall.protocols.adapters import morpho_blue
from seawall.protocols.executor.artifacts import ACCOUNT
from seawall.protocols.executor.policy import Policy
from seawall.protocols.executor.risk_book import (
    VALUE_UNIT,
    HealthKind,
    HealthSource,
    LossLimit,
    RiskPolicy,
    TokenLimit,
    per_day_down,
)
from seawall.protocols.surroundings import surroundings_of
from seawall.rollout.devnet.lifecycle import Devnet
from seawall.rollout.devnet.own_settings import settings_text
from seawall.rollout.devnet.positions import account_of, open_account
from seawall.strategies.scripts.loading import Standing, load_script
from seawall.strategies.scripts.permits import policy_of_scripts

__all__ = ["ACCOUNT_NAME", "OwnAccount", "account_for"]

ACCOUNT_NAME: Final = "my_account"
HEARTBEAT_S: Final = 86_400
CAP_USD: Final = 5_000_000
ETHER_USD: Final = 2_500
# Wide: what waits in a queue, or is staked, counts for nothing in the risk book.
LOSS_USD: Final = 50_000
_ETHER_DECIMALS: Final = 18
_ETHER_LIKE: Final = ("weth", "ethx", "steth", "wsteth", "reth")
_DOLLAR_LIKE: Final = ("usdx", "usd")
_POSITION_VIEWS: Final = "position_"
_STABLE_POOLS: Final = "curve_stable_"


@dataclass(frozen=True, slots=True)
class OwnAccount:
    address: Address
    settings: str  # what `seawall.toml` must say besides


def account_for(
    devnet: Devnet, operator: Address, beneficiary: Address, files: Mapping[str, bytes]
) -> OwnAccount:
    """Made, listed for what `files` (their text by name) do, and entered in the devnet's address book."""
    if not files:
        raise InputError("no strategy file is named", "devnet account", "name those that it shall run")
    account = account_of(devnet, operator, beneficiary)
    book = AddressBook.from_json(devnet.book.to_json())
    entry = AddressEntry(devnet.info.chain_id, ACCOUNT_NAME, account, AddressKind.EXECUTOR, ACCOUNT, None)
    book.put(entry)
    surroundings = surroundings_of(book.to_json())
    standing = Standing(devnet.info.chain_id, operator, book.address("atomic_executor"))
    scripts = [load_script(content, name, surroundings, standing) for name, content in files.items()]
    policy = policy_of_scripts(*scripts)
    if policy.executor != account:
        raise InputError("these files do not run in it", ACCOUNT_NAME, f"write `account: {ACCOUNT_NAME}`")
    feeds, used = _feeds(book, policy), sorted({x for script in scripts for x in script.scope.needs.acts_on})
    open_account(devnet, operator, beneficiary, policy, _limits(book, policy, feeds, used))
    (code,) = devnet.rpc.codes([account])
    devnet.book.put(replace(entry, code_hash=keccak256(code)))
    devnet.book.write(devnet.info.addresses)
    return OwnAccount(account, settings_text(book, policy, feeds, used, list(files)))


def _feeds(book: AddressBook, policy: Policy) -> dict[str, str]:
    """By the names of listed tokens, for those that a feed of the devnet prices.

    Left out are tokens that do not say their decimals: the risk book takes none of them."""
    feeds: dict[str, str] = {}
    for listed in policy.tokens:
        found = book.find(listed.token)
        if found is None or found.decimals is None:
            continue
        last = found.name.rpartition("_")[2]
        is_token = found.kind is AddressKind.TOKEN or found.name.startswith(_POSITION_VIEWS)
        if is_token and last in _DOLLAR_LIKE:
            feeds[found.name] = "feed_usdx_usd"
        elif is_token and last in _ETHER_LIKE:
            feeds[found.name] = "feed_eth_usd"
    return feeds


def _limits(book: AddressBook, policy: Policy, feeds: Mapping[str, str], used: Sequence[str]) -> RiskPolicy:
    """For every listed token that a feed of the devnet prices; the others may not leave."""
    limits = [_limit(NATIVE, book.address("feed_eth_usd"), _ETHER_DECIMALS, CAP_USD // ETHER_USD)]
    for listed in policy.tokens:
        found = book.find(listed.token)
        if found is None or found.decimals is None:
            continue
        # A share of the stable pool is worth about a dollar.
        feed = "feed_usdx_usd" if found.name.startswith(_STABLE_POOLS) else feeds.get(found.name)
        if feed is not None:
            cap = CAP_USD if feed == "feed_usdx_usd" else CAP_USD // ETHER_USD
            limits.append(_limit(listed.token, book.address(feed), found.decimals, cap))
    loss = LOSS_USD * VALUE_UNIT
    return RiskPolicy(
        policy.executor,
        tuple(limits),
        LossLimit(loss, loss, per_day_down(loss)),
        _health(book, used),
        holds_positions=True,
    )


def _limit(token: Address, feed: Address, decimals: int, cap: int) -> TokenLimit:
    capacity: int = cap * 10**decimals
    return TokenLimit(token, feed, HEARTBEAT_S, decimals, capacity, per_day_down(capacity))


def _health(book: AddressBook, used: Sequence[str]) -> tuple[HealthSource, ...]:
    """Every place at which something may be owed."""
    found = [
        HealthSource(HealthKind.AAVE_POOL, book.address(pool))
        for name, pool in (("aave_v3", "aave_pool"), ("spark", "spark_pool"))
        if name in used
    ]
    found += [
        HealthSource(HealthKind.MORPHO_MARKET, market.morpho, market.market_id)
        for market in morpho_blue.from_book(book)
        if market.name in used
    ]
    if "compound_v3:usdx" in used:
        found.append(HealthSource(HealthKind.COMET, book.address("comet_usdx")))
    return tuple(found)
