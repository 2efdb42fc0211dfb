"""Convex: Curve LP tokens staked through the booster; CRV earned by the second, CVX minted with every claim.

`Deposit` stakes the LP token at once, `Redeem` takes it back without claiming, `ClaimRewards` collects both
tokens. The share is the reward pool itself, which knows balances and cannot be moved.

CVX is minted for CRV claimed, less by one thousandth for each 100,000 that exist. Not done here: extra
rewards, the fee of the harvest, what reward tokens are worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address, address_text, mul_div_down
from seawall.protocols.adapters.actions import Action, ClaimRewards, Deposit, Redeem
from seawall.protocols.adapters.arguments import call_data, inflow_bounds
from seawall.protocols.adapters.base import (
    RAY,
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
from seawall.protocols.executor.operations import Call, CallWithAllowance, Operation
from seawall.protocols.executor.policy import (
    Listing,
    TokenClass,
    TokenPolicy,
    anything,
    equal_to,
    ourselves,
)

__all__ = ["ConvexAdapter", "ConvexState", "Staked", "cvx_minted_down", "from_book"]

SECONDS_PER_YEAR: Final = 365 * 86_400
_WAD: Final = 10**18
_CVX_MAX: Final = 10**26
_CLIFFS: Final = 1_000
_PER_CLIFF: Final = _CVX_MAX // _CLIFFS
_PREFIX: Final = "convex_"
_POOL_VIEWS: Final = (
    "pid",
    "rewardRate",
    "periodFinish",
    "lastUpdateTime",
    "rewardPerTokenStored",
    "totalSupply",
)
_HOLDER_VIEWS: Final = ("balanceOf", "userRewardPerTokenPaid", "rewards")
_POOL_INFO: Final = ("uint256",) * 5 + ("uint8",)


@dataclass(frozen=True, slots=True)
class Staked:
    amount: int  # [LP wei]
    paid_per_token: int  # [CRV wei per whole LP token]
    owed: int  # earned before [CRV wei]


@dataclass(frozen=True, slots=True)
class ConvexState:
    timestamp_s: int
    open: bool  # whether deposits are taken
    staked: int  # by all [LP wei]
    rate: int  # [CRV wei per second]
    finish_s: int
    per_token: int  # earned so far, up to the block [CRV wei per whole LP token]
    cvx_supply: int
    stakes: Mapping[Address, Staked]

    def earned_down(self, stake: Staked) -> int:
        """[CRV wei]"""
        return stake.amount * (self.per_token - stake.paid_per_token) // _WAD + stake.owed


@dataclass(frozen=True, slots=True)
class ConvexAdapter:
    chain_id: int
    booster: Address
    pid: int
    rewards: Address
    lp_token: Address
    crv: Address
    cvx: Address
    name: str

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Deposit, Redeem, ClaimRewards})

    # ------------------------------------------------------------------ reading

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        reads = [Read(self._label(view), self.rewards, encode_call(f"{view}()", ())) for view in _POOL_VIEWS]
        reads.append(Read(self._label("shutdown"), self.booster, encode_call("isShutdown()", ())))
        info = encode_call("poolInfo(uint256)", (self.pid,))
        reads.append(Read(self._label("info"), self.booster, info))
        reads.append(Read(self._label("cvx"), self.cvx, encode_call("totalSupply()", ())))
        for holder in holders:
            for view in _HOLDER_VIEWS:
                ask = encode_call(f"{view}(address)", (holder,))
                reads.append(Read(self._label(f"{view}:{holder.hex()}"), self.rewards, ask))
        return tuple(reads)

    def decode(self, answers: Answers, block: Block) -> ConvexState:
        pid, rate, finish_s, updated_s, stored, staked = (self._number(answers, x) for x in _POOL_VIEWS)
        info = integer_answers(answers, self._label("info"), _POOL_INFO)
        expected = tuple(int.from_bytes(address) for address in (self.lp_token, self.rewards))
        if pid != self.pid or (info[0], info[3]) != expected:
            raise ProtocolError(
                f"pool {self.pid} is of another LP token or another reward pool",
                self.name,
                "correct the number at the end of the name in the address book",
            )
        until_s = min(block.timestamp_s, finish_s)
        require_whole(updated_s <= until_s, f"rewards are counted up to {updated_s}", self.name)
        per_token = stored + ((until_s - updated_s) * rate * _WAD // staked if staked else 0)
        prefix = self._label(f"{_HOLDER_VIEWS[0]}:")
        holders = [Address(bytes.fromhex(x.removeprefix(prefix))) for x in answers if x.startswith(prefix)]
        stakes = {
            holder: Staked(*(self._number(answers, f"{view}:{holder.hex()}") for view in _HOLDER_VIEWS))
            for holder in holders
        }
        for stake in stakes.values():
            require_whole(stake.paid_per_token <= per_token, "more was paid than was earned", self.name)
        return ConvexState(
            timestamp_s=block.timestamp_s,
            open=not info[5] and not integer_answer(answers, self._label("shutdown"), "uint8"),
            staked=staked,
            rate=rate,
            finish_s=finish_s,
            per_token=per_token,
            cvx_supply=self._number(answers, "cvx"),
            stakes=stakes,
        )

    # ------------------------------------------------------------------ quoting

    def quote(self, state: ConvexState, action: Action, account: Address) -> Quote:
        match action:
            case Deposit():
                self._require_pair(action.token_in, action.share)
                amount = known_amount(action.amount_in, self.name)
                if not state.open:
                    raise refused("the pool takes no deposits any more", self.name, "use another pool")
                known_minimum(action.min_out, amount, self.name)
                return Quote((Exact(self.lp_token, amount),), (Exact(self.rewards, amount),))
            case Redeem():
                self._require_pair(action.token_out, action.share)
                amount = known_amount(action.amount_in, self.name)
                if amount > state.staked:
                    raise refused(f"{amount} is more than all have staked", self.name, "take out less")
                known_minimum(action.min_out, amount, self.name)
                return Quote((Exact(self.rewards, amount),), (Exact(self.lp_token, amount),))
            case ClaimRewards():
                self._require_rewards(action.tokens)
                crv, cvx = self._claimable(state, account)
                if crv == 0:
                    raise refused("nothing is earned yet", self.name, "claim later")
                gives = (Exact(self.crv, crv), Exact(self.cvx, cvx))
                return Quote(takes=(), gives=gives if cvx else gives[:1])
            case _:
                raise unsupported(self.name, action)

    def reward_rate_ray_down(self, state: ConvexState, change: int = 0) -> int:
        """CRV wei a year for one staked LP wei, once we have staked `change` more (or less). [ray]

        Zero once the period is over. No rate of interest: CRV and the LP token have prices of their own.
        """
        staked = state.staked + change
        if state.timestamp_s >= state.finish_s or staked <= 0:
            return 0
        return mul_div_down(state.rate * SECONDS_PER_YEAR, RAY, staked)

    # ------------------------------------------------------------------ doing

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        match action:
            case Deposit():
                self._require_pair(action.token_in, action.share)
                data, splices = call_data("deposit(uint256,uint256,bool)", (self.pid, action.amount_in, True))
                staked = CallWithAllowance(
                    self.booster,
                    data,
                    self.lp_token,
                    action.amount_in,
                    splices=splices,
                    measure=action.measure,
                )
                return (staked,)
            case Redeem():
                self._require_pair(action.token_out, action.share)
                data, splices = call_data("withdrawAndUnwrap(uint256,bool)", (action.amount_in, False))
            case ClaimRewards():
                self._require_rewards(action.tokens)
                data, splices = call_data("getReward(address,bool)", (account, False))
            case _:
                raise unsupported(self.name, action)
        return (Call(self.rewards, data, splices=splices, measure=action.measure),)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        """One for one or not at all: a minimum says nothing more, but is held where it is said."""
        del account
        match action:
            case Deposit():
                return inflow_bounds(action.share, action.min_out, self.name)
            case Redeem():
                return inflow_bounds(action.token_out, action.min_out, self.name)
            case _:
                return ()

    def policy(self, account: Address) -> PolicyPart:
        del account
        return PolicyPart(
            listings=(
                Listing(
                    self.booster,
                    "deposit(uint256,uint256,bool)",
                    (equal_to(self.pid), anything(), equal_to(1)),
                ),
                Listing(
                    self.rewards, "withdrawAndUnwrap(uint256,bool)", (anything(), equal_to(0)), reduce=True
                ),
                Listing(self.rewards, "getReward(address,bool)", (ourselves(), equal_to(0)), reduce=True),
            ),
            tokens=(
                TokenPolicy(self.lp_token, TokenClass.KEPT, allowance=True),
                TokenPolicy(self.rewards, TokenClass.KEPT),
                TokenPolicy(self.crv),
                TokenPolicy(self.cvx),
            ),
        )

    # ------------------------------------------------------------------ having

    def positions(self, state: ConvexState, holder: Address) -> tuple[Position, ...]:
        stake = self._stake(state, holder)
        found = []
        if stake.amount:
            kind, amount = PositionKind.SHARE, stake.amount
            found.append(Position(holder, kind, self.lp_token, amount, self.rewards, amount))
        for token, earned in zip((self.crv, self.cvx), self._claimable(state, holder), strict=True):
            if earned:
                found.append(Position(holder, PositionKind.REWARD, token, earned))
        return tuple(found)

    def liquidity(self, state: ConvexState, token: Address) -> int:
        if token != self.lp_token:
            raise foreign_token(self.name, token)
        return state.staked

    def rates(self, state: ConvexState, token: Address, change: int = 0) -> Rates:
        """None: what is earned is another token, see `reward_rate_ray_down`."""
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        """Curve too: what is staked is a share of one of its pools."""
        return (
            Dependency(DependencyKind.PROTOCOL, "convex"),
            Dependency(DependencyKind.PROTOCOL, "curve"),
            Dependency(DependencyKind.ASSET, address_text(self.lp_token).lower()),
        )

    # ------------------------------------------------------------------ details

    def _claimable(self, state: ConvexState, account: Address) -> tuple[int, int]:
        crv = state.earned_down(self._stake(state, account))
        return crv, cvx_minted_down(crv, state.cvx_supply)

    def _stake(self, state: ConvexState, account: Address) -> Staked:
        if account not in state.stakes:
            raise unread_holder(self.name, account)
        return state.stakes[account]

    def _require_pair(self, token: Address, share: Address) -> None:
        if token != self.lp_token:
            raise foreign_token(self.name, token)
        if share != self.rewards:
            raise foreign_token(self.name, share)

    def _require_rewards(self, tokens: tuple[Address, ...]) -> None:
        for token in tokens:
            if token not in (self.crv, self.cvx):
                raise foreign_token(self.name, token)

    def _number(self, answers: Answers, what: str) -> int:
        return integer_answer(answers, self._label(what), "uint256")

    def _label(self, what: str) -> str:
        return f"{self.name}:{self.rewards.hex()}:{what}"


def cvx_minted_down(crv: int, supply: int) -> int:
    """CVX that is minted beside `crv` wei of CRV when `supply` exists."""
    cliff = supply // _PER_CLIFF
    if cliff >= _CLIFFS:
        return 0
    return min(crv * (_CLIFFS - cliff) // _CLIFFS, _CVX_MAX - supply)


def from_book(book: AddressBook) -> tuple[ConvexAdapter, ...]:
    """One adapter for every reward pool named `convex_POOL_NUMBER`: a pool of the book that is its own LP
    token, and Convex's number."""
    if not all(name in book for name in ("convex_booster", "crv", "convex_cvx")):
        return ()
    found = []
    for entry in book:
        pool, _, number = entry.name.removeprefix(_PREFIX).rpartition("_")
        if not entry.name.startswith(_PREFIX) or pool not in book or not number.isdecimal():
            continue
        found.append(
            ConvexAdapter(
                book.chain_id,
                book.address("convex_booster"),
                int(number),
                entry.address,
                book.address(pool),
                book.address("crv"),
                book.address("convex_cvx"),
                f"convex:{pool}",
            )
        )
    return tuple(found)
