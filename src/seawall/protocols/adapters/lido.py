"""Lido: ether in for rebasing stETH, stETH wrapped as wstETH and back, and ether out through the queue.

All amounts of stETH are shares times the pool's ether over all shares, rounded down at every step, so that a
balance may move by a wei less than what was asked for: what an account gains or loses depends on the shares
it has, and quotes of stETH need the account among the holders that were read.

A request is paid at most what was asked for and at most its shares at the rate of its finalisation. Requests
are between 100 wei and 1000 ether; a known larger amount of stETH becomes several of them.

Neither staking nor wrapping takes a minimum, so the plan's bounds hold it. Not done here: how long the queue
takes, selling stETH on a market, bunker mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.native import AbiValue, abi_decode, encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import EncodingError, ProtocolError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address, address_text, mul_div_down
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
from seawall.protocols.adapters.holdings import Holdings, holding_reads, holdings
from seawall.protocols.adapters.refusals import (
    foreign_token,
    known_amount,
    known_minimum,
    refused,
    unread_holder,
    unsupported,
)
from seawall.protocols.answers import Answers, integer_answer
from seawall.protocols.executor.operations import (
    Call,
    CallWithAllowance,
    Measured,
    Operation,
    Splice,
)
from seawall.protocols.executor.policy import (
    Listing,
    TokenPolicy,
    anything,
    equal_to,
    ourselves,
    up_to,
)

__all__ = ["LidoAdapter", "LidoRequest", "LidoState", "from_book"]

REQUEST_MIN_WEI: Final = 100
REQUEST_MAX_WEI: Final = 1_000 * 10**18
# Of one RequestExit; the queue would take more, but no plan needs more in one call.
REQUESTS_PER_CALL_MAX: Final = 16

_NATIVE_MAX_WEI: Final = 2**128 - 1
_STATUS: Final = "(uint256,uint256,address,uint256,bool,bool)[]"
# requestWithdrawals(uint256[],address): offset, owner, length, then the amounts.
_FIRST_AMOUNT_WORD: Final = 3


@dataclass(frozen=True, slots=True)
class LidoRequest:
    number: int
    asked_wei: int  # [stETH wei]
    shares: int
    claimable_wei: int | None  # None until it is finalised


@dataclass(frozen=True, slots=True)
class LidoState:
    shares: int
    pooled_wei: int
    stopped: bool
    staking_paused: bool
    stake_limit_wei: int
    queue_paused: bool
    wrapped_shares: int  # that the wrapper holds
    shares_of: Mapping[Address, int]
    wrapped: Holdings  # [wstETH wei]
    requests: Mapping[Address, tuple[LidoRequest, ...]]  # of holders of whom all of it was read

    def wei_of_down(self, shares: int) -> int:
        return mul_div_down(shares, self.pooled_wei, self.shares)

    def shares_of_down(self, amount_wei: int) -> int:
        return mul_div_down(amount_wei, self.shares, self.pooled_wei)


@dataclass(frozen=True, slots=True)
class LidoAdapter:
    chain_id: int
    steth: Address
    wsteth: Address
    queue: Address
    name: str = "lido"

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Deposit, Redeem, RequestExit, ClaimExit})

    # ------------------------------------------------------------------ reading

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        views = (
            (self.steth, "getTotalShares"),
            (self.steth, "getTotalPooledEther"),
            (self.steth, "isStopped"),
            (self.steth, "isStakingPaused"),
            (self.steth, "getCurrentStakeLimit"),
            (self.queue, "isPaused"),
            (self.queue, "getLastCheckpointIndex"),
        )
        reads = [Read(self._label(view), target, encode_call(f"{view}()", ())) for target, view in views]
        reads += [self._shares_read(holder) for holder in (self.wsteth, *holders)]
        for holder in holders:
            ask = encode_call("getWithdrawalRequests(address)", (holder,))
            reads.append(Read(self._of("open", holder), self.queue, ask))
        return (*reads, *holding_reads(self.name, self.wsteth, holders))

    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        """The requests of holders who have some: their status and hints, then what is claimable."""
        last = integer_answer(answers, self._label("getLastCheckpointIndex"), "uint256")
        wanted: list[Read] = []
        for holder in holders:
            numbers = self._open(answers, holder)
            if not numbers:
                continue
            if self._of("status", holder) not in answers:
                status = encode_call("getWithdrawalStatus(uint256[])", (numbers,))
                hints = encode_call("findCheckpointHints(uint256[],uint256,uint256)", (numbers, 1, last))
                wanted.append(Read(self._of("status", holder), self.queue, status))
                wanted.append(Read(self._of("hints", holder), self.queue, hints))
                continue
            final = self._finalised(answers, holder)
            if final and self._of("claimable", holder) not in answers:
                pair: tuple[AbiValue, ...] = (tuple(final), tuple(final.values()))
                ask = encode_call("getClaimableEther(uint256[],uint256[])", pair)
                wanted.append(Read(self._of("claimable", holder), self.queue, ask))
        return tuple(wanted)

    def decode(self, answers: Answers, block: Block) -> LidoState:
        del block

        def number(view: str) -> int:
            return integer_answer(answers, self._label(view), "uint256")

        shares, pooled_wei = number("getTotalShares"), number("getTotalPooledEther")
        if shares == 0 or pooled_wei == 0:
            raise ProtocolError("the pool is empty", self.name, "check the address of stETH")
        wrapped = holdings(self.name, self.wsteth, answers)
        return LidoState(
            shares=shares,
            pooled_wei=pooled_wei,
            stopped=bool(number("isStopped")),
            staking_paused=bool(number("isStakingPaused")),
            stake_limit_wei=number("getCurrentStakeLimit"),
            queue_paused=bool(number("isPaused")),
            wrapped_shares=integer_answer(answers, self._of("shares", self.wsteth), "uint256"),
            shares_of={x: integer_answer(answers, self._of("shares", x), "uint256") for x in wrapped},
            wrapped=wrapped,
            requests={x: self._requests(answers, x) for x in wrapped if self._complete(answers, x)},
        )

    # ------------------------------------------------------------------ quoting

    def quote(self, state: LidoState, action: Action, account: Address) -> Quote:
        match action:
            case Deposit() if action.share == self.steth:
                self._require(action.token_in, NATIVE)
                quote = self._staked(state, known_amount(action.amount_in, self.name), account)
            case Deposit():
                self._require(action.share, self.wsteth)
                self._require(action.token_in, self.steth)
                quote = self._wrapped(state, known_amount(action.amount_in, self.name), account)
            case Redeem():
                self._require(action.share, self.wsteth)
                self._require(action.token_out, self.steth)
                quote = self._unwrapped(state, known_amount(action.amount_in, self.name), account)
            case RequestExit():
                return self._requested(state, action, account)
            case ClaimExit():
                self._require(action.token_out, NATIVE)
                return Quote(takes=(), gives=(Exact(NATIVE, self._due(state, action, account)),))
            case _:
                raise unsupported(self.name, action)
        known_minimum(action.min_out, quote.gives[0].amount, self.name)
        return quote

    def _staked(self, state: LidoState, amount: int, account: Address) -> Quote:
        self._require_running(state)
        if state.staking_paused:
            raise refused("staking is paused", self.name, "buy stETH on a market")
        if amount > state.stake_limit_wei:
            raise refused(
                f"{amount} wei is more than the limit of {state.stake_limit_wei}",
                self.name,
                "stake less, or wait: the limit regrows by the block",
            )
        held = self._held(state, account)
        minted = state.shares_of_down(amount)
        after = mul_div_down(held + minted, state.pooled_wei + amount, state.shares + minted)
        gained = after - state.wei_of_down(held)
        return Quote(takes=(Exact(NATIVE, amount),), gives=(Exact(self.steth, gained),))

    def _wrapped(self, state: LidoState, amount: int, account: Address) -> Quote:
        self._require_running(state)
        minted = state.shares_of_down(amount)
        return Quote(
            takes=(Exact(self.steth, self._lost(state, (amount,), account)),),
            gives=(Exact(self.wsteth, minted),),
        )

    def _unwrapped(self, state: LidoState, amount: int, account: Address) -> Quote:
        self._require_running(state)
        if amount > state.wrapped_shares:
            raise refused(f"{amount} is more wstETH than there is", self.name, "unwrap less")
        held = self._held(state, account)
        sent = state.shares_of_down(state.wei_of_down(amount))
        gained = state.wei_of_down(held + sent) - state.wei_of_down(held)
        return Quote(takes=(Exact(self.wsteth, amount),), gives=(Exact(self.steth, gained),))

    def _requested(self, state: LidoState, action: RequestExit, account: Address) -> Quote:
        self._require_running(state)
        if state.queue_paused:
            raise refused("the withdrawal queue is paused", self.name, "sell on a market, or wait")
        amount = known_amount(action.amount_in, self.name)
        if action.share == self.wsteth:
            worth = state.wei_of_down(amount)
            if not REQUEST_MIN_WEI <= worth <= REQUEST_MAX_WEI:
                raise refused(
                    f"a request over {worth} wei of stETH is outside {REQUEST_MIN_WEI}..{REQUEST_MAX_WEI}",
                    self.name,
                    "make several requests of 1000 ether at most",
                )
            return Quote(takes=(Exact(self.wsteth, amount),), gives=())
        self._require(action.share, self.steth)
        taken = self._lost(state, self._parts(amount), account)
        return Quote(takes=(Exact(self.steth, taken),), gives=())

    def _lost(self, state: LidoState, parts: tuple[int, ...], account: Address) -> int:
        """What `account`'s balance falls by when it sends `parts`; their sum where it holds less by now."""
        held = self._held(state, account)
        left = held - sum(state.shares_of_down(part) for part in parts)
        return sum(parts) if left < 0 else state.wei_of_down(held) - state.wei_of_down(left)

    def _due(self, state: LidoState, action: ClaimExit, account: Address) -> int:
        for each in self._requests_of(state, account):
            if each.number == action.request:
                if each.claimable_wei is None:
                    raise refused(f"request {each.number} is not finalised", self.name, "wait for the queue")
                return each.claimable_wei
        raise refused(
            f"request {action.request} is not an open one of {address_text(account)}",
            self.name,
            "take the number from a position that is leaving",
        )

    # ------------------------------------------------------------------ doing

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        match action:
            case Deposit() if action.share == self.steth:
                self._require(action.token_in, NATIVE)
                submit = encode_call("submit(address)", (ZERO_ADDRESS,))
                return (Call(self.steth, submit, action.amount_in, measure=action.measure),)
            case Deposit():
                self._require(action.share, self.wsteth)
                self._require(action.token_in, self.steth)
                data, splices = call_data("wrap(uint256)", (action.amount_in,))
                allowed = CallWithAllowance(
                    self.wsteth, data, self.steth, action.amount_in, splices=splices, measure=action.measure
                )
                return (allowed,)
            case Redeem():
                self._require(action.share, self.wsteth)
                self._require(action.token_out, self.steth)
                data, splices = call_data("unwrap(uint256)", (action.amount_in,))
                return (Call(self.wsteth, data, splices=splices, measure=action.measure),)
            case RequestExit():
                return (self._request_call(action, account),)
            case ClaimExit():
                self._require(action.token_out, NATIVE)
                claim = encode_call("claimWithdrawal(uint256)", (action.request,))
                return (Call(self.queue, claim, measure=action.measure),)
            case _:
                raise unsupported(self.name, action)

    def _request_call(self, action: RequestExit, account: Address) -> Operation:
        amount = action.amount_in
        splices: tuple[Splice, ...] = ()
        if isinstance(amount, Measured):
            parts: tuple[int, ...] = (0,)
            splices = (Splice(_FIRST_AMOUNT_WORD, amount),)
        else:
            parts = self._parts(amount) if action.share == self.steth else (amount,)
        if action.share != self.steth:
            self._require(action.share, self.wsteth)
        name = "requestWithdrawals" if action.share == self.steth else "requestWithdrawalsWstETH"
        data = encode_call(f"{name}(uint256[],address)", (parts, account))
        return CallWithAllowance(
            self.queue, data, action.share, amount, splices=splices, measure=action.measure
        )

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        del account
        match action:
            case Deposit():
                return inflow_bounds(action.share, action.min_out, self.name)
            case Redeem():
                return inflow_bounds(action.token_out, action.min_out, self.name)
            case RequestExit() | ClaimExit():
                return ()
            case _:
                raise unsupported(self.name, action)

    def policy(self, account: Address) -> PolicyPart:
        del account
        request = (up_to(REQUESTS_PER_CALL_MAX), anything(), ourselves())
        return PolicyPart(
            listings=(
                Listing(
                    self.steth, "submit(address)", (equal_to(ZERO_ADDRESS),), max_native_wei=_NATIVE_MAX_WEI
                ),
                Listing(self.wsteth, "wrap(uint256)", (anything(),), reduce=True),
                Listing(self.wsteth, "unwrap(uint256)", (anything(),), reduce=True),
                Listing(self.queue, "requestWithdrawals(uint256[],address)", request, reduce=True),
                Listing(self.queue, "requestWithdrawalsWstETH(uint256[],address)", request, reduce=True),
                Listing(self.queue, "claimWithdrawal(uint256)", (anything(),), reduce=True),
            ),
            tokens=(TokenPolicy(self.steth, allowance=True), TokenPolicy(self.wsteth, allowance=True)),
        )

    # ------------------------------------------------------------------ having

    def positions(self, state: LidoState, holder: Address) -> tuple[Position, ...]:
        held = state.wei_of_down(self._held(state, holder))
        wrapped = state.wrapped[holder]
        found = []
        if held:
            found.append(Position(holder, PositionKind.SHARE, NATIVE, held, self.steth, held))
        if wrapped:
            worth = state.wei_of_down(wrapped)
            found.append(Position(holder, PositionKind.SHARE, NATIVE, worth, self.wsteth, wrapped))
        for each in self._requests_of(state, holder):
            expected = min(each.asked_wei, state.wei_of_down(each.shares))
            due = expected if each.claimable_wei is None else each.claimable_wei
            found.append(Position(holder, PositionKind.LEAVING, NATIVE, due, reference=str(each.number)))
        return tuple(found)

    def liquidity(self, state: LidoState, token: Address) -> int:
        """Ether leaves by the queue alone; stETH leaves the wrapper at once."""
        if token == NATIVE:
            return 0
        self._require(token, self.steth)
        return 0 if state.stopped else state.wei_of_down(state.wrapped_shares)

    def rates(self, state: LidoState, token: Address, change: int = 0) -> Rates:
        """None: what staking earns is not in the state of one block."""
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, "lido"),
            Dependency(DependencyKind.ASSET, address_text(self.steth).lower()),
        )

    # ------------------------------------------------------------------ details

    def _parts(self, amount: int) -> tuple[int, ...]:
        """Requests within the queue's limits that add up to `amount`."""
        whole, rest = divmod(amount, REQUEST_MAX_WEI)
        count = whole + (rest > 0)
        if amount < REQUEST_MIN_WEI or count > REQUESTS_PER_CALL_MAX:
            raise refused(
                f"an exit of {amount} wei is not within {REQUEST_MIN_WEI} wei and"
                f" {REQUESTS_PER_CALL_MAX} requests of {REQUEST_MAX_WEI}",
                self.name,
                "ask for an amount in between",
            )
        parts = [REQUEST_MAX_WEI] * whole + ([rest] if rest else [])
        if len(parts) > 1 and parts[-1] < REQUEST_MIN_WEI:
            parts[-1] += REQUEST_MIN_WEI
            parts[-2] -= REQUEST_MIN_WEI
        return tuple(parts)

    def _held(self, state: LidoState, account: Address) -> int:
        if account not in state.shares_of:
            raise unread_holder(self.name, account)
        return state.shares_of[account]

    def _requests_of(self, state: LidoState, account: Address) -> tuple[LidoRequest, ...]:
        if account not in state.requests:
            raise unread_holder(self.name, account)
        return state.requests[account]

    def _require_running(self, state: LidoState) -> None:
        if state.stopped:
            raise refused("stETH is stopped: nothing of it moves", self.name, "wait for the DAO")

    def _require(self, token: Address, wanted: Address) -> None:
        if token != wanted:
            raise foreign_token(self.name, token)

    def _open(self, answers: Answers, holder: Address) -> tuple[int, ...]:
        return tuple(sorted(integer_list(answers, self._of("open", holder))))

    def _finalised(self, answers: Answers, holder: Address) -> dict[int, int]:
        """Number to hint, of those that the queue has finalised."""
        hints = integer_list(answers, self._of("hints", holder))
        return {
            number: hint for number, hint in zip(self._open(answers, holder), hints, strict=False) if hint > 0
        }

    def _complete(self, answers: Answers, holder: Address) -> bool:
        return not self.more_reads(answers, (holder,))

    def _requests(self, answers: Answers, holder: Address) -> tuple[LidoRequest, ...]:
        numbers = self._open(answers, holder)
        if not numbers:
            return ()
        final = self._finalised(answers, holder)
        due = integer_list(answers, self._of("claimable", holder)) if final else ()
        claimable = dict(zip(final, due, strict=False))
        statuses = self._statuses(answers, holder)
        return tuple(
            LidoRequest(number, asked, shares, claimable.get(number))
            for number, (asked, shares) in zip(numbers, statuses, strict=False)
        )

    def _statuses(self, answers: Answers, holder: Address) -> tuple[tuple[int, int], ...]:
        label = self._of("status", holder)
        raw = answers.get(label)
        try:
            (rows,) = abi_decode((_STATUS,), raw or b"")
        except EncodingError as error:
            raise ProtocolError(
                what="the answer is not a list of requests",
                where=f"read {label!r}",
                fix="check that the address is Lido's withdrawal queue",
            ) from error
        assert isinstance(rows, list | tuple), "the type decoded is a list"
        found = []
        for row in rows:
            assert isinstance(row, list | tuple), "the type decoded is a list of tuples"
            asked, shares = row[0], row[1]
            assert isinstance(asked, int)
            assert isinstance(shares, int)
            found.append((asked, shares))
        return tuple(found)

    def _shares_read(self, holder: Address) -> Read:
        return Read(self._of("shares", holder), self.steth, encode_call("sharesOf(address)", (holder,)))

    def _of(self, what: str, holder: Address) -> str:
        return self._label(f"{what}:{holder.hex()}")

    def _label(self, what: str) -> str:
        return f"{self.name}:{self.steth.hex()}:{what}"


def from_book(book: AddressBook) -> tuple[LidoAdapter, ...]:
    names = ("lido_steth", "lido_wsteth", "lido_queue")
    if not all(name in book for name in names):
        return ()
    steth, wsteth, queue = (book.address(name) for name in names)
    return (LidoAdapter(book.chain_id, steth, wsteth, queue),)
