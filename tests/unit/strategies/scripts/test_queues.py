"""What waits in an exit queue, as the expression language sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from typing_extensions import override

from seawall.primitives.errors import ProtocolError, UnavailableActionError
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, ClaimExit
from seawall.protocols.adapters.base import Exact, Position, PositionKind, Quote
from seawall.protocols.adapters.erased import erased
from seawall.strategies.scripts.loading import Standing, load_script
from seawall.strategies.scripts.problems import ScriptError
from seawall.strategies.scripts.strategy import ScriptStrategy
from tests.builders.strategy_files import CHAIN_ID, EXECUTOR, KEY, USDX, WETH, Stall, seen, surroundings

FILE = """\
strategy: tried
chain: 31337
accounting: weth
min_profit: 1 weth
values:
  due: claimable({place}, usdx)
  number: request({place}, usdx)
steps:
  - claim_exit: {{on: queue, request: number, get: usdx}}
"""


@dataclass(frozen=True)
class Queue(Stall):
    """Owes us by request: 4 later, 5 now, and 6 in another token."""

    name: str = "queue"
    due: tuple[int, ...] = (5, 6)

    @property
    @override
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({ClaimExit})

    @override
    def positions(self, state: int, holder: Address) -> tuple[Position, ...]:
        owed = ((6, WETH, 60), (4, USDX, 40), (5, USDX, 50))
        return tuple(
            Position(holder, PositionKind.LEAVING, token, amount, reference=str(number))
            for number, token, amount in owed
        )

    @override
    def quote(self, state: int, action: Action, account: Address) -> Quote:
        assert isinstance(action, ClaimExit)
        if action.request not in self.due:
            raise UnavailableActionError("it is not due", self.name, "wait")
        return Quote((), (Exact(action.token_out, action.request * 10),))


def strategy_of(queue: Queue, place: str = "queue") -> ScriptStrategy:
    adapters = {"queue": erased(queue), "stall": erased(Stall())}
    around, standing = replace(surroundings(), adapters=adapters), Standing(CHAIN_ID, KEY, EXECUTOR)
    return ScriptStrategy("tried", load_script(FILE.format(place=place).encode(), "s", around, standing))


def value_of(strategy: ScriptStrategy, name: str) -> int:
    return strategy.script.scope.frame(strategy.world(seen(strategy))).value(name)


def test_first_request_that_is_due_is_named_with_what_it_pays() -> None:
    strategy = strategy_of(Queue())
    assert (value_of(strategy, "number"), value_of(strategy, "due")) == (5, 50)


def test_nothing_is_claimable_while_nothing_is_due() -> None:
    strategy = strategy_of(Queue(due=()))
    assert value_of(strategy, "due") == 0
    with pytest.raises(ProtocolError, match="pays no request of ours now"):
        value_of(strategy, "number")


def test_protocol_without_a_queue_is_told() -> None:
    with pytest.raises(ScriptError, match="stall has no queue"):
        strategy_of(Queue(), "stall")
