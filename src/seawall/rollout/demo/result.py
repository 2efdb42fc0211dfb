"""What the demo has done, for whoever tells it."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.rollout.demo.account import Balance, PlanAccount
from seawall.rollout.demo.scene import Play
from seawall.rollout.demo.trouble import Halt, Reorg

__all__ = ["Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that the demo shows at its end."""

    play: Play
    plans: list[PlanAccount]
    reorg: Reorg
    halt: Halt
    balances: list[Balance]
    last_number: int
    kernel_started_in_s: float
    took_s: float
