"""What an execution gives away without moving a token that counts: authority over our tokens, debt in our
name, NFTs.

Flows and allowances of ERC-20 are amounts that guards compare with limits. These are not amounts, so nothing
bounds them: a plan in whose simulation one of our addresses makes such a handover is refused. Read from logs
by the standards that define them (ERC-721, ERC-1155, Aave's credit delegation, Morpho's authorisation)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from seawall.native import event_topic
from seawall.primitives.simulations import Handover
from seawall.primitives.units import Address, address_text

__all__ = ["LogLike", "handovers_of"]


class LogLike(Protocol):
    @property
    def address(self) -> bytes: ...
    @property
    def topics(self) -> tuple[bytes, ...]: ...
    @property
    def data(self) -> bytes: ...


_TRANSFER: Final = event_topic("Transfer(address,address,uint256)")
# topic 0 -> (topic that names whose it is, number of topics, last word of data that must not be zero, what
# it is)
_KINDS: Final = {
    event_topic("ApprovalForAll(address,address,bool)"): (
        1,
        3,
        True,
        "hands all its tokens of {} to an operator",
    ),
    _TRANSFER: (1, 4, False, "gives away an NFT of {}"),
    event_topic("TransferSingle(address,address,address,uint256,uint256)"): (
        2,
        4,
        False,
        "gives away tokens of {}",
    ),
    event_topic("TransferBatch(address,address,address,uint256[],uint256[])"): (
        2,
        4,
        False,
        "gives away tokens of {}",
    ),
    event_topic("BorrowAllowanceDelegated(address,address,address,uint256)"): (
        1,
        4,
        True,
        "lets another borrow at {}",
    ),
    event_topic("SetAuthorization(address,address,address,bool)"): (2, 4, True, "authorises another at {}"),
}
_WORD_BYTES: Final = 32


def handovers_of(logs: Iterable[LogLike]) -> tuple[Handover, ...]:
    """Every handover in the logs, whoever's it is; taking authority back is none."""
    found = []
    for log in logs:
        kind = _KINDS.get(log.topics[0]) if log.topics else None
        if kind is None:
            continue
        place, topics, must_be_set, words = kind
        if len(log.topics) != topics or (must_be_set and not any(log.data[-_WORD_BYTES:])):
            continue
        is_burnt = log.topics[0] == _TRANSFER and not any(log.topics[2])
        found.append(
            Handover(
                Address(log.topics[place][12:]),
                words.format(address_text(log.address)),
                Address(log.address) if is_burnt else None,
            )
        )
    return tuple(found)
