"""What a plan may ask of guards: their names and arguments, and a plan's wishes held against them.

`GUARDS` is the one list of names that a plan may use, in the order in which a verdict lists them; the guide
and whoever reads strategies from files go by it. A wish that is not understood is a `PlanError`, so that
nothing is judged by less than was asked for. Addresses are given as 20 bytes, everything else as whole
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seawall.primitives.errors import PlanError
from seawall.primitives.plans import GuardSpec, Plan
from seawall.primitives.units import BPS, Address
from seawall.protocols.twap import WINDOW_S_MAX
from seawall.risk.guards.pools import Pool, PoolKind
from seawall.risk.lending import AavePool, Collateral, Comet, LendingPlace, MorphoMarket

__all__ = ["GUARDS", "Argument", "Asked", "GuardKind", "Wishes"]

_ADDRESS_BYTES: Final = 20
_DECIMALS_MAX: Final = 36


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument that a plan may give a guard. Of kind `bytes` it is an address."""

    name: str
    kind: type[int] | type[bytes]
    unit: str
    is_required: bool = True
    least: int = 0
    most: int = 2**256 - 1


@dataclass(frozen=True, slots=True)
class GuardKind:
    """A guard that can be asked for."""

    name: str
    summary: str
    arguments: tuple[Argument, ...] = ()
    is_many: bool = False  # may be asked for once per feed, token, pool or place


def _address(name: str, *, is_required: bool = True) -> Argument:
    return Argument(name, bytes, "address", is_required)


def _bps(name: str) -> Argument:
    return Argument(name, int, "bps", most=BPS)


_POOLS: Final = (_address("pool", is_required=False), _address("pair", is_required=False))
_DECIMALS: Final = tuple(
    Argument(name, int, "digits", most=_DECIMALS_MAX) for name in ("base_decimals", "quote_decimals")
)
_WINDOW: Final = Argument("window_s", int, "s", least=1, most=WINDOW_S_MAX)
_PLACES: Final = (
    *(
        _address(name, is_required=False)
        for name in (
            "pool", "morpho", "comet", "loan", "collateral", "oracle", "irm", "base", "base_feed", "feed",
        )
    ),
    Argument("lltv_wad", int, "wad", is_required=False),
    _address("holder", is_required=False),
)  # fmt: skip

_KINDS: Final = (
    GuardKind("gas_price", "the fee ceiling per gas", (Argument("max_fee_per_gas_wei", int, "wei per gas"),)),
    GuardKind("gas_use", "the gas limit, against 80 % of what block and transaction admit"),
    GuardKind(
        "slippage", "how far an expected change falls short", (Argument("limit_bps", int, "bps", most=BPS),)
    ),
    GuardKind(
        "position_size",
        "how much of a token leaves",
        (_address("token"), Argument("cap", int, "units")),
        is_many=True,
    ),
    GuardKind("balance", "what the key keeps after the maximum fee", (Argument("min_wei", int, "wei"),)),
    GuardKind("executor", "the plan runs on our executor and pays its beneficiary"),
    GuardKind("chain_checks", "prices and positions that guards ask are checked on chain too"),
    GuardKind("min_profit", "profit after the maximum fee", (Argument("min_wei", int, "wei"),)),
    GuardKind(
        "position_loss", "what a position plan costs us, by oracle", (Argument("max_loss", int, "value"),)
    ),
    GuardKind(
        "oracle_staleness",
        "the age of a feed's answer",
        (_address("feed"), Argument("max_age_s", int, "s")),
        is_many=True,
    ),
    GuardKind(
        "oracle_deviation",
        "how far a feed is from a market",
        (
            _address("feed"),
            _bps("limit_bps"),
            *_DECIMALS,
            *_POOLS,
            _address("quote_feed", is_required=False),
            Argument("inverse", int, "0 or 1", is_required=False, most=1),
            Argument("window_s", int, "s", is_required=False, least=1, most=WINDOW_S_MAX),
        ),
        is_many=True,
    ),
    GuardKind(
        "twap_deviation",
        "how far a pool's price is from its average",
        (_address("pool"), _WINDOW, _bps("limit_bps")),
        is_many=True,
    ),
    GuardKind(
        "price_impact", "how far the plan moves a pool's price", (_bps("limit_bps"), *_POOLS), is_many=True
    ),
    GuardKind(
        "health_factor",
        "how far a position is from liquidation",
        (Argument("min_wad", int, "wad"), *_PLACES),
        is_many=True,
    ),
    GuardKind("ltv", "debt against collateral of a position", (_bps("limit_bps"), *_PLACES), is_many=True),
    GuardKind(
        "exposure",
        "the share of a token in all that we have",
        (_address("token"), _bps("share_bps")),
        is_many=True,
    ),
    GuardKind(
        "token_list",
        "which tokens the plan touches",
        (_address("allow", is_required=False), _address("deny", is_required=False)),
        is_many=True,
    ),
    GuardKind(
        "sequencer_up",
        "for how long the chain's sequencer has been up",
        (_address("feed"), Argument("grace_s", int, "s", is_required=False)),
    ),
    GuardKind("mev_exposure", "what a sandwich could take", (Argument("max_value", int, "value"),)),
)
GUARDS: Final[Mapping[str, GuardKind]] = {kind.name: kind for kind in _KINDS}


@dataclass(frozen=True, slots=True)
class Asked:
    """One wish of a plan, whose arguments are those that the guard knows."""

    spec: GuardSpec
    where: str

    def integer(self, name: str, default: int | None = None) -> int:
        value = self._value(name)
        if isinstance(value, int):
            return value
        assert default is not None, "a required argument was held to be there"
        return default

    def address(self, name: str) -> Address:
        value = self.address_or_none(name)
        if value is None:
            raise self.wrong(f"lacks the argument {name!r}", "give an address")
        return value

    def address_or_none(self, name: str) -> Address | None:
        value = self._value(name)
        return Address(value) if isinstance(value, bytes) else None

    def pool(self) -> Pool:
        """A V3 pool or a V2 pair."""
        pool, pair = self.address_or_none("pool"), self.address_or_none("pair")
        if pool is not None and pair is None:
            return Pool(pool, PoolKind.V3)
        if pair is not None and pool is None:
            return Pool(pair, PoolKind.V2)
        raise self.wrong("must have one of 'pool' and 'pair'", "name a Uniswap V3 pool or a V2 pair")

    def place(self, multicall: Address | None = None) -> LendingPlace:
        """Where a position lies. `multicall` is the chain's, if there is one."""
        named = [name for name in ("pool", "morpho", "comet") if self.address_or_none(name) is not None]
        if len(named) != 1:
            raise self.wrong("must have one of 'pool', 'morpho' and 'comet'", "name where the position is")
        if named == ["pool"]:
            return AavePool(self.address("pool"))
        if named == ["morpho"]:
            names = ("morpho", "loan", "collateral", "oracle", "irm")
            if self._value("lltv_wad") is None:
                raise self.wrong("lacks the argument 'lltv_wad'", "give all parameters of the market")
            morpho, loan, collateral, oracle, irm = map(self.address, names)
            return MorphoMarket(morpho, loan, collateral, oracle, irm, self.integer("lltv_wad"), multicall)
        pledged = Collateral(self.address("collateral"), self.address("feed"))
        return Comet(self.address("comet"), self.address("base"), self.address("base_feed"), (pledged,))

    def wrong(self, what: str, fix: str) -> PlanError:
        return PlanError(f"guard {self.spec.name!r} {what}", self.where, fix)

    def require(self, known: tuple[Argument, ...]) -> None:
        """`PlanError` for an argument that is unknown, missing, given twice, of another type or out of
        range."""
        arguments = {one.name: one for one in known}
        given = [name for name, _ in self.spec.arguments]
        for name, value in self.spec.arguments:
            one = arguments.get(name)
            if one is None:
                listed = ", ".join(arguments) or "none"
                raise self.wrong(f"does not know the argument {name!r}", f"its arguments: {listed}")
            if given.count(name) > 1:
                raise self.wrong(f"is given {name!r} twice", "give it once")
            if type(value) is not one.kind:
                raise self.wrong(f"takes another type for {name!r}", f"give {_article(one)}")
            if isinstance(value, int) and not one.least <= value <= one.most:
                fix = f"give {one.least:,} to {one.most:,}"
                raise self.wrong(f"has {value} {one.unit} for {name!r}", fix)
            if isinstance(value, bytes) and len(value) != _ADDRESS_BYTES:
                raise self.wrong(f"has {len(value)} bytes for {name!r} instead of 20", "give an address")
        for one in known:
            if one.is_required and one.name not in given:
                raise self.wrong(f"lacks the argument {one.name!r}", f"give {_article(one)}")

    def _value(self, name: str) -> int | bytes | str | None:
        return next((value for key, value in self.spec.arguments if key == name), None)


class Wishes:
    """Everything that one plan asks of guards, by name."""

    def __init__(self, plan: Plan) -> None:
        where = f"plan {plan.idempotency_key!r}"
        self._asked: dict[str, tuple[Asked, ...]] = {}
        for spec in plan.guards:
            kind = GUARDS.get(spec.name)
            if kind is None:
                raise PlanError(f"unknown guard {spec.name!r}", where, f"use one of {', '.join(GUARDS)}")
            if spec.name in self._asked and not kind.is_many:
                raise PlanError(
                    f"guard {spec.name!r} is asked for twice", where, "ask once, with the tightest value"
                )
            one = Asked(spec, where)
            one.require(kind.arguments)
            self._asked[spec.name] = (*self._asked.get(spec.name, ()), one)

    def all(self, name: str) -> tuple[Asked, ...]:
        return self._asked.get(name, ())

    def one(self, name: str) -> Asked | None:
        """Of a guard that is asked for once at most."""
        return next(iter(self.all(name)), None)

    def at_most(self, name: str, argument: str, limit: int) -> int:
        """The limit, or what the plan asks for where that is tighter."""
        asked = self.one(name)
        return limit if asked is None else min(limit, asked.integer(argument))

    def at_least(self, name: str, argument: str, limit: int) -> int:
        asked = self.one(name)
        return limit if asked is None else max(limit, asked.integer(argument))


def _article(one: Argument) -> str:
    return "an address" if one.kind is bytes else f"a whole number of {one.unit}"
