"""ERC-4626 vaults: asset in, share out, and back, at the price that the vault's own previews give.

The standard fixes no arithmetic, and a quote may be asked for any amount. So `decode` looks which of the
known formulas (OpenZeppelin's virtual shares, the plain ratio) gives exactly what the vault previewed for a
few amounts; where none does (fees, pending interest), quotes are refused, and positions are still told: those
are read from the vault itself.

Maxima are information, not truth: some vaults answer zero to every such question and serve all the same. An
adapter made with `trusts_maxima` refuses what is above them; one made without ignores them, and simulating is
what matters. In an address book an honest vault is called `vault_ASSET`, or `vault_ASSET_LABEL` if there are
several, any other `opaque_vault_...`.

`deposit` and `redeem` take no minimum: `bounds` holds it. Not here: queues, rewards, what a vault could call
back from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import InputError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address, address_text, mul_div_down, mul_div_up
from seawall.protocols import erc20
from seawall.protocols.adapters.actions import Action, Deposit, Redeem, Withdraw
from seawall.protocols.adapters.arguments import call_data, inflow_bounds
from seawall.protocols.adapters.base import (
    Dependency,
    DependencyKind,
    Exact,
    PolicyPart,
    Position,
    PositionKind,
    Quote,
    Rates,
)
from seawall.protocols.adapters.holdings import Holdings, holding_of, holding_reads, holdings
from seawall.protocols.adapters.refusals import (
    foreign_token,
    known_amount,
    known_minimum,
    refused,
    unread_holder,
    unsupported,
)
from seawall.protocols.answers import Answers, integer_answer
from seawall.protocols.executor.operations import Call, CallWithAllowance, Operation
from seawall.protocols.executor.policy import Listing, TokenClass, TokenPolicy, anything, ourselves

__all__ = ["Maxima", "VaultAdapter", "VaultFormula", "VaultState", "from_book"]

_DEPOSIT: Final = "deposit(uint256,address)"
_REDEEM: Final = "redeem(uint256,address,address)"
_WITHDRAW: Final = "withdraw(uint256,address,address)"
_PREFIXES: Final = (("vault_", True), ("opaque_vault_", False))
# Shares that previews are asked about: odd, so that roundings show, and of three sizes.
_PROBES: Final = (1_000_003, 10**18 + 7, 987_654_321 * 10**18 + 1)


@dataclass(frozen=True, slots=True)
class VaultFormula:
    """Shares are to assets as `supply + virtual_shares` is to `assets + virtual_assets`."""

    supply: int
    assets: int
    virtual_shares: int
    virtual_assets: int

    def shares_down(self, assets: int) -> int:
        if self._is_new:
            return assets
        return mul_div_down(assets, self.supply + self.virtual_shares, self.assets + self.virtual_assets)

    def shares_up(self, assets: int) -> int:
        if self._is_new:
            return assets
        return mul_div_up(assets, self.supply + self.virtual_shares, self.assets + self.virtual_assets)

    def assets_down(self, shares: int) -> int:
        if self._is_new:
            return shares
        return mul_div_down(shares, self.assets + self.virtual_assets, self.supply + self.virtual_shares)

    @property
    def is_defined(self) -> bool:
        return self._is_new or self.assets + self.virtual_assets > 0

    @property
    def _is_new(self) -> bool:
        """A plain ratio begins at one to one."""
        return self.supply + self.virtual_shares == 0


@dataclass(frozen=True, slots=True)
class Maxima:
    """What the vault says that a holder may do at most."""

    deposit: int  # [smallest unit of asset]
    withdraw: int  # [smallest unit of asset]
    redeem: int  # [shares]


@dataclass(frozen=True, slots=True)
class VaultState:
    formula: VaultFormula | None
    """None: no formula known gives what the vault previews."""
    idle: int
    """Asset that lies in the vault itself."""
    held: Holdings
    worth: Mapping[Address, int]
    """What the holder's shares redeem for, by the vault's own preview."""
    maxima: Mapping[Address, Maxima]
    """Empty for a vault whose word about them counts for nothing."""


@dataclass(frozen=True, slots=True)
class VaultAdapter:
    chain_id: int
    name: str
    vault: Address
    asset: Address
    offset: int
    """Decimals of the share less those of the asset."""
    trusts_maxima: bool = True

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Deposit, Redeem, Withdraw})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        idle = erc20.balance_read(self.asset, self.vault)
        return (
            self._read("assets", "totalAssets()"),
            self._read("supply", "totalSupply()"),
            Read(self._label("idle"), idle.target, idle.calldata),
            *(
                self._read(f"{what}:{probe}", f"preview{what}(uint256)", probe)
                for what in ("Deposit", "Withdraw", "Redeem")
                for probe in _PROBES
            ),
            *holding_reads(self.name, self.vault, holders),
            *(
                self._read(f"max{what}:{holder.hex()}", f"max{what}(address)", holder)
                for holder in (holders if self.trusts_maxima else ())
                for what in ("Deposit", "Withdraw", "Redeem")
            ),
        )

    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        """What the holders' shares redeem for."""
        del holders
        held = holdings(self.name, self.vault, answers)
        wanted = (
            self._read(f"worth:{holder.hex()}", "previewRedeem(uint256)", shares)
            for holder, shares in held.items()
            if shares
        )
        return tuple(read for read in wanted if read.label not in answers)

    def decode(self, answers: Answers, block: Block) -> VaultState:
        del block
        held = holdings(self.name, self.vault, answers)
        worth = {
            holder: integer_answer(answers, label, "uint256")
            for holder, label in ((one, self._label(f"worth:{one.hex()}")) for one in held)
            if answers.get(label) is not None
        }
        return VaultState(
            formula=self._formula(answers),
            idle=integer_answer(answers, self._label("idle"), "uint256"),
            held=held,
            worth=MappingProxyType(worth),
            maxima=MappingProxyType(
                {holder: self._maxima(answers, holder) for holder in (held if self.trusts_maxima else ())}
            ),
        )

    def quote(self, state: VaultState, action: Action, account: Address) -> Quote:
        match action:
            case Deposit():
                self._require_pair(action.token_in, action.share)
                assets = known_amount(action.amount_in, self.name)
                self._require_within(state, account, action, assets)
                shares = self._known_formula(state).shares_down(assets)
                known_minimum(action.min_out, shares, self.name)
                return Quote(takes=(Exact(self.asset, assets),), gives=(Exact(self.vault, shares),))
            case Redeem():
                self._require_pair(action.token_out, action.share)
                shares = known_amount(action.amount_in, self.name)
                self._require_held(state, account, shares)
                self._require_within(state, account, action, shares)
                assets = self._known_formula(state).assets_down(shares)
                known_minimum(action.min_out, assets, self.name)
                return Quote(takes=(Exact(self.vault, shares),), gives=(Exact(self.asset, assets),))
            case Withdraw():
                self._require_pair(action.token, self.vault)
                assets = known_amount(action.amount, self.name)
                shares = self._known_formula(state).shares_up(assets)
                self._require_held(state, account, shares)
                self._require_within(state, account, action, assets)
                return Quote(takes=(Exact(self.vault, shares),), gives=(Exact(self.asset, assets),))
            case _:
                raise unsupported(self.name, action)

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        match action:
            case Deposit():
                self._require_pair(action.token_in, action.share)
                data, splices = call_data(_DEPOSIT, (action.amount_in, account))
                return (
                    CallWithAllowance(
                        self.vault,
                        data,
                        self.asset,
                        action.amount_in,
                        splices=splices,
                        measure=action.measure,
                    ),
                )
            case Redeem():
                self._require_pair(action.token_out, action.share)
                data, splices = call_data(_REDEEM, (action.amount_in, account, account))
                return (Call(self.vault, data, splices=splices, measure=action.measure),)
            case Withdraw():
                self._require_pair(action.token, self.vault)
                data, splices = call_data(_WITHDRAW, (action.amount, account, account))
                return (Call(self.vault, data, splices=splices, measure=action.measure),)
            case _:
                raise unsupported(self.name, action)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        del account
        match action:
            case Deposit():
                return inflow_bounds(self.vault, action.min_out, self.name)
            case Redeem():
                return inflow_bounds(self.asset, action.min_out, self.name)
            case Withdraw():
                return ()
            case _:
                raise unsupported(self.name, action)

    def policy(self, account: Address) -> PolicyPart:
        del account
        us = ourselves()
        return PolicyPart(
            listings=(
                Listing(self.vault, _DEPOSIT, (anything(), us)),
                Listing(self.vault, _REDEEM, (anything(), us, us), reduce=True),
                Listing(self.vault, _WITHDRAW, (anything(), us, us), reduce=True),
            ),
            tokens=(
                TokenPolicy(self.asset, allowance=True),
                TokenPolicy(self.vault, TokenClass.KEPT),
            ),
        )

    def positions(self, state: VaultState, holder: Address) -> tuple[Position, ...]:
        shares = holding_of(holder, state.held, self.name)
        if shares == 0:
            return ()
        if holder not in state.worth:
            raise refused(
                "the vault does not say what the shares are worth",
                self.name,
                "answer the adapter's `more_reads` too; else simulate the redemption",
            )
        worth = state.worth[holder]
        return (Position(holder, PositionKind.SHARE, self.asset, worth, self.vault, shares),)

    def liquidity(self, state: VaultState, token: Address) -> int:
        """What lies in the vault; more may come from where it invests."""
        if token != self.asset:
            raise foreign_token(self.name, token)
        return state.idle

    def rates(self, state: VaultState, token: Address, change: int = 0) -> Rates:
        """None: what a vault earns is not in the state of one block."""
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, f"erc4626:{address_text(self.vault).lower()}"),
            Dependency(DependencyKind.ASSET, address_text(self.asset).lower()),
        )

    # ------------------------------------------------------------------ details

    def _formula(self, answers: Answers) -> VaultFormula | None:
        supply, assets = (
            integer_answer(answers, self._label(what), "uint256") for what in ("supply", "assets")
        )
        candidates = (
            VaultFormula(supply, assets, 10 ** max(self.offset, 0), 1),
            VaultFormula(supply, assets, 1, 1),
            VaultFormula(supply, assets, 0, 0),
        )
        return next((formula for formula in candidates if self._explains(formula, answers)), None)

    def _explains(self, formula: VaultFormula, answers: Answers) -> bool:
        if not formula.is_defined:
            return False
        return all(
            answers.get(self._label(f"{what}:{probe}")) == expected(probe).to_bytes(32, "big")
            for what, expected in (
                ("Deposit", formula.shares_down),
                ("Withdraw", formula.shares_up),
                ("Redeem", formula.assets_down),
            )
            for probe in _PROBES
        )

    def _maxima(self, answers: Answers, holder: Address) -> Maxima:
        def said(what: str) -> int:
            return integer_answer(answers, self._label(f"max{what}:{holder.hex()}"), "uint256")

        return Maxima(said("Deposit"), said("Withdraw"), said("Redeem"))

    def _known_formula(self, state: VaultState) -> VaultFormula:
        if state.formula is None:
            raise refused(
                "the vault counts in a way that is not known, with fees or with interest to come",
                self.name,
                "simulate it, with a minimum of your own",
            )
        return state.formula

    def _require_within(self, state: VaultState, holder: Address, action: Action, amount: int) -> None:
        if not self.trusts_maxima:
            return
        if holder not in state.maxima:
            raise unread_holder(self.name, holder)
        maxima = state.maxima[holder]
        maximum = {Deposit: maxima.deposit, Withdraw: maxima.withdraw, Redeem: maxima.redeem}[type(action)]
        if amount > maximum:
            raise refused(
                f"{amount} is more than the {maximum} that the vault allows", self.name, "use less, or wait"
            )

    def _require_held(self, state: VaultState, holder: Address, shares: int) -> None:
        held = holding_of(holder, state.held, self.name)
        if shares > held:
            raise refused(f"{shares} shares are more than the {held} held", self.name, "use less")

    def _require_pair(self, asset: Address, share: Address) -> None:
        for token, ours in ((asset, self.asset), (share, self.vault)):
            if token != ours:
                raise foreign_token(self.name, token)

    def _read(self, label: str, signature: str, *arguments: Address | int) -> Read:
        return Read(self._label(label), self.vault, encode_call(signature, arguments))

    def _label(self, what: str) -> str:
        return f"{self.name}:{self.vault.hex()}:{what}"


def from_book(book: AddressBook) -> tuple[VaultAdapter, ...]:
    """One adapter a vault, told by its name."""
    return tuple(
        _vault(book, entry.name, prefix, trusts_maxima=trusts)
        for entry in book
        for prefix, trusts in _PREFIXES
        if entry.name.startswith(prefix)
    )


def _vault(book: AddressBook, name: str, prefix: str, *, trusts_maxima: bool) -> VaultAdapter:
    words = name.removeprefix(prefix).split("_")
    assets = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    asset = next((one for one in assets if one in book), None)
    share_decimals = book[name].decimals
    asset_decimals = None if asset is None else book[asset].decimals
    if asset is None or share_decimals is None or asset_decimals is None:
        raise InputError(
            f"{name} names no asset, or decimals are missing",
            f"address book of chain {book.chain_id}",
            f"call it {prefix}ASSET after a token of the book, and enter the decimals of both",
        )
    return VaultAdapter(
        chain_id=book.chain_id,
        name=f"erc4626:{name}",
        vault=book.address(name),
        asset=book.address(asset),
        offset=share_decimals - asset_decimals,
        trusts_maxima=trusts_maxima,
    )
