"""The configuration of limits: `[limits]` for all plans, and layers under it that tighten them (GD-3).

`[limits]` and its lists are the base: what they say stands in place of the defaults, looser or tighter.
`[[limits.chains]]`, `.protocols`, `.strategies`, `.signers` and `.deals` are layers: each takes the same
keys, and the tighter side of everything that holds for a plan binds. What a layer says of a token that no
`[[limits.positions]]` opens is refused here, because it would open nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.native import encode_call
from seawall.primitives.errors import ConfigError, NativeError
from seawall.primitives.units import BPS, NATIVE, Address, address_text
from seawall.protocols.sequencer import GRACE_S, UptimeTerms
from seawall.risk.guards.catalogue import GUARD_NAMES
from seawall.risk.guards.multisig import MULTISIG_GUARD_NAME
from seawall.risk.guards.signer_policy import POLICY_GUARD_NAMES
from seawall.risk.layers import Layer, LayerKind, LimitSet, Scalar
from seawall.risk.lending import AavePool, Collateral, Comet, LendingPlace, MorphoMarket
from seawall.risk.limits import ExposureLimit, MultisigRule, PriceFeed, RiskLimits
from seawall.risk.shares import PairShare, RateShare, ShareOf
from seawall.risk.volatility import INTERVAL_S_MAX, SAMPLES_MAX, WEIGHT_MAX, VolatilityRule
from seawall.runtime.configuration.names import (
    CHAIN_ID_MAX,
    DAY_S,
    address_of,
    decimals_of,
    listed,
    token_of,
)
from seawall.runtime.configuration.settings import OwnGuardSettings
from seawall.runtime.configuration.tables import Table

__all__ = [
    "LENDING_KEYS",
    "LIMIT_KEYS",
    "SEQUENCER_KEYS",
    "SHARE_KEYS",
    "read_layers",
    "read_lending",
    "read_limits",
    "read_own_guards",
    "read_sequencer",
    "read_share",
]

_WAD_DECIMALS: Final = 18
_LISTS: Final = ("tokens_allowed", "tokens_denied", "positions", "exposures")
_SCALARS: Final = tuple(name.value for name in Scalar)
_LAYER_LISTS: Final = ("chains", "protocols", "strategies", "signers", "deals")
LIMIT_KEYS: Final = (
    *_SCALARS,
    "positions",
    "exposures",
    "volatility",
    "guards",
    "chain_checks",
    *_LAYER_LISTS,
)
_GUARD_KEYS: Final = ("chain_id", "name", "class", "settings")
_POSITION_KEYS: Final = ("chain_id", "token", "cap", "decimals")
_EXPOSURE_KEYS: Final = ("name", "members", "share_bps")
_VOLATILITY_KEYS: Final = (
    "chain_id", "pool", "calm_bps", "interval_s", "samples", "weight", "floor_bps", "band_bps",
)  # fmt: skip
LENDING_KEYS: Final = (
    "kind", "pool", "morpho", "loan", "collateral", "oracle", "irm", "lltv", "comet", "base", "base_feed",
    "collaterals",
)  # fmt: skip
SHARE_KEYS: Final = ("token", "decimals", "of", "call", "target", "pair_of")
SEQUENCER_KEYS: Final = ("feed", "grace_s")
# Names that a verdict has already.
_TAKEN: Final = ("simulation", "authority", *GUARD_NAMES, *POLICY_GUARD_NAMES, MULTISIG_GUARD_NAME)
# Of whole numbers that are no basis points.
_RANGES: Final = {
    Scalar.ORACLE_AGE_S: (1, 30 * DAY_S),
    Scalar.VALIDITY_BLOCKS: (1, 64),
    Scalar.VALIDITY_S: (1, 3_600),
}


def read_limits(
    table: Table, books: Mapping[int, AddressBook], prices: Mapping[int, tuple[PriceFeed, ...]]
) -> Mapping[int, RiskLimits]:
    """The base of each chain. `prices` are the chains' own, by which what leaves is valued."""
    caps: dict[int, dict[Address, int]] = {chain_id: {} for chain_id in books}
    for position in table.tables("positions", _POSITION_KEYS):
        chain_id = _chain(position, books)
        token, cap = _cap(position, books[chain_id], caps[chain_id])
        caps[chain_id][token] = cap
    groups: dict[int, list[ExposureLimit]] = {chain_id: [] for chain_id in books}
    for group in table.tables("exposures", ("chain_id", *_EXPOSURE_KEYS)):
        chain_id = _chain(group, books)
        groups[chain_id].append(_exposure(group, books[chain_id]))
    rules = _volatility(table, books)
    said, checks = _scalars(table), table.flag("chain_checks", default=False)
    return {
        chain_id: replace(
            _base(said, prices[chain_id], caps[chain_id], groups[chain_id], rules.get(chain_id)),
            chain_checks=checks,
        )
        for chain_id in books
    }


def read_layers(
    table: Table,
    books: Mapping[int, AddressBook],
    limits: Mapping[int, RiskLimits],
    strategies: Mapping[str, int],
    signers: frozenset[str],
) -> Mapping[int, tuple[Layer, ...]]:
    """By chain, the wider first. `strategies` are the names that plans may have, with their chains; the keys
    of signers are filled in by whoever knows them."""
    found: dict[int, list[Layer]] = {chain_id: [] for chain_id in books}

    def add(kind: LayerKind, name: str, one: Table, chain_id: int, addresses: frozenset[Address]) -> None:
        if any((layer.kind, layer.name) == (kind, name) for layer in found[chain_id]):
            raise ConfigError(f"{name!r} has a layer already", one.where, "put both into one")
        says = _set(one, books[chain_id], limits[chain_id])
        found[chain_id].append(Layer(kind, name, says, addresses))

    for one in table.tables("chains", ("chain_id", *_SCALARS, *_LISTS)):
        chain_id = _chain(one, books)
        add(LayerKind.CHAIN, str(chain_id), one, chain_id, frozenset())
    for one in table.tables("protocols", ("chain_id", "name", "addresses", *_SCALARS, *_LISTS)):
        chain_id = _chain(one, books)
        add(
            LayerKind.PROTOCOL, one.name("name"), one, chain_id, _addresses(one, "addresses", books[chain_id])
        )
    for one in table.tables("strategies", ("name", *_SCALARS, *_LISTS)):
        name = one.name("name")
        if name not in strategies:
            raise ConfigError(
                f"no strategy, submitter or Safe is named {name!r}",
                one.key("name"),
                f"one of: {listed(strategies)}",
            )
        add(LayerKind.STRATEGY, name, one, strategies[name], frozenset())
    for one in table.tables("signers", ("chain_id", "name", *_SCALARS, *_LISTS)):
        name = one.name("name")
        if name not in signers:
            raise ConfigError(f"there is no signer {name!r}", one.key("name"), f"one of: {listed(signers)}")
        add(LayerKind.SIGNER, name, one, _chain(one, books), frozenset())
    for one in table.tables("deals", ("chain_id", "name", "accounts", *_SCALARS, *_LISTS)):
        chain_id = _chain(one, books)
        add(LayerKind.DEAL, one.name("name"), one, chain_id, _addresses(one, "accounts", books[chain_id]))
    return {chain_id: tuple(layers) for chain_id, layers in found.items()}


def read_lending(table: Table, book: AddressBook) -> LendingPlace:
    """A place where positions lie. Its kind says which other keys it has."""

    def named(name: str) -> Address:
        return address_of(table.text(name), table.key(name), book)

    kind = table.text("kind")
    if kind == "aave":
        return AavePool(named("pool"))
    if kind == "morpho":
        lltv_wad = table.amount("lltv", _WAD_DECIMALS)
        names = ("morpho", "loan", "collateral", "oracle", "irm")
        morpho, loan, collateral, oracle, irm = map(named, names)
        return MorphoMarket(morpho, loan, collateral, oracle, irm, lltv_wad)
    if kind == "comet":
        collaterals = tuple(
            Collateral(
                address_of(one.text("token"), one.key("token"), book),
                address_of(one.text("feed"), one.key("feed"), book),
            )
            for one in table.tables("collaterals", ("token", "feed"))
        )
        return Comet(named("comet"), named("base"), named("base_feed"), collaterals)
    raise ConfigError(
        f"{kind[:60]!r} is no kind of lending place", table.key("kind"), "use aave, morpho or comet"
    )


def read_share(table: Table, book: AddressBook) -> ShareOf:
    """A token that is worth what it stands for: by a rate that a call answers, or as part of a V2 pair."""
    token = address_of(table.text("token"), table.key("token"), book)
    pair = [address_of(text, where, book) for text, where in table.texts("pair_of")]
    if pair:
        if len(pair) != 2 or "of" in table or "call" in table:
            raise ConfigError(
                "a pair stands for two tokens, and for nothing else",
                table.key("pair_of"),
                "name token0 and token1",
            )
        return PairShare(token, *sorted(pair))
    unit = 10 ** decimals_of(table, token, book)
    call = table.text("call")
    arguments = (unit,) if "(uint256)" in call else ()
    try:
        calldata = encode_call(call, arguments)
    except NativeError:
        raise ConfigError(
            f"{call[:60]!r} is no call that answers a rate",
            table.key("call"),
            "write for example convertToAssets(uint256) or stEthPerToken()",
        ) from None
    target = address_of(table.text("target"), table.key("target"), book) if "target" in table else token
    of = token_of(table.text("of"), table.key("of"), book)
    return RateShare(token, of, target, calldata, unit)


def read_sequencer(table: Table, book: AddressBook) -> UptimeTerms:
    return UptimeTerms(
        address_of(table.text("feed"), table.key("feed"), book),
        table.integer("grace_s", GRACE_S, minimum=0, maximum=DAY_S),
    )


def read_own_guards(table: Table, books: Mapping[int, AddressBook]) -> tuple[OwnGuardSettings, ...]:
    """Guards that the operator wrote; their classes are imported when a kernel starts."""
    found: list[OwnGuardSettings] = []
    for one in table.tables("guards", _GUARD_KEYS):
        chain_id, name = _chain(one, books), one.name("name")
        if name in _TAKEN or any((own.chain_id, own.name) == (chain_id, name) for own in found):
            raise ConfigError(f"a guard is named {name!r} already", one.key("name"), "give it another name")
        given = one.mapping("settings")
        settings = {
            key: _setting(value, one.key(f"settings.{key}"), books[chain_id]) for key, value in given.items()
        }
        found.append(OwnGuardSettings(name, one.text("class"), chain_id, settings))
    return tuple(found)


def _setting(value: object, where: str, book: AddressBook) -> object:
    """A text, whole number, flag or a list of them; `@name` becomes the address of that name."""
    if isinstance(value, list):
        return [_setting(one, f"{where}[{place}]", book) for place, one in enumerate(value)]
    if isinstance(value, str):
        return address_text(address_of(value, where, book)) if value.startswith("@") else value
    if isinstance(value, int):
        return value
    raise ConfigError(
        f"a {type(value).__name__} cannot be a setting", where, "use texts, whole numbers, true, false, lists"
    )


def _base(
    said: Mapping[Scalar, int],
    prices: tuple[PriceFeed, ...],
    caps: Mapping[Address, int],
    groups: Sequence[ExposureLimit],
    rule: VolatilityRule | None,
) -> RiskLimits:
    standard = RiskLimits()

    def or_default(name: Scalar, default: int) -> int:
        return said.get(name, default)

    above = said.get(Scalar.MULTISIG_ABOVE)
    return RiskLimits(
        slippage_bps_max=or_default(Scalar.SLIPPAGE_BPS, standard.slippage_bps_max),
        max_fee_per_gas_wei=or_default(Scalar.MAX_FEE_PER_GAS, standard.max_fee_per_gas_wei),
        oracle_age_s_max=or_default(Scalar.ORACLE_AGE_S, standard.oracle_age_s_max),
        oracle_deviation_bps_max=or_default(Scalar.ORACLE_DEVIATION_BPS, standard.oracle_deviation_bps_max),
        twap_deviation_bps_max=or_default(Scalar.TWAP_DEVIATION_BPS, standard.twap_deviation_bps_max),
        price_impact_bps_max=or_default(Scalar.PRICE_IMPACT_BPS, standard.price_impact_bps_max),
        ltv_bps_max=or_default(Scalar.LTV_BPS, standard.ltv_bps_max),
        health_factor_min_wad=or_default(Scalar.HEALTH_FACTOR_MIN, standard.health_factor_min_wad),
        key_balance_min_wei=or_default(Scalar.KEY_BALANCE_MIN, standard.key_balance_min_wei),
        reduce_loss_bps=or_default(Scalar.REDUCE_LOSS_BPS, standard.reduce_loss_bps),
        mev_value_max=said.get(Scalar.MEV_VALUE),
        position_loss_max=said.get(Scalar.POSITION_LOSS),
        multisig=None if above is None else MultisigRule(above, prices),
        validity_blocks=or_default(Scalar.VALIDITY_BLOCKS, standard.validity_blocks),
        validity_s=or_default(Scalar.VALIDITY_S, standard.validity_s),
        position_caps=dict(caps),
        exposures=tuple(groups),
        volatility=rule,
    )


def _scalars(table: Table) -> dict[Scalar, int]:
    """What the table says of them."""
    found: dict[Scalar, int] = {}
    for name in Scalar:
        if name.value not in table:
            continue
        if name.decimals:
            found[name] = table.amount(name.value, name.decimals)
        else:
            least, most = _RANGES.get(name, (0, BPS))
            found[name] = table.integer(name.value, minimum=least, maximum=most)
    return found


def _set(table: Table, book: AddressBook, base: RiskLimits) -> LimitSet:
    caps: dict[Address, int] = {}
    for position in table.tables("positions", ("token", "cap", "decimals")):
        token, cap = _cap(position, book, caps)
        if token not in base.position_caps:
            which = "the native token" if token == NATIVE else address_text(token)
            raise ConfigError(
                f"{which} has no cap that this could tighten",
                position.key("token"),
                "open it under [[limits.positions]] first",
            )
        caps[token] = cap
    allowed = _addresses(table, "tokens_allowed", book) if "tokens_allowed" in table else None
    return LimitSet(
        _scalars(table),
        caps,
        allowed,
        _addresses(table, "tokens_denied", book, at_least=0),
        tuple(_exposure(group, book) for group in table.tables("exposures", _EXPOSURE_KEYS)),
    )


def _cap(position: Table, book: AddressBook, known: Mapping[Address, int]) -> tuple[Address, int]:
    token = token_of(position.text("token"), position.key("token"), book)
    if token in known:
        raise ConfigError("this token has a cap already", position.key("token"), "give one cap a token")
    return token, position.amount("cap", decimals_of(position, token, book))


def _exposure(group: Table, book: AddressBook) -> ExposureLimit:
    return ExposureLimit(
        group.name("name"),
        _addresses(group, "members", book),
        group.integer("share_bps", minimum=0, maximum=BPS),
    )


def _addresses(table: Table, name: str, book: AddressBook, *, at_least: int = 1) -> frozenset[Address]:
    return frozenset(token_of(text, where, book) for text, where in table.texts(name, at_least=at_least))


def _volatility(table: Table, books: Mapping[int, AddressBook]) -> Mapping[int, VolatilityRule]:
    found: dict[int, VolatilityRule] = {}
    for one in table.tables("volatility", _VOLATILITY_KEYS):
        chain_id = _chain(one, books)
        if chain_id in found:
            raise ConfigError("this chain has a rule already", one.key("chain_id"), "give one rule a chain")
        pool = address_of(one.text("pool"), one.key("pool"), books[chain_id])
        standard = VolatilityRule(pool, 1)
        found[chain_id] = VolatilityRule(
            pool=pool,
            calm_bps=one.integer("calm_bps", minimum=1, maximum=BPS),
            interval_s=one.integer("interval_s", standard.interval_s, minimum=1, maximum=INTERVAL_S_MAX),
            samples=one.integer("samples", standard.samples, minimum=2, maximum=SAMPLES_MAX),
            weight=one.integer("weight", standard.weight, minimum=1, maximum=WEIGHT_MAX),
            floor_bps=one.integer("floor_bps", standard.floor_bps, minimum=1, maximum=BPS),
            band_bps=one.integer("band_bps", standard.band_bps, minimum=0, maximum=BPS),
        )
    return found


def _chain(table: Table, books: Mapping[int, AddressBook]) -> int:
    chain_id = table.integer("chain_id", minimum=1, maximum=CHAIN_ID_MAX)
    if chain_id not in books:
        raise ConfigError(
            f"chain {chain_id} is not configured", table.key("chain_id"), f"one of: {listed(books)}"
        )
    return chain_id
