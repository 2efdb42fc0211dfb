"""A bound is on the whole plan: what several steps may take out of one position is one bound."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, Borrow, Withdraw
from seawall.protocols.adapters.erased import erased
from seawall.protocols.adapters.position_views import debt_bound, outflow_bound
from seawall.strategies.composing import Outcome
from tests.builders.strategy_files import USDX, VAULT, WETH
from tests.unit.strategies.test_composing import Recorder
from tests.unit.strategies.test_review6_composing import steps_at

VIEW, DEBT_VIEW = VAULT, Address(b"\x77" * 20)


@dataclass(frozen=True)
class Watched(Recorder):
    """Its position is shown by a position token, its debt by another."""

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        match action:
            case Withdraw():
                return outflow_bound(VIEW, action.amount)
            case Borrow():
                return debt_bound(DEBT_VIEW, action.amount)
        return ()


def test_two_withdrawals_of_one_position_have_one_bound() -> None:
    at = erased(Watched("one"))
    steps = steps_at(Watched("one"))
    steps.withdraw(at, WETH, 5)
    steps.withdraw(at, WETH, 7)
    steps.borrow(at, USDX, 3)
    steps.borrow(at, USDX, 4)
    # One smallest unit a step, by which shares may be rounded.
    assert steps.bounds == (TokenBound(VIEW, "outflow", 14), TokenBound(DEBT_VIEW, "debt_increase", 9))


def test_withdrawals_of_measured_amounts_are_bounded_by_their_cap_alone() -> None:
    at = erased(Watched("one"))
    steps = steps_at(Watched("one"))
    for name in ("some", "more"):
        steps.withdraw(at, WETH, Outcome(name, WETH, None))
    steps.withdraw(at, WETH, 7)
    assert steps.bounds == (TokenBound(VIEW, "outflow", UINT256_MAX),)
