"""Positions of Uniswap V3 as the NonfungiblePositionManager keeps them: numbered, in ranges of one pool.

A position's fees are counted twice: by the manager for each number, and by the pool for all of the manager's
liquidity in that range together. Both round down on their own, and what is paid is the lesser of the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from seawall.markets.v3_liquidity import Growth, TickRange, earned_down, growth_inside
from seawall.native import encode_call, keccak256
from seawall.primitives.blocks import Read
from seawall.primitives.units import Address, address_text
from seawall.protocols.adapters.refusals import refused
from seawall.protocols.answers import Answers, integer_answer, integer_answers
from seawall.protocols.uniswap_v3 import V3Market

__all__ = ["POSITIONS_MAX", "V3Position", "V3PositionReads"]

# Positions of one holder that are read; who has more is refused.
POSITIONS_MAX: Final = 64

_POSITION: Final = ("uint96", "uint160", "uint160", "uint160", "uint24", "int24", "int24", "uint128")
_FEES: Final = ("uint256", "uint256", "uint128", "uint128")
_TICK: Final = ("uint128", "int128", "uint256", "uint256")


@dataclass(frozen=True, slots=True)
class V3Position:
    token_id: int
    holder: Address
    within: TickRange
    liquidity: int
    fees0: int
    """Collectable now [token0 units]."""
    fees1: int
    """[token1 units]"""


@dataclass(frozen=True, slots=True)
class V3PositionReads:
    """What is read about the positions of holders in one pool, round by round, and what it means."""

    name: str
    manager: Address
    market: V3Market

    def first(self, holders: tuple[Address, ...]) -> tuple[Read, ...]:
        pool = self.market.address
        return (
            *(
                Read(self._label(f"growth{n}"), pool, encode_call(f"feeGrowthGlobal{n}X128()", ()))
                for n in (0, 1)
            ),
            *(
                Read(
                    self._label(f"count:{holder.hex()}"),
                    self.manager,
                    encode_call("balanceOf(address)", (holder,)),
                )
                for holder in holders
            ),
        )

    def more(self, answers: Answers) -> tuple[Read, ...]:
        """Numbers of the holders' positions, then the positions, then what their fees depend on."""
        wanted = [
            Read(
                self._label(f"id:{holder.hex()}:{index}"),
                self.manager,
                encode_call("tokenOfOwnerByIndex(address,uint256)", (holder, index)),
            )
            for holder, index in self._places(answers)
        ]
        for _, token_id in self._numbers(answers):
            label = self._label(f"position:{token_id}")
            wanted.append(Read(label, self.manager, encode_call("positions(uint256)", (token_id,))))
            if label in answers:
                within = self._here(answers, token_id)
                wanted += self._range_reads(within) if within is not None else ()
        return tuple(read for read in wanted if read.label not in answers)

    def holders(self, answers: Answers) -> frozenset[Address]:
        prefix = self._label("count:")
        return frozenset(
            Address(bytes.fromhex(label.removeprefix(prefix)))
            for label in answers
            if label.startswith(prefix)
        )

    def positions(self, answers: Answers, tick: int) -> tuple[V3Position, ...]:
        """Of all holders, in this pool alone."""
        total = Growth(*(integer_answer(answers, self._label(f"growth{n}"), "uint256") for n in (0, 1)))
        found = []
        for holder, token_id in self._numbers(answers):
            within = self._here(answers, token_id)
            if within is not None:
                found.append(self._position(answers, holder, token_id, within, tick, total))
        return tuple(found)

    def _position(
        self, answers: Answers, holder: Address, token_id: int, within: TickRange, tick: int, total: Growth
    ) -> V3Position:
        *_, liquidity, last0, last1, owed0, owed1 = self._of_number(answers, token_id)
        lower, upper = (
            Growth(*integer_answers(answers, self._tick_label(index), _TICK)[2:])
            for index in (within.lower, within.upper)
        )
        inside = growth_inside(within, tick, total, lower, upper)
        ours = earned_down(inside.since(Growth(last0, last1)), liquidity)
        pooled = integer_answers(
            answers, self._pooled_label(within), ("uint128", "uint256", "uint256", "uint128", "uint128")
        )
        theirs = earned_down(inside.since(Growth(pooled[1], pooled[2])), pooled[0])
        return V3Position(
            token_id,
            holder,
            within,
            liquidity,
            min(owed0 + ours[0], pooled[3] + theirs[0]),
            min(owed1 + ours[1], pooled[4] + theirs[1]),
        )

    def _places(self, answers: Answers) -> Iterator[tuple[Address, int]]:
        for holder in sorted(self.holders(answers)):
            count = integer_answer(answers, self._label(f"count:{holder.hex()}"), "uint256")
            if count > POSITIONS_MAX:
                raise refused(
                    f"{address_text(holder)} has {count} positions, more than {POSITIONS_MAX}",
                    self.name,
                    "close positions that hold nothing, or spread them over accounts",
                )
            for index in range(count):
                yield holder, index

    def _numbers(self, answers: Answers) -> Iterator[tuple[Address, int]]:
        for holder, index in self._places(answers):
            label = self._label(f"id:{holder.hex()}:{index}")
            if label in answers:
                yield holder, integer_answer(answers, label, "uint256")

    def _here(self, answers: Answers, token_id: int) -> TickRange | None:
        """The position's range; None where it is in another pool."""
        if self._label(f"position:{token_id}") not in answers:
            return None
        _, _, token0, token1, fee, lower, upper, *_ = self._of_number(answers, token_id)
        named = (token0.to_bytes(20, "big"), token1.to_bytes(20, "big"), fee)
        ours = (self.market.token0, self.market.token1, self.market.fee_pips)
        return TickRange(lower, upper) if named == ours else None

    def _of_number(self, answers: Answers, token_id: int) -> tuple[int, ...]:
        return integer_answers(answers, self._label(f"position:{token_id}"), (*_POSITION, *_FEES))

    def _range_reads(self, within: TickRange) -> list[Read]:
        pool = self.market.address
        packed = self.manager + b"".join(
            tick.to_bytes(3, "big", signed=True) for tick in (within.lower, within.upper)
        )
        return [
            *(
                Read(self._tick_label(tick), pool, encode_call("ticks(int24)", (tick,)))
                for tick in (within.lower, within.upper)
            ),
            Read(self._pooled_label(within), pool, encode_call("positions(bytes32)", (keccak256(packed),))),
        ]

    def _pooled_label(self, within: TickRange) -> str:
        return self._label(f"pooled:{within.lower}:{within.upper}")

    def _tick_label(self, tick: int) -> str:
        return self._label(f"edge:{tick}")

    def _label(self, what: str) -> str:
        return f"{self.name}:{self.market.address.hex()}:{what}"
