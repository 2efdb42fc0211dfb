"""The deployment file: TOML in, a frozen wish out, or an error that names the key.

Addresses may be `@name` of the chain's address book, or the name of a signer or Safe of the configuration.
Amounts of tokens are decimals in quotes. The policy is the same for both executors; caps and losses are those
of `RiskBook`, in tokens and in US dollars.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Final, TypeVar

from seawall.chain.addresses import AddressBook
from seawall.primitives.errors import ConfigError, InputError
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address, address_text, hash_from_text
from seawall.protocols.executor.policy import (
    HEALTH_FLOOR_WAD_MAX,
    FactoryKind,
    FactoryPolicy,
    LenderKind,
    LenderPolicy,
    Listing,
    MemberSet,
    Rule,
    TokenClass,
    TokenPolicy,
    anything,
    at_most,
    content,
    equal_to,
    in_set,
    ourselves,
    parsed_by,
    up_to,
)
from seawall.runtime.configuration.names import address_of, decimals_of, token_of
from seawall.runtime.configuration.settings import ChainSettings, Configuration
from seawall.runtime.configuration.tables import Table

__all__ = ["VALUE_DECIMALS", "DeploymentWish", "HealthSource", "LossCap", "TokenCap", "read_wish"]

FILE_BYTES_MAX: Final = 1024 * 1024
VALUE_DECIMALS: Final = 8
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
_NATIVE_DECIMALS: Final = 18
_WAD_DECIMALS: Final = 18
WAD: Final = 10**_WAD_DECIMALS
_OWNERS_MAX: Final = 256
_CHAIN_ID_MAX: Final = 2**63 - 1
_PARSED: Final = re.compile(r"parsed by (?P<parser>\S{1,80}) within (?P<bytes>\d{1,5}): (?P<rules>.+)")
_CONTENT: Final = re.compile(r"content 0x(?:[0-9a-fA-F]{2})*")
_WHO: Final = ("name", "chain_id", "deployer", "owner", "threshold_min", "owners_min")
_KEYS: Final = (
    *_WHO, "wrapped_native", "beneficiary", "backup", "accounts", "seal", "health_floor", "operators",
    "pausers", "guardians", "tokens", "lenders", "factories", "sets", "calls", "caps", "losses", "health",
)  # fmt: skip

K = TypeVar("K", bound=IntEnum)


class _Class(StrEnum):
    PAID_OUT = "paid_out"
    KEPT = "kept"
    DEBT = "debt"


class _Health(StrEnum):
    AAVE_POOL = "aave_pool"
    MORPHO_MARKET = "morpho_market"
    COMET = "comet"


_HEALTH_KIND: Final = {_Health.AAVE_POOL: 1, _Health.MORPHO_MARKET: 2, _Health.COMET: 3}


@dataclass(frozen=True, slots=True)
class TokenCap:
    """How much of a token may leave (of a debt: grow). `RiskBook.TokenLimit`."""

    token: Address
    feed: Address
    heartbeat_s: int
    decimals: int
    capacity: int  # [smallest unit]
    refill_per_s: int  # [smallest unit per second]


@dataclass(frozen=True, slots=True)
class LossCap:
    """`RiskBook.LossLimit` [1e-8 USD, and per second]."""

    per_execution: int
    capacity: int
    refill_per_s: int


@dataclass(frozen=True, slots=True)
class HealthSource:
    kind: int
    source: Address
    market: bytes


@dataclass(frozen=True, slots=True)
class DeploymentWish:
    """Everything that the file wants."""

    name: str
    chain_id: int
    deployer: Address
    owner: Address  # a Safe
    owner_name: str
    threshold_min: int
    owners_min: int
    wrapped_native: Address
    beneficiary: Address
    backup: bool
    accounts: bool  # whether there is a factory of accounts
    seal: bool
    health_floor_wad: int | None  # of every executor [1e18]; None: as it stands on chain
    operators: tuple[Address, ...]
    pausers: tuple[Address, ...]
    guardians: tuple[Address, ...]
    tokens: tuple[TokenPolicy, ...]
    lenders: tuple[LenderPolicy, ...]
    factories: tuple[FactoryPolicy, ...]
    sets: tuple[MemberSet, ...]
    listings: tuple[Listing, ...]
    caps: tuple[TokenCap, ...]
    losses: LossCap
    health: tuple[HealthSource, ...]
    names: Mapping[Address, str]  # what people call addresses here

    def named(self, address: Address) -> str:
        return self.names.get(address) or address_text(address)

    def in_names(self, text: str) -> str:
        """A sentence, with the names of addresses in it."""
        for address, name in self.names.items():
            text = text.replace(address_text(address), name)
        return text


def read_wish(path: Path, configuration: Configuration) -> DeploymentWish:
    """The wish in `path`; `ConfigError` names the key that is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the deployment file cannot be read: {error.strerror}", str(path), "name an existing file"
        ) from None
    if len(content) > FILE_BYTES_MAX:
        raise InputError(f"larger than {FILE_BYTES_MAX} bytes", str(path), "split the deployment")
    try:
        tree = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"this is not TOML: {error}", str(path), "correct the syntax there") from None
    table = Table(tree, "", _KEYS)
    chain_id = table.integer("chain_id", minimum=1, maximum=_CHAIN_ID_MAX)
    for chain in configuration.chains:
        if chain.network.chain_id == chain_id:
            return _Reader(table, configuration, chain).wish()
    raise ConfigError(f"chain {chain_id} is not configured", "chain_id", "add it under [[chains]]")


@dataclass(frozen=True, slots=True)
class _Reader:
    table: Table
    configuration: Configuration
    chain: ChainSettings

    @property
    def book(self) -> AddressBook:
        return self.chain.book

    def wish(self) -> DeploymentWish:
        table = self.table
        owner_name, owner = self.owner()
        wish = DeploymentWish(
            name=table.name("name"),
            chain_id=self.chain.network.chain_id,
            deployer=self.signer(table.text("deployer"), table.key("deployer")),
            owner=owner,
            owner_name=owner_name,
            threshold_min=table.integer("threshold_min", 3, minimum=1, maximum=_OWNERS_MAX),
            owners_min=table.integer("owners_min", 5, minimum=1, maximum=_OWNERS_MAX),
            wrapped_native=self.address(table.text("wrapped_native"), table.key("wrapped_native")),
            beneficiary=self.address(table.text("beneficiary"), table.key("beneficiary")),
            backup=table.flag("backup", default=False),
            accounts=table.flag("accounts", default=False),
            seal=table.flag("seal", default=True),
            health_floor_wad=self.health_floor(),
            operators=self.addresses("operators", at_least=1),
            pausers=self.addresses("pausers", at_least=1),
            guardians=self.addresses("guardians", at_least=1),
            tokens=tuple(self.token(one) for one in table.tables("tokens", _TOKEN_KEYS)),
            lenders=tuple(self.lender(one) for one in table.tables("lenders", _LENDER_KEYS)),
            factories=tuple(self.factory(one) for one in table.tables("factories", _FACTORY_KEYS)),
            sets=tuple(self.members(one) for one in table.tables("sets", _SET_KEYS)),
            listings=tuple(self.listing(one) for one in table.tables("calls", _CALL_KEYS)),
            caps=tuple(self.cap(one) for one in table.tables("caps", _CAP_KEYS)),
            losses=_losses(table.table("losses", _LOSS_KEYS)),
            health=tuple(self.health(one) for one in table.tables("health", _HEALTH_KEYS)),
            names=self.names(),
        )
        self.require_no_role(wish)
        return wish

    def health_floor(self) -> int | None:
        """1 is the edge of liquidation; under it a floor would hold nothing back."""
        if "health_floor" not in self.table:
            return None
        floor_wad = self.table.amount("health_floor", _WAD_DECIMALS)
        if floor_wad and not WAD < floor_wad <= HEALTH_FLOOR_WAD_MAX:
            raise ConfigError(
                "a floor is above 1, where others liquidate, and below 18.4",
                self.table.key("health_floor"),
                'write "1.05", or "0" for none',
            )
        return floor_wad

    def names(self) -> dict[Address, str]:
        found = {entry.address: f"@{entry.name}" for entry in self.book}
        found |= {signer.address(): signer.name for signer in self.configuration.signers}
        return found | {one.policy.safe: one.policy.name for one in self.configuration.safes}

    def require_no_role(self, wish: DeploymentWish) -> None:
        """Whoever deploys keeps nothing."""
        for name in ("operators", "pausers", "guardians"):
            if wish.deployer in getattr(wish, name):
                raise ConfigError(
                    "the deployer would keep a role", self.table.key(name), "deploy with a key of its own"
                )
        if wish.deployer == wish.owner:
            raise ConfigError("the deployer would own it", self.table.key("owner"), "name a Safe")

    def owner(self) -> tuple[str, Address]:
        text, where = self.table.text("owner"), self.table.key("owner")
        safes = [
            s.policy for s in self.configuration.safes if s.policy.chain_id == self.chain.network.chain_id
        ]
        for safe in safes:
            if text in (safe.name, address_text(safe.safe)):
                return safe.name, safe.safe
        known = ", ".join(safe.name for safe in safes) or "none"
        raise ConfigError(
            f"no Safe of this chain is named {text[:60]!r}", where, f"add it under [[safes]]; there: {known}"
        )

    def signer(self, text: str, where: str) -> Address:
        for signer in self.configuration.signers:
            if signer.name == text:
                return signer.address()
        known = ", ".join(one.name for one in self.configuration.signers)
        raise ConfigError(f"there is no signer {text[:60]!r}", where, f"use one of {known}")

    def address(self, text: str, where: str) -> Address:
        """0x..., @name, or the name of a signer or Safe."""
        if text.startswith(("0x", "@")):
            return address_of(text, where, self.book)
        for safe in self.configuration.safes:
            if safe.policy.name == text and safe.policy.chain_id == self.chain.network.chain_id:
                return safe.policy.safe
        return self.signer(text, where)

    def addresses(self, name: str, *, at_least: int) -> tuple[Address, ...]:
        return tuple(self.address(text, where) for text, where in self.table.texts(name, at_least=at_least))

    def token(self, table: Table) -> TokenPolicy:
        kind = table.choice("class", _Class, _Class.PAID_OUT)
        return TokenPolicy(
            self.address(table.text("token"), table.key("token")),
            TokenClass[kind.name],
            table.flag("allowance", default=False),
        )

    def lender(self, table: Table) -> LenderPolicy:
        kind = _member(LenderKind, table, "kind")
        return LenderPolicy(self.address(table.text("lender"), table.key("lender")), kind)

    def factory(self, table: Table) -> FactoryPolicy:
        try:
            code_hash = hash_from_text(table.text("init_code_hash"))
        except InputError as error:
            raise ConfigError(error.what, table.key("init_code_hash"), error.fix) from None
        return FactoryPolicy(
            self.address(table.text("factory"), table.key("factory")),
            _member(FactoryKind, table, "kind"),
            code_hash,
            table.integer("fee_ppm", 0, minimum=0, maximum=999_999),
            table.flag("reduce", default=False),
        )

    def members(self, table: Table) -> MemberSet:
        found = (self.word(text, where) for text, where in table.texts("members", at_least=1))
        return MemberSet(table.integer("id", minimum=1, maximum=2**63 - 1), tuple(found))

    def listing(self, table: Table) -> Listing:
        spender = ZERO_ADDRESS
        if "spender" in table:
            spender = self.address(table.text("spender"), table.key("spender"))
        return Listing(
            target=self.address(table.text("target"), table.key("target")),
            signature=table.text("function"),
            rules=tuple(rule for text, where in table.texts("rules") for rule in self.rules(text, where)),
            reduce=table.flag("reduce", default=False),
            max_native_wei=table.amount("max_native", _NATIVE_DECIMALS, "0"),
            spender=spender,
        )

    def rules(self, text: str, where: str) -> tuple[Rule, ...]:
        """One rule; or of `bytes` what they must be, or who parses them and what of that is allowed."""
        found = _PARSED.fullmatch(text)
        if found is not None:
            elements = (self.rule(one.strip(), where) for one in found["rules"].split(","))
            return parsed_by(self.address(found["parser"], where), int(found["bytes"]), *elements)
        if _CONTENT.fullmatch(text):
            return (content(bytes.fromhex(text.partition("0x")[2])),)
        return (self.rule(text, where),)

    def rule(self, text: str, where: str) -> Rule:
        """`any`, `self`, `= VALUE`, `<= NUMBER`, `in SET`, `up to NUMBER` elements."""
        word, _, operand = text.partition(" ")
        if text == "any":
            return anything()
        if text == "self":
            return ourselves()
        if word == "=" and operand:
            return equal_to(self.word(operand, where))
        if word == "<=" and operand.isascii() and operand.isdigit():
            return at_most(int(operand))
        if word == "in" and operand.isascii() and operand.isdigit():
            return in_set(int(operand))
        if text.startswith("up to ") and text[6:].isascii() and text[6:].isdigit():
            return up_to(int(text[6:]))
        raise ConfigError(
            f"{text[:60]!r} is no rule",
            where,
            'write "any", "self", "= VALUE", "<= NUMBER", "in SET", "up to NUMBER", "content 0x..." or '
            '"parsed by ADDRESS within BYTES: RULE, RULE"',
        )

    def word(self, text: str, where: str) -> int:
        """A number, or an address."""
        if text.isascii() and text.isdigit() and int(text) < 2**256:
            return int(text)
        return int.from_bytes(self.address(text, where))

    def cap(self, table: Table) -> TokenCap:
        token = token_of(table.text("token"), table.key("token"), self.book)
        decimals = _NATIVE_DECIMALS if token == NATIVE else decimals_of(table, token, self.book)
        return TokenCap(
            token,
            self.address(table.text("feed"), table.key("feed")),
            table.integer("heartbeat_s", minimum=1, maximum=30 * DAY_S),
            decimals,
            table.amount("capacity", decimals),
            table.amount("refill_per_hour", decimals) // HOUR_S,
        )

    def health(self, table: Table) -> HealthSource:
        market = bytes(32)
        if "market" in table:
            try:
                market = hash_from_text(table.text("market"))
            except InputError as error:
                raise ConfigError(error.what, table.key("market"), error.fix) from None
        kind = _HEALTH_KIND[table.choice("kind", _Health)]
        return HealthSource(kind, self.address(table.text("source"), table.key("source")), market)


_TOKEN_KEYS: Final = ("token", "class", "allowance")
_LENDER_KEYS: Final = ("lender", "kind")
_FACTORY_KEYS: Final = ("factory", "kind", "init_code_hash", "fee_ppm", "reduce")
_SET_KEYS: Final = ("id", "members")
_CALL_KEYS: Final = ("target", "function", "rules", "reduce", "max_native", "spender")
_CAP_KEYS: Final = ("token", "feed", "heartbeat_s", "capacity", "refill_per_hour", "decimals")
_LOSS_KEYS: Final = ("per_execution", "capacity", "refill_per_hour")
_HEALTH_KEYS: Final = ("kind", "source", "market")


def _losses(table: Table) -> LossCap:
    """[US dollars] in the file."""
    return LossCap(
        table.amount("per_execution", VALUE_DECIMALS),
        table.amount("capacity", VALUE_DECIMALS),
        table.amount("refill_per_hour", VALUE_DECIMALS) // HOUR_S,
    )


def _member(kinds: type[K], table: Table, name: str) -> K:
    """A kind by its name in small letters."""
    text = table.text(name)
    for kind in kinds:
        if kind.name.lower() == text:
            return kind
    known = ", ".join(kind.name.lower() for kind in kinds)
    raise ConfigError(f"{text[:60]!r} is not one of the choices", table.key(name), f"use one of {known}")
