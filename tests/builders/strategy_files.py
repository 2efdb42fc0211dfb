"""An address book, a protocol and blocks for strategy files, without a chain: answers are what a test says.

`Stall` is an adapter that trades weth and usdx at a fixed price, refuses when told to, and holds positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from seawall.native import encode_call
from seawall.primitives.blocks import Block, Log, Read
from seawall.primitives.errors import UnavailableActionError
from seawall.primitives.observations import Cause, IntentEvent, Observation
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash
from seawall.protocols.adapters.actions import Action, Borrow, Deposit, Redeem, Repay, Supply, Swap, Withdraw
from seawall.protocols.adapters.base import (
    RAY,
    Dependency,
    Exact,
    PolicyPart,
    Position,
    PositionKind,
    Quote,
    Rates,
)
from seawall.protocols.adapters.erased import erased
from seawall.protocols.adapters.refusals import known_amount, known_minimum
from seawall.protocols.answers import Answers, integer_answer
from seawall.protocols.executor.operations import Call, Measured, Operation, Splice, SwapV2
from seawall.protocols.surroundings import Surroundings, TokenFacts
from seawall.strategies.scripts.loading import Standing, load_script
from seawall.strategies.scripts.problems import ScriptError
from seawall.strategies.scripts.script import Script
from seawall.strategies.scripts.strategy import ScriptStrategy

__all__ = [
    "EXECUTOR",
    "FEED",
    "KEY",
    "POOL",
    "USDX",
    "VAULT",
    "WETH",
    "Stall",
    "block",
    "problems_of",
    "script_of",
    "seen",
    "strategy_of",
    "surroundings",
]

CHAIN_ID = 31337
WETH, USDX, DEBT = Address(b"\x11" * 20), Address(b"\x22" * 20), Address(b"\x33" * 20)
POOL, VAULT, FEED = Address(b"\x44" * 20), Address(b"\x55" * 20), Address(b"\x66" * 20)
MULTICALL, EXECUTOR, KEY = Address(b"\x77" * 20), Address(b"\x88" * 20), Address(b"\x99" * 20)
ETHER = 10**18
PRICE = 2_000  # usdx of one weth
READ = Read("stall:price", POOL, b"\0\0\0\1")


@dataclass(frozen=True)
class Stall:
    """Sells and lends; its price is what the read answers, in whole usdx."""

    name: str = "stall"
    chain_id: int = CHAIN_ID
    fee_bps: int = 30

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Swap, Supply, Withdraw, Borrow, Repay, Deposit, Redeem})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        del holders
        return (replace(READ, label=f"{self.name}:price"),)

    def decode(self, answers: Answers, block: Block) -> int:
        del block
        return integer_answer(answers, f"{self.name}:price", "uint256")

    def quote(self, state: int, action: Action, account: Address) -> Quote:
        del account
        assert isinstance(action, Swap)
        amount = known_amount(action.amount_in, self.name)
        if state == 0:
            raise UnavailableActionError("the stall is closed", self.name, "come back later")
        scale = ETHER // 10**6
        out = amount * state // scale if action.token_in == WETH else amount * scale // state
        out = out * (10_000 - self.fee_bps) // 10_000
        known_minimum(action.min_out, out, self.name)
        return Quote(
            (Exact(action.token_in, amount),), (Exact(action.token_out, out),), impact_bps=self.fee_bps
        )

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        del account
        if isinstance(action, Swap):
            return (
                SwapV2(
                    POOL,
                    action.token_in,
                    action.token_out,
                    action.amount_in,
                    action.min_out,
                    measure=action.measure,
                ),
            )
        assert isinstance(action, Supply | Withdraw | Borrow | Repay)
        amount = action.maximum if isinstance(action, Repay) else action.amount
        splices = (Splice(0, amount),) if isinstance(amount, Measured) else ()
        plain = 0 if isinstance(amount, Measured) else amount
        name = f"{type(action).__name__.lower()}(uint256)"
        return (Call(POOL, encode_call(name, (plain,)), splices=splices, measure=action.measure),)

    def policy(self, account: Address) -> PolicyPart:
        del account
        return PolicyPart()

    def positions(self, state: int, holder: Address) -> tuple[Position, ...]:
        return (Position(holder, PositionKind.DEBT, USDX, state * 10**6),)

    def liquidity(self, state: int, token: Address) -> int:
        del token
        return state

    def rates(self, state: int, token: Address, change: int = 0) -> Rates:
        del token
        return Rates(
            supply_ray=(state + change) * RAY // 10**6 + 1, borrow_ray=(state + change) * RAY // 10**6 + 1
        )

    def dependencies(self) -> tuple[Dependency, ...]:
        return ()


def surroundings() -> Surroundings:
    tokens = {
        "weth": TokenFacts("weth", WETH, 18, is_debt=False),
        "usdx": TokenFacts("usdx", USDX, 6, is_debt=False),
        "debt_usdx": TokenFacts("debt_usdx", DEBT, 6, is_debt=True),
    }
    contracts = {
        **{name: token.address for name, token in tokens.items()},
        "pool": POOL,
        "vault": VAULT,
        "feed_eth_usd": FEED,
        "multicall3": MULTICALL,
    }
    stalls = {name: erased(Stall(name)) for name in ("stall", "stall_two")}
    return Surroundings(CHAIN_ID, contracts, tokens, stalls)


def script_of(text: str, **overrides: str) -> Script:
    return load_script(text.encode(), "s.yaml", surroundings(), Standing(CHAIN_ID, KEY, EXECUTOR, overrides))


def strategy_of(text: str, **overrides: str) -> ScriptStrategy:
    return ScriptStrategy("tried", script_of(text, **overrides))


def problems_of(text: str, **overrides: str) -> list[str]:
    """What is wrong with it, each as `line key: what; fix`."""
    try:
        script_of(text, **overrides)
    except ScriptError as error:
        return [f"{one.place.line} {one.place.key}: {one.what}; {one.fix}" for one in error.problems]
    return []


def block(number: int = 100, now_s: int = 1_700_000_000, base_fee_wei: int = 10**9) -> Block:
    digest = Hash(number.to_bytes(32, "big"))
    return Block(CHAIN_ID, number, digest, digest, now_s, base_fee_wei, 30_000_000, ZERO_ADDRESS, digest)


def seen(
    strategy: ScriptStrategy,
    price: int = PRICE,
    *,
    number: int = 100,
    now_s: int = 1_700_000_000,
    seq: int = 1,
    answers: Mapping[str, bytes | None] | None = None,
    timers: tuple[str, ...] = (),
    logs: Sequence[Log] = (),
    intents: tuple[IntentEvent, ...] = (),
) -> Observation:
    """An observation whose reads all answer `price`, save those that `answers` names."""
    wanted = strategy.subscriptions()[0].reads
    reads: dict[str, bytes | None] = {read.label: price.to_bytes(32, "big") for read in wanted}
    reads |= answers or {}
    return Observation(
        "tried",
        seq,
        Cause.HEAD,
        now_s,
        block(number, now_s),
        reads,
        logs=tuple(logs),
        intents=intents,
        timers=timers,
    )
