"""The stage on which an adapter proves itself: a true chain, an account of ours under its policy alone.

The account is a fresh `AtomicExecutor` with the devnet's own policy registry, which lists what the adapter's
`policy()` says and nothing else. Its tokens stay with it (class KEPT), so that what moves is what the action
moved. The risk book is open: what an account may lose in all is not an adapter's business.

A quote is made from the head's state, and the execution's block is given the head's own timestamp, so that
interest has no time to accrue between the two: they must agree to the wei.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final

from seawall.native import abi_encode, encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import EndpointError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address, Hash, hex_text
from seawall.protocols.adapters.actions import Action
from seawall.protocols.adapters.base import Exact, Quote
from seawall.protocols.adapters.erased import AnyAdapter, Snapshot, gather
from seawall.protocols.answers import Answers
from seawall.protocols.executor.artifacts import EXECUTOR, load_artifact
from seawall.protocols.executor.encoding import Execution, encode_operations
from seawall.protocols.executor.operations import Operation
from seawall.protocols.executor.policy import Policy, Role, TokenClass, registry_calls, role_call
from seawall.protocols.multicall import aggregate3_answers, aggregate3_call
from seawall.rollout.devnet import TRADERS, Devnet
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.rpc import Json, as_int

__all__ = ["FAR_FUTURE_S", "Account", "Stage"]

FAR_FUTURE_S: Final = 2**40
BENEFICIARY: Final = Address(b"\x77" * 20)
OPERATOR: Final = TRADERS[2]
OPEN_RISK_BOOK: Final = Address(b"\x0b" * 20)
# Answers one to whatever is asked: positions may be held, every charge passes.
OPEN_RISK_BOOK_CODE: Final = "0x60015f5260205ff3"
ANYTHING: Final = 2**256 - 1
DIGEST: Final = Hash(b"\xcf" * 32)


@dataclass(slots=True)
class Stage:
    """A running devnet and what scenarios do to it."""

    devnet: Devnet

    def address(self, name: str) -> Address:
        return self.devnet.book.address(name)

    def head(self) -> Block:
        record = self.devnet.rpc.record("eth_getBlockByNumber", "latest", False)
        number, timestamp_s = (as_int(record[name], name) for name in ("number", "timestamp"))
        block_hash = Hash(bytes.fromhex(str(record["hash"])[2:]))
        nothing = Hash(bytes(32))
        return Block(
            self.devnet.book.chain_id, number, block_hash, nothing, timestamp_s, 0, 0, ZERO_ADDRESS, nothing
        )

    def ask(self, reads: Sequence[Read]) -> Answers:
        """All at the head, through Multicall3."""
        returned = self.devnet.rpc.view(self.address("multicall3"), aggregate3_call(reads))
        return aggregate3_answers(reads, returned)

    def answers(self, adapter: AnyAdapter, holders: tuple[Address, ...] = ()) -> Answers:
        return gather(adapter, self.ask, holders)

    def snapshot(self, adapter: AnyAdapter, holders: tuple[Address, ...] = ()) -> Snapshot:
        block = self.head()
        return adapter.at(self.answers(adapter, holders), block)

    def balance(self, token: Address, holder: Address) -> int:
        if token == NATIVE:
            return self.devnet.rpc.integer("eth_getBalance", hex_text(holder), "latest")
        return self.integer(token, "balanceOf(address)", holder)

    def integer(self, target: Address, signature: str, *values: int | bytes) -> int:
        """The first word that a view call returns."""
        return self.word(target, 0, signature, *values)

    def word(self, target: Address, place: int, signature: str, *values: int | bytes) -> int:
        """The word at `place` that a view call returns."""
        returned = self.devnet.rpc.view(target, encode_call(signature, values))
        return int.from_bytes(returned[32 * place : 32 * place + 32])

    def word_address(self, target: Address, signature: str, *values: int | bytes | bool) -> Address:
        return Address(self.devnet.rpc.view(target, encode_call(signature, values))[12:32])

    def send(
        self, sender: Address, target: Address, signature: str, *values: object, value_wei: int = 0
    ) -> None:
        data = encode_call(signature, values)  # type: ignore[arg-type]
        self.send_data(sender, target, data, value_wei=value_wei)

    def send_data(self, sender: Address, target: Address, data: bytes, *, value_wei: int = 0) -> None:
        """Mined in a block with the head's own timestamp."""
        rpc = self.devnet.rpc
        # Before sending: the node estimates gas at the timestamp that the next block will have.
        rpc.call("evm_setNextBlockTimestamp", self.head().timestamp_s)
        rpc.settle([rpc.send(sender, target, data, value_wei=value_wei)], mine=True)

    def pass_time(self, seconds: int) -> None:
        rpc = self.devnet.rpc
        rpc.call("evm_setNextBlockTimestamp", self.head().timestamp_s + seconds)
        rpc.call("evm_mine")

    def give(self, token: Address, holder: Address, amount: int) -> None:
        """From the devnet's owner, who has plenty of everything; on a fork out of nothing."""
        wanted = hex(self.balance(token, holder) + amount)
        if token == NATIVE:
            self.devnet.rpc.call("anvil_setBalance", hex_text(holder), wanted)
        elif self.balance(token, OWNER) < amount:
            self.devnet.rpc.call("anvil_dealERC20", hex_text(holder), hex_text(token), wanted)
        else:
            self.send(OWNER, token, "transfer(address,uint256)", holder, amount)

    def open_account(self, adapter: AnyAdapter) -> Account:
        """A fresh account whose policy is the adapter's own."""
        rpc, book = self.devnet.rpc, self.devnet.book
        rpc.call("anvil_setCode", hex_text(OPEN_RISK_BOOK), OPEN_RISK_BOOK_CODE)
        owners = (
            OWNER,
            book.address("policy_registry"),
            OPEN_RISK_BOOK,
            book.address("plan_checks"),
            book.address("weth"),
            BENEFICIARY,
        )
        creation = load_artifact(EXECUTOR).creation_code + abi_encode(["address"] * len(owners), owners)
        created = rpc.settle([rpc.send(OWNER, None, creation)], mine=True)[0]
        account = Address(bytes.fromhex(str(created["contractAddress"])[2:]))
        self.send_data(OWNER, account, role_call(OPERATOR, Role.OPERATOR))
        for call in registry_calls(_policy(adapter, account)):
            self.send_data(OWNER, book.address("policy_registry"), call)
        return Account(self, adapter, account)


@dataclass(slots=True)
class Account:
    """An account of ours on the stage, and what it does by the adapter's operations."""

    stage: Stage
    adapter: AnyAdapter
    address: Address
    _intents: count[int] = field(default_factory=lambda: count(1))

    def snapshot(self) -> Snapshot:
        return self.stage.snapshot(self.adapter, (self.address,))

    def quote(self, action: Action) -> Quote:
        return self.snapshot().quote(action, self.address)

    def holds(self, token: Address) -> int:
        return self.stage.balance(token, self.address)

    def holdings(self, tokens: Sequence[Address]) -> dict[Address, int]:
        return {token: self.holds(token) for token in tokens}

    def run(self, action: Action, quote: Quote) -> Mapping[Address, int]:
        """Execute under the quote's own amounts as bounds; what each of its tokens moved by."""
        tokens = tuple({entry.token for entry in (*quote.takes, *quote.gives)})
        before = self.holdings(tokens)
        self.execute(self.operations(action), self.bounds(action, quote))
        after = self.holdings(tokens)
        return {token: after[token] - before[token] for token in tokens}

    def operations(self, action: Action) -> tuple[Operation, ...]:
        return self.adapter.build(action, self.address)

    def bounds(self, action: Action, quote: Quote | None = None) -> tuple[TokenBound, ...]:
        """What the adapter wants bounded; with a quote all that it says, without one anything may leave."""
        wanted = self.adapter.bounds(action, self.address)
        if quote is not None:
            return (*wanted, *_outflows(quote.takes), *_inflows(quote.gives), *_debts(quote.owes))
        return (
            *wanted,
            TokenBound(NATIVE, "outflow", ANYTHING),
            *(
                TokenBound(
                    entry.token,
                    "debt_increase" if entry.token_class is TokenClass.DEBT else "outflow",
                    ANYTHING,
                )
                for entry in self.adapter.policy(self.address).tokens
            ),
        )

    def execute(self, operations: Sequence[Operation], bounds: tuple[TokenBound, ...]) -> None:
        self.stage.send_data(OPERATOR, self.address, self._calldata(operations, bounds))
        self._take_back_coins()

    def is_refused(self, operations: Sequence[Operation], bounds: tuple[TokenBound, ...]) -> bool:
        """Whether the chain refuses these operations; nothing is mined either way."""
        call: dict[str, Json] = {
            "from": hex_text(OPERATOR),
            "to": hex_text(self.address),
            "data": hex_text(self._calldata(operations, bounds)),
        }
        try:
            self.stage.devnet.rpc.call("eth_call", call, "latest")
        except EndpointError:
            return True
        return False

    def _take_back_coins(self) -> None:
        """The native coin cannot be KEPT: an execution that names it pays all of it to the beneficiary."""
        paid = self.stage.balance(NATIVE, BENEFICIARY)
        if paid:
            self.stage.devnet.rpc.call("anvil_setBalance", hex_text(BENEFICIARY), "0x0")
            self.stage.give(NATIVE, self.address, paid)

    def _calldata(self, operations: Sequence[Operation], bounds: tuple[TokenBound, ...]) -> bytes:
        execution = Execution(encode_operations(operations), bounds, FAR_FUTURE_S, 0, ZERO_ADDRESS)
        return execution.calldata(intent_id=next(self._intents), plan_digest=DIGEST, max_fee_wei=0)


def _policy(adapter: AnyAdapter, account: Address) -> Policy:
    part = adapter.policy(account)
    kept = tuple(
        entry if entry.token_class is TokenClass.DEBT else replace(entry, token_class=TokenClass.KEPT)
        for entry in part.tokens
    )
    return Policy(account, part.listings, kept, part.lenders, part.factories, part.sets)


def _outflows(takes: Sequence[Exact]) -> tuple[TokenBound, ...]:
    return tuple(TokenBound(entry.token, "outflow", entry.amount) for entry in takes)


def _inflows(gives: Sequence[Exact]) -> tuple[TokenBound, ...]:
    return tuple(TokenBound(entry.token, "inflow", entry.amount) for entry in gives)


def _debts(owes: Sequence[Exact]) -> tuple[TokenBound, ...]:
    return tuple(TokenBound(entry.token, "debt_increase", max(entry.amount, 0)) for entry in owes)
