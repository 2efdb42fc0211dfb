"""What `seawall.toml` must say so that strategy files may run in an account on the devnet: text to append.

    policy's tokens -> prices, caps, what the key may spend; protocols -> lending places; files -> strategies

Receipts and debts are tokens here as everywhere: what a plan moves must have a price and a cap. Limits are
wide, for trying things out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.protocols.adapters import morpho_blue
from seawall.protocols.executor.policy import Policy

__all__ = ["settings_text"]

CAP: Final = 5_000_000
_NATIVE_FEED: Final = "feed_eth_usd"
_VIEWS: Final = "position_"
_STABLE_POOLS: Final = "curve_stable_"

_PRICE: Final = """
[[chains.prices]]
token = "{token}"
feed = "@{feed}"
"""
_SHARE: Final = """
[[chains.shares]]
token = "@{token}"
of = "@redeemable_usd"
call = "get_virtual_price()"
"""
_AAVE: Final = """
[[chains.lending]]
kind = "aave"
pool = "@{pool}"
"""
_MORPHO: Final = """
[[chains.lending]]
kind = "morpho"
morpho = "@morpho"
loan = "@{loan}"
collateral = "@{collateral}"
oracle = "@{oracle}"
irm = "@morpho_irm"
lltv = "{lltv}"
"""
_SPEND: Final = """
[[signers.policies.spend]]
token = "@{token}"
per_hour = "{cap}"
per_day = "{cap}"
"""
_CAP: Final = """
[[limits.positions]]
chain_id = {chain_id}
token = "@{token}"
cap = "{cap}"
"""
_STRATEGY: Final = """
[[strategies]]
name = "{name}"
file = "{file}"
chain_id = {chain_id}
signer = "main"
mode = "live"
"""


def settings_text(
    book: AddressBook, policy: Policy, feeds: Mapping[str, str], used: Sequence[str], files: Sequence[str]
) -> str:
    """To append to the configuration of a project with one chain and one key. `feeds` are by token, `used`
    are adapters' names."""
    names = [entry.name for listed in policy.tokens if (entry := book.find(listed.token)) is not None]
    counted = [name for name in names if not name.startswith(_VIEWS) and book[name].decimals is not None]
    priced = {"native": _NATIVE_FEED} | {f"@{token}": feeds[token] for token in counted if token in feeds}
    parts = [_PRICE.format(token=token, feed=feed) for token, feed in priced.items()]
    parts += [_SHARE.format(token=token) for token in counted if token.startswith(_STABLE_POOLS)]
    for name, pool in (("aave_v3", "aave_pool"), ("spark", "spark_pool")):
        if name in used:
            parts.append(_AAVE.format(pool=pool))
    parts += [_market(book, one) for one in morpho_blue.from_book(book) if one.name in used]
    for token in counted:
        parts.append(_SPEND.format(token=token, cap=CAP))
        parts.append(_CAP.format(token=token, cap=CAP, chain_id=book.chain_id))
    parts += [_STRATEGY.format(name=Path(file).stem, file=file, chain_id=book.chain_id) for file in files]
    return "".join(parts)


def _market(book: AddressBook, market: morpho_blue.MorphoAdapter) -> str:
    names = {entry.address: entry.name for entry in book}
    return _MORPHO.format(
        loan=names[market.loan],
        collateral=names[market.collateral],
        oracle=names[market.oracle],
        lltv=market.lltv_wad / 10**18,
    )
