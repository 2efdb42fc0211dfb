"""What an address of ours has at a lending place: collateral, debt, and how far it is from liquidation.

A *place* names its view calls for a holder (`reads`), and everything else is a pure function of the answers,
all of one block. Three kinds: an Aave V3 pool (and its forks), one Morpho Blue market, one Comet.

Rounding is against us: collateral down, debt up, health factor down. Values are in the place's own unit (the
base currency of a pool, the loan token of a market, the dollar of a Comet): they are compared within a
place, never across.

Morpho accrues only when a market is touched, so that its stored debt lags. With a multicall, one call lets it
accrue and then reads it: a probe's changes are undone. Without one the debt counts with the most interest
that the rate model can charge since (`MORPHO_RATE_MAX_WAD_S`): too much, never too little.
What does not have the promised shape is a `ProtocolError`; a guard that gets one refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from seawall.native import abi_encode, encode_call, keccak256
from seawall.primitives.blocks import Read
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import BPS, Address, address_text, ceil_div
from seawall.protocols.answers import Answers, address_answer, bytes_answer, integer_answer, integer_answers
from seawall.protocols.multicall import aggregate3_answers, aggregate3_call

__all__ = [
    "WAD",
    "AavePool",
    "Collateral",
    "Comet",
    "LendingPlace",
    "MorphoMarket",
    "Standing",
]

WAD: Final = 10**18
_MORPHO_PRICE_SCALE: Final = 10**36
_VIRTUAL_ASSETS: Final = 1
_VIRTUAL_SHARES: Final = 10**6
# The adaptive curve's rate at target is at most 200 % a year, and its steepness 4.
MORPHO_RATE_MAX_WAD_S: Final = 8 * WAD // (365 * 24 * 3_600)
# An elapsed time beyond this is no market that anybody uses, or a wrong clock.
_ELAPSED_S_MAX: Final = 10 * 365 * 24 * 3_600


@dataclass(frozen=True, slots=True)
class Standing:
    """How a holder stands at one place, at one block."""

    collateral: int  # [the place's unit], rounded down
    debt: int  # [the place's unit], rounded up
    health_factor_wad: int  # rounded down; `UINT256_MAX` where nothing is owed

    @property
    def loan_to_value_bps(self) -> int:
        """Rounded up; `UINT256_MAX` for a debt that nothing backs."""
        if self.debt == 0:
            return 0
        return UINT256_MAX if self.collateral == 0 else ceil_div(self.debt * BPS, self.collateral)


class LendingPlace(Protocol):
    """One deployment that lends, as guards see it."""

    @property
    def address(self) -> Address:
        """Of the contract that keeps the positions."""
        ...

    @property
    def label(self) -> str:
        """For people."""
        ...

    def reads(self, holder: Address) -> tuple[Read, ...]: ...

    def standing(self, answers: Answers, holder: Address, timestamp_s: int) -> Standing:
        """At `timestamp_s`, the time of the block that answered. `ProtocolError` for unfit answers."""
        ...

    def holdings(self, answers: Answers, rates: Answers, holder: Address) -> Mapping[Address, int]:
        """What no token of ours stands for: signed amounts by token, debts negative [smallest unit].

        Shares are counted at the rates in `rates`, so that two states can be compared at the rates of one of
        them and what accrued in between is neither gain nor loss."""
        ...


@dataclass(frozen=True, slots=True)
class AavePool:
    """An Aave V3 pool, or a fork of it (Spark). Its receipts and debts are tokens, counted as such."""

    pool: Address

    @property
    def address(self) -> Address:
        return self.pool

    @property
    def label(self) -> str:
        return f"pool {address_text(self.pool)}"

    def reads(self, holder: Address) -> tuple[Read, ...]:
        call = encode_call("getUserAccountData(address)", (holder,))
        return (Read(_label("aave", self.pool, holder, "account"), self.pool, call),)

    def standing(self, answers: Answers, holder: Address, timestamp_s: int) -> Standing:
        del timestamp_s  # a pool accrues in its views
        label = _label("aave", self.pool, holder, "account")
        collateral, debt, _, _, _, health_wad = integer_answers(answers, label, ("uint256",) * 6)
        return Standing(collateral, debt, health_wad if debt else UINT256_MAX)

    def holdings(self, answers: Answers, rates: Answers, holder: Address) -> Mapping[Address, int]:
        del answers, rates, holder
        return {}


@dataclass(frozen=True, slots=True)
class MorphoMarket:
    """One market of Morpho Blue. Its parameters are its identity: `id` is their hash."""

    morpho: Address
    loan: Address
    collateral: Address
    oracle: Address
    irm: Address
    lltv_wad: int
    multicall: Address | None = None  # by which it is read accrued
    id: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        kinds = ("address", "address", "address", "address", "uint256")
        object.__setattr__(self, "id", keccak256(abi_encode(kinds, self._parameters)))

    @property
    def address(self) -> Address:
        return self.morpho

    @property
    def label(self) -> str:
        return f"market 0x{self.id.hex()[:8]} of {address_text(self.morpho)}"

    def reads(self, holder: Address) -> tuple[Read, ...]:
        position = encode_call("position(bytes32,address)", (self.id, holder))
        market = self._accrued[-1]
        if self.multicall is not None:
            market = Read(self._label("accrued"), self.multicall, aggregate3_call(self._accrued))
        return (
            market,
            Read(self._label(f"position:{holder.hex()}"), self.morpho, position),
            Read(self._label("price"), self.oracle, encode_call("price()", ())),
        )

    def standing(self, answers: Answers, holder: Address, timestamp_s: int) -> Standing:
        _, borrow_shares, collateral = self._position(answers, holder)
        _, _, borrowed, shares, accrued_s, _ = self._market(answers)
        price = integer_answer(answers, self._label("price"), "uint256")
        if price == 0:
            raise ProtocolError("the oracle answers a price of 0", self.label, "wait until it has a price")
        elapsed_s = max(0, timestamp_s - accrued_s)
        if elapsed_s > _ELAPSED_S_MAX:
            raise ProtocolError(
                "it was last accrued before any market was", self.label, "check the market's parameters"
            )
        borrowed += ceil_div(borrowed * MORPHO_RATE_MAX_WAD_S * elapsed_s, WAD)
        debt = ceil_div(borrow_shares * (borrowed + _VIRTUAL_ASSETS), shares + _VIRTUAL_SHARES)
        value = collateral * price // _MORPHO_PRICE_SCALE
        if debt == 0:
            return Standing(value, 0, UINT256_MAX)
        return Standing(value, debt, min(UINT256_MAX, value * self.lltv_wad // debt))

    def holdings(self, answers: Answers, rates: Answers, holder: Address) -> Mapping[Address, int]:
        supply_shares, borrow_shares, collateral = self._position(answers, holder)
        supplied, shares, borrowed, debt_shares, _, _ = self._market(rates)
        assets = supply_shares * (supplied + _VIRTUAL_ASSETS) // (shares + _VIRTUAL_SHARES)
        debt = ceil_div(borrow_shares * (borrowed + _VIRTUAL_ASSETS), debt_shares + _VIRTUAL_SHARES)
        found = {self.loan: assets - debt}
        found[self.collateral] = found.get(self.collateral, 0) + collateral
        return found

    @property
    def _parameters(self) -> tuple[Address, Address, Address, Address, int]:
        return (self.loan, self.collateral, self.oracle, self.irm, self.lltv_wad)

    @property
    def _accrued(self) -> tuple[Read, ...]:
        """Let it accrue, then read it."""
        accrue = encode_call("accrueInterest((address,address,address,address,uint256))", (self._parameters,))
        return (
            Read(self._label("accrue"), self.morpho, accrue),
            Read(self._label("market"), self.morpho, encode_call("market(bytes32)", (self.id,))),
        )

    def _position(self, answers: Answers, holder: Address) -> tuple[int, ...]:
        label = self._label(f"position:{holder.hex()}")
        return integer_answers(answers, label, ("uint256", "uint128", "uint128"))

    def _market(self, answers: Answers) -> tuple[int, ...]:
        """Assets and shares supplied, assets and shares borrowed, when accrued [UTC s], fee [wad]."""
        if self.multicall is not None:
            answers = aggregate3_answers(self._accrued, bytes_answer(answers, self._label("accrued")))
            if answers[self._accrued[0].label] is None:
                raise ProtocolError("it does not accrue", self.label, "check the market's rate model")
        found = integer_answers(answers, self._label("market"), ("uint128",) * 6)
        if found[4] == 0:
            raise ProtocolError("there is no such market", self.label, "check the market's parameters")
        return found

    def _label(self, what: str) -> str:
        return f"morpho:{self.morpho.hex()}:{self.id.hex()}:{what}"


@dataclass(frozen=True, slots=True)
class Collateral:
    """A token that a Comet takes as collateral, and the feed by which it prices it."""

    token: Address
    feed: Address


@dataclass(frozen=True, slots=True)
class Comet:
    """One Compound V3 market. Collateral that is not named here counts for nothing."""

    comet: Address
    base: Address
    base_feed: Address
    collaterals: tuple[Collateral, ...]

    @property
    def address(self) -> Address:
        return self.comet

    @property
    def label(self) -> str:
        return f"Comet {address_text(self.comet)}"

    def reads(self, holder: Address) -> tuple[Read, ...]:
        found = [
            self._read(f"supplied:{holder.hex()}", "balanceOf(address)", holder),
            self._read(f"borrowed:{holder.hex()}", "borrowBalanceOf(address)", holder),
            self._read("base_scale", "baseScale()"),
            self._read("base_feed", "baseTokenPriceFeed()"),
            self._read(f"price:{self.base_feed.hex()}", "getPrice(address)", self.base_feed),
        ]
        for one in self.collaterals:
            token = one.token.hex()
            found += [
                self._read(
                    f"held:{token}:{holder.hex()}", "userCollateral(address,address)", holder, one.token
                ),
                self._read(f"info:{token}", "getAssetInfoByAddress(address)", one.token),
                self._read(f"price:{one.feed.hex()}", "getPrice(address)", one.feed),
            ]
        return tuple(found)

    def standing(self, answers: Answers, holder: Address, timestamp_s: int) -> Standing:
        del timestamp_s  # a Comet accrues in its views
        self._require_feed("base_feed", address_answer(answers, self._label("base_feed")), self.base_feed)
        scale = self._positive(answers, "base_scale")
        owed = integer_answer(answers, self._label(f"borrowed:{holder.hex()}"), "uint256")
        debt = ceil_div(owed * self._positive(answers, f"price:{self.base_feed.hex()}"), scale)
        value = secured = 0
        for one in self.collaterals:
            label = self._label(f"info:{one.token.hex()}")
            kinds = ("uint8", "uint160", "uint160", "uint64", "uint64", "uint64", "uint64", "uint128")
            _, _, feed, asset_scale, _, liquidate_factor_wad, _, _ = integer_answers(answers, label, kinds)
            self._require_feed(one.token.hex(), Address(feed.to_bytes(20, "big")), one.feed)
            if asset_scale == 0:
                raise ProtocolError("a collateral has a scale of 0", self.label, "check the address")
            held = self._held(answers, holder, one.token)
            price = self._positive(answers, f"price:{one.feed.hex()}")
            value += held * price // asset_scale
            secured += held * price * liquidate_factor_wad // (asset_scale * WAD)
        if debt == 0:
            return Standing(value, 0, UINT256_MAX)
        return Standing(value, debt, min(UINT256_MAX, secured * WAD // debt))

    def holdings(self, answers: Answers, rates: Answers, holder: Address) -> Mapping[Address, int]:
        del rates  # a Comet accrues in its views
        supplied, owed = (
            integer_answer(answers, self._label(f"{what}:{holder.hex()}"), "uint256")
            for what in ("supplied", "borrowed")
        )
        found = {one.token: self._held(answers, holder, one.token) for one in self.collaterals}
        found[self.base] = found.get(self.base, 0) + supplied - owed
        return found

    def _held(self, answers: Answers, holder: Address, token: Address) -> int:
        return integer_answers(answers, self._label(f"held:{token.hex()}:{holder.hex()}"), ("uint128",))[0]

    def _positive(self, answers: Answers, what: str) -> int:
        found = integer_answer(answers, self._label(what), "uint256")
        if found == 0:
            raise ProtocolError(f"it answers 0 for {what}", self.label, "wait until it has a price")
        return found

    def _require_feed(self, what: str, found: Address, expected: Address) -> None:
        if found != expected:
            raise ProtocolError(
                f"it prices {what} by {address_text(found)}, not by {address_text(expected)}",
                self.label,
                "correct the feed that the configuration or the plan names",
            )

    def _read(self, what: str, signature: str, *arguments: Address) -> Read:
        return Read(self._label(what), self.comet, encode_call(signature, arguments))

    def _label(self, what: str) -> str:
        return f"comet:{self.comet.hex()}:{what}"


def _label(kind: str, place: Address, holder: Address, what: str) -> str:
    return f"{kind}:{place.hex()}:{holder.hex()}:{what}"
