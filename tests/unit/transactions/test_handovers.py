"""Authority, credit and NFTs given away are seen; amounts and taking back are none of it (CT-4 d)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from seawall.native import event_topic
from seawall.primitives.simulations import Handover
from seawall.primitives.units import Address
from seawall.transactions.handovers import handovers_of

US = Address(b"\x01" * 20)
THEM = Address(b"\x02" * 20)
TOKEN = Address(b"\x03" * 20)


@dataclass(frozen=True)
class OneLog:
    topics: tuple[bytes, ...]
    data: bytes = b""
    address: bytes = TOKEN


def word(value: bytes | int) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


def log(signature: str, *indexed: bytes | int, data: tuple[int, ...] = ()) -> OneLog:
    return OneLog((event_topic(signature), *map(word, indexed)), b"".join(map(word, data)))


GIVEN = [
    log("ApprovalForAll(address,address,bool)", US, THEM, data=(1,)),
    log("Transfer(address,address,uint256)", US, THEM, 7),  # three indexed: an NFT
    log("TransferSingle(address,address,address,uint256,uint256)", THEM, US, THEM, data=(7, 1)),
    log("TransferBatch(address,address,address,uint256[],uint256[])", THEM, US, THEM, data=(64, 96, 0, 0)),
    log("BorrowAllowanceDelegated(address,address,address,uint256)", US, THEM, TOKEN, data=(5,)),
    log("SetAuthorization(address,address,address,bool)", THEM, US, THEM, data=(1,)),
]
NOT_GIVEN = [
    log("ApprovalForAll(address,address,bool)", US, THEM, data=(0,)),
    log("BorrowAllowanceDelegated(address,address,address,uint256)", US, THEM, TOKEN, data=(0,)),
    log("SetAuthorization(address,address,address,bool)", THEM, US, THEM, data=(0,)),
    log("Transfer(address,address,uint256)", US, THEM, data=(7,)),  # an amount: flows have it
    OneLog(()),
    log("Sync(uint112,uint112)", data=(1, 2)),
]


@pytest.mark.parametrize("one", GIVEN)
def test_handover_is_ours_whoever_asked_for_it(one: OneLog) -> None:
    (found,) = handovers_of([one])
    assert isinstance(found, Handover)
    assert found.holder == US


@pytest.mark.parametrize("one", NOT_GIVEN)
def test_amounts_and_authority_taken_back_are_no_handover(one: OneLog) -> None:
    assert handovers_of([one]) == ()


def test_an_nft_that_nobody_gets_names_who_kept_it() -> None:
    """A queue burns the ticket that it pays."""
    burnt, given = handovers_of(
        [
            log("Transfer(address,address,uint256)", US, 0, 7),
            log("Transfer(address,address,uint256)", US, THEM, 7),
        ]
    )
    assert (burnt.holder, burnt.burnt_at) == (US, TOKEN)
    assert (given.holder, given.burnt_at) == (US, None)
    (credit,) = handovers_of(
        [log("BorrowAllowanceDelegated(address,address,address,uint256)", US, 0, 1, data=(5,))]
    )
    assert credit.burnt_at is None
