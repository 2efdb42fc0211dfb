"""The sections of the configuration, one function each: a checked table becomes the settings of one room.

Relative paths are relative to the configuration's folder. Secrets are never inline: passwords are named by
file or variable, and only addresses of endpoints and of the database may hold `${VARIABLE}`. An address may
be written as `@name`, which the chain's address book knows.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.chain.agreement import default_agreement
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
from seawall.control.permit import PERMIT_S
from seawall.primitives.bounds import LANE_UNLANDED_CEILING, LANE_UNLANDED_MAX
from seawall.primitives.errors import ConfigError, InputError
from seawall.primitives.levels import Priority
from seawall.primitives.units import BPS, Address, address_text
from seawall.risk.limits import RiskLimits
from seawall.risk.reduce import PriceFeed
from seawall.runtime.hosts.settings import SHARED_HOST, HostSettings
from seawall.runtime.names import (
    DECIMALS_MAX,
    NATIVE_DECIMALS,
    VARIABLE,
    address_of,
    decimals_of,
    listed,
    refuse_variable,
    token_of,
)
from seawall.runtime.places import DATA_NAME
from seawall.runtime.policies import read_policies
from seawall.runtime.settings import (
    OWN_KEY,
    ChainSettings,
    KernelSettings,
    Mode,
    SignerSettings,
    StrategySettings,
    SubmitterSettings,
)
from seawall.runtime.tables import Table
from seawall.signers.local import PasswordSource
from seawall.telemetry.logs import LEVELS, LogSettings
from seawall.transactions.policies import WAIT_BLOCKS_MAX, StuckPolicies, StuckPolicy

__all__ = [
    "CHAIN_KEYS",
    "HOST_KEYS",
    "KERNEL_KEYS",
    "LIMIT_KEYS",
    "LOG_KEYS",
    "NETWORK_KEYS",
    "SIGNER_KEYS",
    "STRATEGY_KEYS",
    "SUBMITTER_KEYS",
    "read_chain",
    "read_hosts",
    "read_kernel",
    "read_limits",
    "read_logs",
    "read_network",
    "read_signer",
    "read_strategy",
    "read_submitter",
]

_GWEI_DECIMALS: Final = 9
_DAY_S: Final = 86_400
_SQLITE: Final = "sqlite:///"
# How long lanes stay a dead kernel's: on PostgreSQL others wait for them, on SQLite nobody does.
_FLEET_LEASE_S: Final = 3
_LONE_LEASE_S: Final = 30
_LEASE_MARGIN_S: Final = 0.5
_CLASS_PATH: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

KERNEL_KEYS: Final = ("data", "ledger", "listen", "lease_ttl_s")


def read_kernel(table: Table, folder: Path, environment: Mapping[str, str]) -> KernelSettings:
    data = folder / table.text("data", DATA_NAME)
    ledger = _expanded(
        table.text("ledger", f"{_SQLITE}{data / 'ledger.db'}"), table.key("ledger"), environment
    )
    if not ledger.startswith((_SQLITE, "postgresql+psycopg://")):
        raise ConfigError(
            "the address of a database that is not supported (not shown: it may hold a password)",
            table.key("ledger"),
            "write sqlite:///path or postgresql+psycopg://user@host/database",
        )
    if ledger.startswith(_SQLITE):
        ledger = f"{_SQLITE}{folder / ledger.removeprefix(_SQLITE)}"
    listen = table.text("listen", "127.0.0.1:9464")
    host, _, port = listen.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65_536 and _is_loopback(host.strip("[]"))):
        raise ConfigError(
            f"{listen[:60]!r} is not a port of this machine",
            table.key("listen"),
            "write 127.0.0.1:port; for other machines put a proxy with authentication in front",
        )
    return KernelSettings(
        data=data,
        ledger_url=ledger,
        listen_host=host.strip("[]"),
        listen_port=int(port),
        lease_ttl_s=_lease_ttl_s(table, is_shared=not ledger.startswith(_SQLITE)),
    )


def _lease_ttl_s(table: Table, *, is_shared: bool) -> int:
    """Whoever takes a lane over must find the last holder's send permit at its end."""
    ttl_s = table.integer(
        "lease_ttl_s", _FLEET_LEASE_S if is_shared else _LONE_LEASE_S, minimum=1, maximum=3_600
    )
    if is_shared and ttl_s < PERMIT_S + _LEASE_MARGIN_S:
        raise ConfigError(
            f"a lease of {ttl_s} s may end before the send permit of {PERMIT_S:g} s of a kernel that died",
            table.key("lease_ttl_s"),
            f"write {_FLEET_LEASE_S} or more",
        )
    return ttl_s


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


LOG_KEYS: Final = ("level", "file", "file_bytes_max", "files_kept")


def read_logs(table: Table, folder: Path) -> LogSettings:
    standard = LogSettings()
    level = table.text("level", standard.level)
    if level not in LEVELS:
        raise ConfigError(
            f"{level[:40]!r} is not a log level", table.key("level"), f"use one of {', '.join(LEVELS)}"
        )
    return LogSettings(
        level=level,
        file=folder / table.text("file") if "file" in table else None,
        file_bytes_max=table.integer("file_bytes_max", standard.file_bytes_max, minimum=4_096, maximum=2**40),
        files_kept=table.integer("files_kept", standard.files_kept, minimum=0, maximum=100),
    )


_HOST_TIMES: Final = tuple(f.name for f in fields(HostSettings) if f.name.endswith("_s"))
HOST_KEYS: Final = (*_HOST_TIMES, "memory_bytes_max", "python_path")


def read_hosts(table: Table, folder: Path) -> HostSettings:
    standard = HostSettings()
    times = {
        name: table.seconds(name, getattr(standard, name), minimum=0.01, maximum=_DAY_S)
        for name in _HOST_TIMES
    }
    memory = table.integer("memory_bytes_max", standard.memory_bytes_max, minimum=0, maximum=2**50)
    paths = tuple(str(folder / text) for text, _ in table.texts("python_path"))
    return HostSettings(**times, memory_bytes_max=memory, python_path=paths)


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
_CHAIN_ID_MAX: Final = 2**63 - 1


def read_network(table: Table) -> Network:
    """A chain that the registry does not have, or other facts about one that it has."""
    rules = table.tables("hardforks", ("from_s", "name"))
    return Network(
        chain_id=table.integer("chain_id", minimum=1, maximum=_CHAIN_ID_MAX),
        name=table.name("name"),
        native_symbol=table.text("native_symbol"),
        block_time_s=table.integer("block_time_s", minimum=1, maximum=_DAY_S),
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
    "websocket",
    "poll_interval_s",
    "lane_unlanded_max",
    "agreement",
    "verify_state",
    "address_book",
    "executor",
    "fees",
    "stuck",
    "prices",
    "health",
)
_STUCK_KEYS: Final = tuple(f.name for f in fields(StuckPolicy))
_PRICE_KEYS: Final = ("token", "feed", "decimals", "feed_decimals")
_HEALTH_KEYS: Final = ("target",)
_FEED_DECIMALS: Final = 8


def read_chain(
    table: Table, folder: Path, environment: Mapping[str, str], networks: Mapping[int, Network]
) -> ChainSettings:
    chain_id = table.integer("chain_id", minimum=1, maximum=_CHAIN_ID_MAX)
    try:
        network = network_of(chain_id, networks)
    except ConfigError as error:
        raise ConfigError(
            error.what, table.key("chain_id"), f"{error.fix}, or describe it in [[networks]]"
        ) from None
    rpc = tuple(_endpoint(text, where, environment) for text, where in table.texts("rpc", at_least=1))
    send = tuple(_endpoint(text, where, environment) for text, where in table.texts("send"))
    websocket = None
    if "websocket" in table:
        websocket = _endpoint(table.text("websocket"), table.key("websocket"), environment, ("ws", "wss"))
    book = _book(table, folder, chain_id)
    fees = table.table("fees", _FEE_KEYS)
    return ChainSettings(
        network=network,
        rpc=rpc,
        send=send or rpc,
        websocket=websocket,
        poll_interval_s=table.seconds("poll_interval_s", 0.5, minimum=0.01, maximum=600),
        lane_unlanded_max=table.integer(
            "lane_unlanded_max", LANE_UNLANDED_MAX, minimum=1, maximum=LANE_UNLANDED_CEILING
        ),
        agreement=_agreement(table, len(rpc)),
        verify_state=table.choice("verify_state", StateCheck, StateCheck.AGREEMENT),
        fees=_fees(fees, network),
        stuck=_stuck(table.table("stuck", [p.name.lower() for p in Priority])),
        emergency_max_fee_per_gas_wei=_emergency(fees, network),
        book=book,
        executor=address_of(table.text("executor"), table.key("executor"), book)
        if "executor" in table
        else None,
        prices=tuple(_price(price, book) for price in table.tables("prices", _PRICE_KEYS)),
        health=tuple(
            address_of(health.text("target"), health.key("target"), book)
            for health in table.tables("health", _HEALTH_KEYS)
        ),
    )


def _agreement(table: Table, endpoints: int) -> int:
    """How many read endpoints must say the same."""
    need = table.integer("agreement", default_agreement(endpoints), minimum=1, maximum=ENDPOINTS_MAX)
    if need > endpoints:
        raise ConfigError(
            f"{need} endpoints must agree, and there are {endpoints}",
            table.key("agreement"),
            f"give 1 to {endpoints}, or add read endpoints in rpc",
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
    return table.amount(name, _GWEI_DECIMALS) if name in table else standard_wei


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
    text: str, where: str, environment: Mapping[str, str], schemes: tuple[str, ...] = ("http", "https")
) -> Endpoint:
    try:
        return Endpoint.parse(_expanded(text, where, environment), schemes=schemes)
    except ConfigError as error:
        raise ConfigError(error.what, error.where if error.where == where else where, error.fix) from None


def _expanded(text: str, where: str, environment: Mapping[str, str]) -> str:
    """`text` with `${VARIABLE}` replaced from the environment."""
    for name in VARIABLE.findall(text):
        if not environment.get(name):
            raise ConfigError(
                f"the environment variable {name} is not set", where, "export it, then start again"
            )
    return VARIABLE.sub(lambda match: environment[match.group(1)], text)


def _book(table: Table, folder: Path, chain_id: int) -> AddressBook:
    if "address_book" not in table:
        return AddressBook(chain_id)
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


SIGNER_KEYS: Final = ("name", "keystore", "password_file", "password_environment", "policies")


def read_signer(table: Table, folder: Path, books: Mapping[int, AddressBook]) -> SignerSettings:
    if ("password_file" in table) == ("password_environment" in table):
        raise ConfigError(
            "a password has exactly one source",
            table.where,
            "name either password_file or password_environment",
        )
    if "password_file" in table:
        password = PasswordSource(file=folder / table.text("password_file"))
    else:
        password = PasswordSource(environment=table.text("password_environment"))
    name = table.name("name")
    return SignerSettings(name, folder / table.text("keystore"), password, read_policies(table, name, books))


STRATEGY_KEYS: Final = ("name", "class", "chain_id", "signer", "mode", "host", "settings")


def read_strategy(
    table: Table, books: Mapping[int, AddressBook], signers: frozenset[str]
) -> StrategySettings:
    path = table.text("class")
    if not _CLASS_PATH.fullmatch(path):
        raise ConfigError(
            f"{path[:60]!r} is not package.module:Class",
            table.key("class"),
            "write for example my.module:MyStrategy",
        )
    chain_id = _known_chain(table, books)
    signer = _known_signer(table.text("signer"), table.key("signer"), signers)
    settings = table.mapping("settings")
    for own in ("chain_id", "key"):
        if own in settings:
            raise ConfigError(
                "the strategy is given this from its chain and signer",
                table.key(f"settings.{own}"),
                "leave it out",
            )
    resolved = {
        key: _resolved(value, table.key(f"settings.{key}"), books[chain_id])
        for key, value in settings.items()
    }
    return StrategySettings(
        name=table.name("name"),
        path=path,
        chain_id=chain_id,
        signer=signer,
        mode=table.choice("mode", Mode),
        host=table.text("host", SHARED_HOST),
        settings=resolved,
    )


def _known_chain(table: Table, books: Mapping[int, AddressBook]) -> int:
    chain_id = table.integer("chain_id", minimum=1, maximum=_CHAIN_ID_MAX)
    if chain_id not in books:
        raise ConfigError(
            f"chain {chain_id} is not configured",
            table.key("chain_id"),
            f"add it under [[chains]]; there: {listed(books)}",
        )
    return chain_id


def _known_signer(name: str, where: str, signers: frozenset[str]) -> str:
    if name not in signers:
        raise ConfigError(
            f"there is no signer {name[:60]!r}", where, f"add it under [[signers]]; there: {listed(signers)}"
        )
    return name


SUBMITTER_KEYS: Final = ("name", "chain_id", "signers")


def read_submitter(
    table: Table, books: Mapping[int, AddressBook], signers: frozenset[str]
) -> SubmitterSettings:
    named = table.texts("signers", at_least=1)
    return SubmitterSettings(
        name=table.name("name"),
        chain_id=_known_chain(table, books),
        signers=tuple(_known_signer(name, where, signers) for name, where in named),
    )


def _resolved(value: object, where: str, book: AddressBook) -> object:
    """Plain data for JSON, with `@name` replaced by the address of that name."""
    if isinstance(value, str):
        refuse_variable(value, where)
        named = value.startswith("@") and value != OWN_KEY
        return address_text(address_of(value, where, book)) if named else value
    if isinstance(value, list):
        return [_resolved(item, f"{where}[{place}]", book) for place, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _resolved(item, f"{where}.{key}", book) for key, item in value.items()}
    if isinstance(value, bool | int):
        return value
    raise ConfigError(
        f"a {type(value).__name__} cannot be a setting",
        where,
        "use texts, whole numbers, true, false, lists, tables",
    )


LIMIT_KEYS: Final = (
    "slippage_bps",
    "max_fee_per_gas_gwei",
    "oracle_age_s",
    "key_balance_min",
    "reduce_loss_bps",
    "validity_blocks",
    "validity_s",
    "positions",
)
_POSITION_KEYS: Final = ("chain_id", "token", "cap", "decimals")


def read_limits(table: Table, books: Mapping[int, AddressBook]) -> Mapping[int, RiskLimits]:
    caps: dict[int, dict[Address, int]] = {chain_id: {} for chain_id in books}
    for position in table.tables("positions", _POSITION_KEYS):
        chain_id = position.integer("chain_id", minimum=1, maximum=_CHAIN_ID_MAX)
        if chain_id not in books:
            raise ConfigError(
                f"chain {chain_id} is not configured", position.key("chain_id"), f"one of: {listed(books)}"
            )
        token = token_of(position.text("token"), position.key("token"), books[chain_id])
        if token in caps[chain_id]:
            raise ConfigError("this token has a cap already", position.key("token"), "give one cap a token")
        caps[chain_id][token] = position.amount("cap", decimals_of(position, token, books[chain_id]))
    return {
        chain_id: RiskLimits(
            slippage_bps_max=table.integer("slippage_bps", 50, minimum=0, maximum=BPS),
            max_fee_per_gas_wei=table.amount("max_fee_per_gas_gwei", _GWEI_DECIMALS, "500"),
            oracle_age_s_max=table.integer("oracle_age_s", 3_600, minimum=1, maximum=30 * _DAY_S),
            position_caps=caps[chain_id],
            key_balance_min_wei=table.amount("key_balance_min", NATIVE_DECIMALS, "0"),
            reduce_loss_bps=table.integer("reduce_loss_bps", 100, minimum=0, maximum=BPS),
            validity_blocks=table.integer("validity_blocks", 3, minimum=1, maximum=64),
            validity_s=table.integer("validity_s", 30, minimum=1, maximum=3_600),
        )
        for chain_id in books
    }
