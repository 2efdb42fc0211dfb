"""A stablecoin that its issuer redeems at par: at once within an allowance, else through a queue.

`Deposit` buys it from the issuer, `Redeem` redeems at once for a fee, `RequestExit` enters the queue and
`ClaimExit` collects what is due. The issuer may freeze everything, or one account.

Words of the contract: `scale` is token units in one unit of the asset; amounts below it are lost when
redeemed, which is how the contract rounds. What can be redeemed at once is the lower of what is left of the
day's allowance and of what is held and not owed to the queue.

Not done here: how likely a freeze is, and what the token is worth meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import BPS, Address, address_text, mul_div_down
from seawall.protocols.adapters.actions import Action, ClaimExit, Deposit, Redeem, RequestExit
from seawall.protocols.adapters.answer_lists import integer_list
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
from seawall.protocols.adapters.refusals import (
    foreign_token,
    known_amount,
    known_minimum,
    refused,
    unread_holder,
    unsupported,
)
from seawall.protocols.adapters.wholeness import require_whole
from seawall.protocols.answers import Answers, integer_answer, integer_answers
from seawall.protocols.executor.operations import Amount, Call, CallWithAllowance, Operation
from seawall.protocols.executor.policy import Listing, TokenPolicy, anything

__all__ = ["ExitRequest", "RedeemableAdapter", "RedeemableState", "from_book"]

_TERMS: Final = {
    "scale": "uint256",
    "instantFeeBps": "uint256",
    "queueFeeBps": "uint256",
    "minimum": "uint256",
    "instantAvailable": "uint256",
    "frozen": "uint8",
}
_REQUEST: Final = ("uint256", "uint256", "uint256", "uint256", "uint256")


@dataclass(frozen=True, slots=True)
class ExitRequest:
    number: int
    assets: int  # what will be paid [asset units]
    payable_from_s: int  # [unix s]
    funded: bool  # the money is set aside


@dataclass(frozen=True, slots=True)
class RedeemableState:
    timestamp_s: int
    scale: int  # token units in one unit of the asset
    instant_fee_bps: int
    queue_fee_bps: int
    minimum: int  # smallest amount redeemed [token units]
    instant_available: int  # before the fee [asset units]
    frozen: bool
    balances: Mapping[Address, int]  # [token units]
    frozen_accounts: frozenset[Address]
    requests: Mapping[Address, tuple[ExitRequest, ...]]  # of holders of whom all of it was read


@dataclass(frozen=True, slots=True)
class RedeemableAdapter:
    chain_id: int
    token: Address
    issuer: Address
    asset: Address
    name: str = "redeemable_usd"

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Deposit, Redeem, RequestExit, ClaimExit})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        reads = [Read(self._label(term), self.issuer, encode_call(f"{term}()", ())) for term in _TERMS]
        for holder in holders:
            for what, target, signature in (
                ("balance", self.token, "balanceOf(address)"),
                ("barred", self.token, "frozen(address)"),
                ("open", self.issuer, "openRequests(address)"),
            ):
                reads.append(Read(self._of(what, holder), target, encode_call(signature, (holder,))))
        return tuple(reads)

    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        numbers = {number for holder in holders for number in self._open(answers, holder)}
        return tuple(
            Read(self._request(number), self.issuer, encode_call("request(uint256)", (number,)))
            for number in sorted(numbers)
            if self._request(number) not in answers
        )

    def decode(self, answers: Answers, block: Block) -> RedeemableState:
        terms = {term: integer_answer(answers, self._label(term), kind) for term, kind in _TERMS.items()}
        fees = (terms["instantFeeBps"], terms["queueFeeBps"])
        require_whole(terms["scale"] > 0, "one asset unit is no token at all", self.name)
        require_whole(max(fees) <= BPS, f"fees of {fees[0]} and {fees[1]} bps", self.name)
        prefix = self._label("balance:")
        holders = [Address(bytes.fromhex(x.removeprefix(prefix))) for x in answers if x.startswith(prefix)]
        return RedeemableState(
            timestamp_s=block.timestamp_s,
            scale=terms["scale"],
            instant_fee_bps=terms["instantFeeBps"],
            queue_fee_bps=terms["queueFeeBps"],
            minimum=terms["minimum"],
            instant_available=terms["instantAvailable"],
            frozen=bool(terms["frozen"]),
            balances={x: integer_answer(answers, self._of("balance", x), "uint256") for x in holders},
            frozen_accounts=frozenset(
                x for x in holders if integer_answer(answers, self._of("barred", x), "uint8")
            ),
            requests={x: self._requests(answers, x) for x in holders if not self.more_reads(answers, (x,))},
        )

    def quote(self, state: RedeemableState, action: Action, account: Address) -> Quote:
        self._require_free(state, account)
        match action:
            case Deposit():
                self._require_pair(action.token_in, action.share)
                amount = known_amount(action.amount_in, self.name)
                given = Exact(self.token, amount * state.scale)
                known_minimum(action.min_out, given.amount, self.name)
                return Quote(takes=(Exact(self.asset, amount),), gives=(given,))
            case Redeem():
                self._require_pair(action.token_out, action.share)
                amount = self._redeemable(state, action.amount_in)
                gross = amount // state.scale
                if gross > state.instant_available:
                    raise refused(
                        f"{gross} asset units are wanted at once, {state.instant_available} are there",
                        self.name,
                        "redeem less, wait for tomorrow's allowance, or request an exit",
                    )
                given = Exact(self.asset, mul_div_down(gross, BPS - state.instant_fee_bps, BPS))
                known_minimum(action.min_out, given.amount, self.name)
                return Quote(takes=(Exact(self.token, amount),), gives=(given,))
            case RequestExit():
                self._require_share(action.share)
                amount = self._redeemable(state, action.amount_in)
                return Quote(takes=(Exact(self.token, amount),), gives=())
            case ClaimExit():
                self._require_asset(action.token_out)
                return Quote(takes=(), gives=(Exact(self.asset, self._due(state, action, account)),))
            case _:
                raise unsupported(self.name, action)

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        del account
        match action:
            case Deposit():
                self._require_pair(action.token_in, action.share)
                data, splices = call_data("issue(uint256)", (action.amount_in,))
                return (
                    CallWithAllowance(
                        self.issuer,
                        data,
                        self.asset,
                        action.amount_in,
                        splices=splices,
                        measure=action.measure,
                    ),
                )
            case Redeem():
                self._require_pair(action.token_out, action.share)
                data, splices = call_data("redeem(uint256,uint256)", (action.amount_in, action.min_out))
            case RequestExit():
                self._require_share(action.share)
                data, splices = call_data("requestRedemption(uint256)", (action.amount_in,))
            case ClaimExit():
                self._require_asset(action.token_out)
                data, splices = call_data("claim(uint256)", (action.request,))
            case _:
                raise unsupported(self.name, action)
        return (Call(self.issuer, data, splices=splices, measure=action.measure),)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        """Buying takes no minimum: it is at par, or not at all."""
        del account
        return inflow_bounds(self.token, action.min_out, self.name) if isinstance(action, Deposit) else ()

    def policy(self, account: Address) -> PolicyPart:
        del account
        return PolicyPart(
            listings=(
                Listing(self.issuer, "issue(uint256)", (anything(),)),
                Listing(self.issuer, "redeem(uint256,uint256)", (anything(), anything()), reduce=True),
                Listing(self.issuer, "requestRedemption(uint256)", (anything(),), reduce=True),
                Listing(self.issuer, "claim(uint256)", (anything(),), reduce=True),
            ),
            tokens=(TokenPolicy(self.token), TokenPolicy(self.asset, allowance=True)),
        )

    def positions(self, state: RedeemableState, holder: Address) -> tuple[Position, ...]:
        """The token in terms of the asset at par, queue fee off: what it redeems for unless frozen."""
        requests = self._requests_of(state, holder)
        found = []
        held = state.balances[holder]
        if held:
            worth = mul_div_down(held // state.scale, BPS - state.queue_fee_bps, BPS)
            found.append(Position(holder, PositionKind.SHARE, self.asset, worth, self.token, held))
        found += [
            Position(holder, PositionKind.LEAVING, self.asset, each.assets, reference=str(each.number))
            for each in requests
        ]
        return tuple(found)

    def liquidity(self, state: RedeemableState, token: Address) -> int:
        self._require_asset(token)
        if state.frozen:
            return 0
        return mul_div_down(state.instant_available, BPS - state.instant_fee_bps, BPS)

    def rates(self, state: RedeemableState, token: Address, change: int = 0) -> Rates:
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, self.name.replace("_", "-")),
            Dependency(DependencyKind.ASSET, address_text(self.token).lower()),
            Dependency(DependencyKind.ASSET, address_text(self.asset).lower()),
        )

    def _redeemable(self, state: RedeemableState, wanted: Amount) -> int:
        amount = known_amount(wanted, self.name)
        if amount < state.minimum:
            raise refused(f"{amount} is below the minimum of {state.minimum}", self.name, "redeem more")
        return amount

    def _due(self, state: RedeemableState, action: ClaimExit, account: Address) -> int:
        for each in self._requests_of(state, account):
            if each.number == action.request:
                if not each.funded or state.timestamp_s < each.payable_from_s:
                    raise refused(
                        f"request {each.number} is not due: it is payable from {each.payable_from_s} on"
                        f" and {'is' if each.funded else 'is not'} funded",
                        self.name,
                        "wait for the issuer",
                    )
                return each.assets
        raise refused(
            f"request {action.request} is not an open one of {address_text(account)}",
            self.name,
            "take the number from a position that is leaving",
        )

    def _requests_of(self, state: RedeemableState, account: Address) -> tuple[ExitRequest, ...]:
        if account not in state.requests:
            raise unread_holder(self.name, account)
        return state.requests[account]

    def _require_free(self, state: RedeemableState, account: Address) -> None:
        if state.frozen:
            raise refused("the issuer has frozen issue and redemption", self.name, "wait for the thaw")
        if account not in state.balances:
            raise unread_holder(self.name, account)
        if account in state.frozen_accounts:
            raise refused(
                f"the issuer has frozen {address_text(account)}", self.name, "settle it with the issuer"
            )

    def _require_pair(self, asset: Address, share: Address) -> None:
        self._require_asset(asset)
        self._require_share(share)

    def _require_asset(self, token: Address) -> None:
        if token != self.asset:
            raise foreign_token(self.name, token)

    def _require_share(self, token: Address) -> None:
        if token != self.token:
            raise foreign_token(self.name, token)

    def _open(self, answers: Answers, holder: Address) -> tuple[int, ...]:
        return integer_list(answers, self._of("open", holder))

    def _requests(self, answers: Answers, holder: Address) -> tuple[ExitRequest, ...]:
        found = []
        for number in self._open(answers, holder):
            _, assets, payable_from_s, funded, _ = integer_answers(answers, self._request(number), _REQUEST)
            found.append(ExitRequest(number, assets, payable_from_s, bool(funded)))
        return tuple(found)

    def _request(self, number: int) -> str:
        return self._label(f"request:{number}")

    def _of(self, what: str, holder: Address) -> str:
        return self._label(f"{what}:{holder.hex()}")

    def _label(self, what: str) -> str:
        return f"{self.name}:{self.issuer.hex()}:{what}"


def from_book(book: AddressBook) -> tuple[RedeemableAdapter, ...]:
    """The issuer's asset is `usdx` of the same book."""
    names = ("redeemable_usd", "redeemable_issuer", "usdx")
    if not all(name in book for name in names):
        return ()
    token, issuer, asset = (book.address(name) for name in names)
    return (RedeemableAdapter(book.chain_id, token, issuer, asset),)
