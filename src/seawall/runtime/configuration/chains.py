"""The configuration of networks and chains: a checked table becomes the settings of one.

Endpoints may hold `${PLACE}` of a secret in their addresses. An address on the chain may be written as
`@name`, which the chain's address book knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.chain.agreement import default_agreement
from seawall.chain.books import published_book
from seawall.chain.client import StateCheck
from seawall.chain.endpoints import Endpoint
from seawall.chain.fees import FeeSettings, fee_settings_of
from seawall.chain.networks import (
    HEAD_AHEAD_S_MAX,
    FinalityRule,
    L2Kind,
    Network,
    Proofs,
    ReceiptReads,
    network_of,
)
from seawall.chain.replacement import rule_of
from seawall.chain.rpc import ENDPOINTS_MAX
from seawall.primitives.bounds import BATCH_SEGMENTS_MAX, LANE_UNLANDED_CEILING, LANE_UNLANDED_MAX
from seawall.primitives.errors import ConfigError, InputError
from seawall.primitives.levels import Priority
from seawall.primitives.units import BPS
from seawall.risk.limits import PriceFeed
from seawall.runtime.configuration.endpoints import read_endpoints
from seawall.runtime.configuration.limits import (
    LENDING_KEYS,
    SEQUENCER_KEYS,
    SHARE_KEYS,
    read_lending,
    read_sequencer,
    read_share,
)
from seawall.runtime.configuration.logs import read_logs_kept
from seawall.runtime.configuration.names import (
    CHAIN_ID_MAX,
    DAY_S,
    DECIMALS_MAX,
    GWEI_DECIMALS,
    address_of,
    decimals_of,
    token_of,
)
from seawall.runtime.configuration.pending import read_pending
from seawall.runtime.configuration.relays import read_private, read_relays
from seawall.runtime.configuration.secrets import SecretReader
from seawall.runtime.configuration.settings import ChainSettings
from seawall.runtime.configuration.tables import Table
from seawall.transactions.policies import (
    MOVES_MAX,
    WAIT_BLOCKS_MAX,
    MovePolicy,
    StuckPolicies,
    StuckPolicy,
)

__all__ = ["CHAIN_KEYS", "NETWORK_KEYS", "read_chain", "read_network"]

NETWORK_KEYS: Final = (
    "chain_id",
    "name",
    "native_symbol",
    "block_time_s",
    "safe",
    "final",
    "explorer",
    "multicall",
    "wrapped_native",
    "l2_kind",
    "hardforks",
    "receipts",
    "proofs",
    "head_ahead_s_max",
)


def read_network(table: Table) -> Network:
    """A chain that the registry does not have, or other facts about one that it has."""
    rules = table.tables("hardforks", ("from_s", "name"))
    return Network(
        chain_id=table.integer("chain_id", minimum=1, maximum=CHAIN_ID_MAX),
        name=table.name("name"),
        native_symbol=table.text("native_symbol"),
        block_time_s=table.integer("block_time_s", minimum=1, maximum=DAY_S),
        finality=FinalityRule(_finality(table, "safe", "safe"), _finality(table, "final", "finalized")),
        explorer=table.text("explorer") if "explorer" in table else "",
        multicall=table.address("multicall") if "multicall" in table else None,
        wrapped_native=table.address("wrapped_native") if "wrapped_native" in table else None,
        l2_kind=table.choice("l2_kind", L2Kind) if "l2_kind" in table else None,
        hardforks=tuple(
            (rule.integer("from_s", minimum=0, maximum=2**40), rule.text("name")) for rule in rules
        ),
        receipts=table.choice("receipts", ReceiptReads, ReceiptReads.BLOCK),
        proofs=table.choice("proofs", Proofs, Proofs.NONE),
        head_ahead_s_max=table.integer("head_ahead_s_max", HEAD_AHEAD_S_MAX, minimum=0, maximum=2**40),
    )


def _finality(table: Table, name: str, tag: str) -> str | int:
    """A depth in blocks, or the tag that the node is asked for."""
    return table.integer(name, minimum=0, maximum=100_000) if name in table else tag


_FEE_KEYS: Final = (
    "max_fee_per_gas_ceiling_gwei",
    "priority_fee_floor_gwei",
    "priority_fee_ceiling_gwei",
    "percentiles",
    "validity_blocks",
    "headroom_bps",
    "emergency_max_fee_per_gas_gwei",
)
CHAIN_KEYS: Final = (
    "chain_id",
    "rpc",
    "send",
    "endpoints",
    "websocket",
    "poll_interval_s",
    "lane_unlanded_max",
    "batch_plans_max",
    "agreement",
    "verify_state",
    "address_book",
    "executor",
    "accounts",
    "fees",
    "stuck",
    "moves",
    "prices",
    "health",
    "lending",
    "shares",
    "sequencer",
    "relays",
    "private",
    "pending",
    "logs",
)
_STUCK_KEYS: Final = tuple(f.name for f in fields(StuckPolicy))
_MOVE_KEYS: Final = ("moves_max", "at_once")
_PRICE_KEYS: Final = ("token", "feed", "decimals", "feed_decimals")
_HEALTH_KEYS: Final = ("target",)
_FEED_DECIMALS: Final = 8


def read_chain(
    table: Table, folder: Path, secrets: SecretReader, networks: Mapping[int, Network]
) -> ChainSettings:
    chain_id = table.integer("chain_id", minimum=1, maximum=CHAIN_ID_MAX)
    try:
        network = network_of(chain_id, networks)
    except ConfigError as error:
        raise ConfigError(
            error.what, table.key("chain_id"), f"{error.fix}, or describe it in [[networks]]"
        ) from None

    def parse(text: str, where: str, schemes: tuple[str, ...] = ("http", "https")) -> Endpoint:
        return _endpoint(text, where, secrets, schemes)

    endpoints = read_endpoints(table, parse)
    relays = read_relays(table, folder, secrets, parse)
    websocket = None
    if "websocket" in table:
        websocket = _endpoint(table.text("websocket"), table.key("websocket"), secrets, ("ws", "wss"))
    book = _book(table, folder, chain_id)
    fees = table.table("fees", _FEE_KEYS)
    return ChainSettings(
        network=network,
        endpoints=endpoints,
        websocket=websocket,
        poll_interval_s=table.seconds("poll_interval_s", 0.5, minimum=0.01, maximum=600),
        lane_unlanded_max=table.integer(
            "lane_unlanded_max", LANE_UNLANDED_MAX, minimum=1, maximum=LANE_UNLANDED_CEILING
        ),
        batch_plans_max=table.integer("batch_plans_max", 1, minimum=1, maximum=BATCH_SEGMENTS_MAX),
        agreement=_agreement(table, sum(each.use.reads for each in endpoints)),
        verify_state=table.choice("verify_state", StateCheck, StateCheck.AGREEMENT),
        fees=_fees(fees, network),
        stuck=_stuck(table.table("stuck", [p.name.lower() for p in Priority])),
        moves=_moves(table.table("moves", _MOVE_KEYS)),
        emergency_max_fee_per_gas_wei=_emergency(fees, network),
        book=book,
        executor=address_of(table.text("executor"), table.key("executor"), book)
        if "executor" in table
        else None,
        accounts=tuple(address_of(text, where, book) for text, where in table.texts("accounts")),
        prices=tuple(_price(price, book) for price in table.tables("prices", _PRICE_KEYS)),
        health=tuple(
            address_of(health.text("target"), health.key("target"), book)
            for health in table.tables("health", _HEALTH_KEYS)
        ),
        lending=tuple(read_lending(place, book) for place in table.tables("lending", LENDING_KEYS)),
        shares=tuple(read_share(share, book) for share in table.tables("shares", SHARE_KEYS)),
        sequencer=read_sequencer(table.table("sequencer", SEQUENCER_KEYS), book)
        if "sequencer" in table
        else None,
        relays=relays,
        private=read_private(table, relays, book),
        pending=read_pending(table, parse),
        logs=read_logs_kept(table, book),
        book_file=folder / table.text("address_book") if "address_book" in table else None,
    )


def _agreement(table: Table, endpoints: int) -> int:
    """How many read endpoints must say the same."""
    need = table.integer("agreement", default_agreement(endpoints), minimum=1, maximum=ENDPOINTS_MAX)
    if need > endpoints:
        raise ConfigError(
            f"{need} endpoints must agree, and there are {endpoints}",
            table.key("agreement"),
            f"give 1 to {endpoints}, or add endpoints that are read",
        )
    return need


def _price(table: Table, book: AddressBook) -> PriceFeed:
    token = token_of(table.text("token"), table.key("token"), book)
    return PriceFeed(
        token=token,
        feed=address_of(table.text("feed"), table.key("feed"), book),
        token_decimals=decimals_of(table, token, book),
        feed_decimals=table.integer("feed_decimals", _FEED_DECIMALS, minimum=0, maximum=DECIMALS_MAX),
    )


def _stuck(table: Table) -> StuckPolicies:
    """What is done about transactions that do not land, by priority."""
    standard = StuckPolicies()
    return StuckPolicies(
        **{
            p.name.lower(): _policy(table.table(p.name.lower(), _STUCK_KEYS), standard.of(p))
            for p in Priority
        }
    )


def _moves(table: Table) -> MovePolicy:
    """Of intents whose nonce somebody else used."""
    standard = MovePolicy()
    return MovePolicy(
        table.integer("moves_max", standard.moves_max, minimum=0, maximum=MOVES_MAX),
        table.flag("at_once", default=standard.at_once),
    )


def _policy(table: Table, standard: StuckPolicy) -> StuckPolicy:
    try:
        return StuckPolicy(
            table.integer(
                "rebroadcast_blocks", standard.rebroadcast_blocks, minimum=1, maximum=WAIT_BLOCKS_MAX
            ),
            table.integer("replace_blocks", standard.replace_blocks, minimum=1, maximum=WAIT_BLOCKS_MAX),
            table.flag("cancel_refused", default=standard.cancel_refused),
        )
    except ConfigError as error:
        where = error.where if error.where.startswith(table.where) else table.where
        raise ConfigError(error.what, where, error.fix) from None


def _fees(table: Table, network: Network) -> FeeSettings:
    standard = fee_settings_of(network)
    shares = table.table("percentiles", [p.name.lower() for p in Priority])
    critical, high, normal, low = (
        shares.integer(p.name.lower(), standard.percentile(p), minimum=0, maximum=100) for p in Priority
    )
    try:
        return FeeSettings(
            max_fee_per_gas_ceiling_wei=_gwei(
                table, "max_fee_per_gas_ceiling_gwei", standard.max_fee_per_gas_ceiling_wei
            ),
            priority_fee_floor_wei=_gwei(table, "priority_fee_floor_gwei", standard.priority_fee_floor_wei),
            priority_fee_ceiling_wei=_gwei(
                table, "priority_fee_ceiling_gwei", standard.priority_fee_ceiling_wei
            ),
            percentiles=(critical, high, normal, low),
            validity_blocks=table.integer("validity_blocks", standard.validity_blocks, minimum=1, maximum=64),
            headroom_bps=table.integer("headroom_bps", standard.headroom_bps, minimum=BPS, maximum=10 * BPS),
        )
    except ConfigError as error:
        where = error.where if error.where.startswith(table.where) else table.where
        raise ConfigError(error.what, where, error.fix) from None


def _gwei(table: Table, name: str, standard_wei: int) -> int:
    return table.amount(name, GWEI_DECIMALS) if name in table else standard_wei


def _emergency(table: Table, network: Network) -> int:
    """Housekeeping must be able to replace the dearest plan, or its nonce could never be filled."""
    ceiling_wei = _fees(table, network).max_fee_per_gas_ceiling_wei
    needed_wei = rule_of(network).least_after(ceiling_wei)
    emergency_wei = _gwei(table, "emergency_max_fee_per_gas_gwei", 2 * needed_wei)
    if emergency_wei < needed_wei:
        raise ConfigError(
            f"{emergency_wei} wei cannot replace a plan at the fee ceiling, which takes {needed_wei} wei",
            table.key("emergency_max_fee_per_gas_gwei"),
            "raise it, or lower max_fee_per_gas_ceiling_gwei",
        )
    return emergency_wei


def _endpoint(
    text: str, where: str, secrets: SecretReader, schemes: tuple[str, ...] = ("http", "https")
) -> Endpoint:
    try:
        return Endpoint.parse(secrets.expanded(text, where), schemes=schemes)
    except ConfigError as error:
        raise ConfigError(error.what, error.where if error.where == where else where, error.fix) from None


def _book(table: Table, folder: Path, chain_id: int) -> AddressBook:
    if "address_book" not in table:
        return published_book(chain_id)
    where, path = table.key("address_book"), folder / table.text("address_book")
    try:
        book = AddressBook.from_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"the address book cannot be read: {error.strerror}",
            where,
            "give an existing file, such as the devnet's",
        ) from None
    except InputError as error:
        raise ConfigError(error.what, where, error.fix) from None
    if book.chain_id != chain_id:
        raise ConfigError(
            f"this address book is of chain {book.chain_id}", where, f"give the one of chain {chain_id}"
        )
    return book
