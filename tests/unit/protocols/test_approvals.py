"""Rights by log and by read: what each event means, what counts as outstanding, and what takes it back."""

from __future__ import annotations

import pytest

from seawall.native import AbiValue, abi_encode, encode_call, event_topic
from seawall.primitives.blocks import Log
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash
from seawall.protocols.approvals import (
    PERMIT2,
    UNLIMITED_FROM,
    Candidate,
    Grant,
    GrantKind,
    candidates,
    filters,
    grants,
    reads,
    revocations,
    standing_candidates,
)

US = Address(b"\x01" * 20)
WHO = Address(b"\x02" * 20)
AT = Address(b"\x03" * 20)
TOKEN = Address(b"\x04" * 20)
NOW_S = 1_800_000_000


def word(value: int | Address) -> bytes:
    return value.to_bytes(32) if isinstance(value, int) else bytes(12) + value


def log(signature: str, *topics: int | Address, at: Address = AT) -> Log:
    named = (Hash(event_topic(signature)), *(Hash(word(topic)) for topic in topics))
    return Log(at, named, word(1), Hash(b"\x05" * 32), 7, Hash(b"\x06" * 32), 0)


APPROVAL = "Approval(address,address,uint256)"
PERMIT2_APPROVAL = "Approval(address,address,address,uint160,uint48)"
KNOWN = [
    (log(APPROVAL, US, WHO), Candidate(GrantKind.ALLOWANCE, AT, US, WHO)),
    (log(APPROVAL, US, WHO, 5), Candidate(GrantKind.NFT, AT, US, WHO, 5)),
    (log("ApprovalForAll(address,address,bool)", US, WHO), Candidate(GrantKind.OPERATOR, AT, US, WHO)),
    (log("OperatorSet(address,address,bool)", US, WHO), Candidate(GrantKind.OPERATOR, AT, US, WHO, 1)),
    (
        log("BorrowAllowanceDelegated(address,address,address,uint256)", US, WHO, TOKEN),
        Candidate(GrantKind.CREDIT, AT, US, WHO),
    ),
    (
        log("SetAuthorization(address,address,address,bool)", TOKEN, US, WHO),
        Candidate(GrantKind.MORPHO, AT, US, WHO),
    ),
    (log("RelayerApprovalChanged(address,address,bool)", WHO, US), Candidate(GrantKind.RELAYER, AT, US, WHO)),
    (
        log(PERMIT2_APPROVAL, US, TOKEN, WHO, at=PERMIT2),
        Candidate(GrantKind.PERMIT2, PERMIT2, US, WHO, int.from_bytes(TOKEN)),
    ),
    (log("RoleChanged(address,uint8,bool)", WHO, 4), Candidate(GrantKind.ROLE, AT, AT, WHO, 4)),
]


@pytest.mark.parametrize(("seen", "meant"), KNOWN, ids=[meant.kind.value for _, meant in KNOWN])
def test_each_event_names_its_right(seen: Log, meant: Candidate) -> None:
    assert candidates([seen, seen]) == (meant,)


@pytest.mark.parametrize(
    "seen",
    [
        log(PERMIT2_APPROVAL, US, TOKEN, WHO),  # not Permit2 itself
        log(APPROVAL, US, ZERO_ADDRESS, 5),  # an approval that is taken back by a transfer
        log(APPROVAL, US),
        log(APPROVAL, 2**255, WHO),  # no address
        log("Transfer(address,address,uint256)", US, WHO),
        Log(AT, (), b"", Hash(bytes(32)), 1, Hash(bytes(32)), 0),
    ],
)
def test_what_is_nobodys_right_is_left_out(seen: Log) -> None:
    assert candidates([seen]) == ()


def test_questions_name_every_holder_where_the_events_have_him() -> None:
    asked = filters([US, WHO], [AT])
    named = (Hash(word(US)), Hash(word(WHO)))
    assert asked["given"].topics[1] == named
    assert (asked["authorized"].topics[1], asked["authorized"].topics[2]) == ((), named)
    assert asked["roles"].addresses == (AT,)
    assert filters([], []) == {}


def standing(one: Candidate, *answers: bytes | None) -> tuple[Grant, ...]:
    labels = [read.label for read in reads([one])]
    return grants([one], dict(zip(labels, answers, strict=True)), NOW_S)


def test_only_what_the_contract_confirms_is_outstanding() -> None:
    allowance = KNOWN[0][1]
    assert standing(allowance, word(9)) == (Grant(allowance, 9),)
    for nothing in (word(0), b"", b"\x01", None):
        assert standing(allowance, nothing) == ()
    assert not Grant(allowance, UNLIMITED_FROM - 1).is_unlimited
    assert Grant(allowance, UNLIMITED_FROM).is_unlimited
    nft = KNOWN[1][1]
    assert standing(nft, word(US), word(WHO)) == (Grant(nft),)
    assert standing(nft, word(TOKEN), word(WHO)) == ()  # it was sold
    assert standing(nft, word(US), word(TOKEN)) == ()
    role = KNOWN[8][1]
    assert standing(role, word(6)) == (Grant(role),)
    assert standing(role, word(3)) == ()


def test_permit2_allowance_ends_with_its_time() -> None:
    permit = KNOWN[7][1]
    lasting = word(5) + word(NOW_S) + word(0)
    assert standing(permit, lasting) == (Grant(permit, 5, NOW_S),)
    assert standing(permit, word(5) + word(NOW_S - 1) + word(0)) == ()
    assert standing(permit, word(0) + word(NOW_S) + word(0)) == ()


CALLS: list[tuple[Candidate, str, tuple[AbiValue, ...]]] = [
    (KNOWN[0][1], "approve(address,uint256)", (WHO, 0)),
    (KNOWN[1][1], "approve(address,uint256)", (ZERO_ADDRESS, 5)),
    (KNOWN[2][1], "setApprovalForAll(address,bool)", (WHO, False)),
    (KNOWN[3][1], "setOperator(address,bool)", (WHO, False)),
    (KNOWN[4][1], "approveDelegation(address,uint256)", (WHO, 0)),
    (KNOWN[5][1], "setAuthorization(address,bool)", (WHO, False)),
    (KNOWN[6][1], "setRelayerApproval(address,address,bool)", (US, WHO, False)),
    (KNOWN[7][1], "approve(address,address,uint160,uint48)", (TOKEN, WHO, 0, 0)),
    (KNOWN[8][1], "setRole(address,uint8,bool)", (WHO, 4, False)),
]


@pytest.mark.parametrize(("one", "signature", "values"), CALLS, ids=[one.kind.value for one, _, _ in CALLS])
def test_each_right_has_the_call_that_takes_it_back(
    one: Candidate, signature: str, values: tuple[AbiValue, ...]
) -> None:
    grant = Grant(one)
    assert revocations([grant], [grant]) == ((grant, one.contract, encode_call(signature, values)),)


def test_modules_leave_the_safes_chain_each_after_the_one_before_it() -> None:
    first, second, third = (Address(bytes([n]) * 20) for n in (0x11, 0x12, 0x13))
    (asked,) = standing_candidates([US], [])
    answer = abi_encode(["address[]", "address"], ([first, second, third], Address((1).to_bytes(20))))
    found = standing(asked, answer)
    assert [grant.candidate.grantee for grant in found] == [first, second, third]
    sentinel = Address((1).to_bytes(20))
    disable = "disableModule(address,address)"
    assert [call for _, _, call in revocations(found, found)] == [
        encode_call(disable, (sentinel, module)) for module in (first, second, third)
    ]
    assert [call for _, _, call in revocations(found[1:], found)] == [
        encode_call(disable, (first, second)),
        encode_call(disable, (first, third)),
    ]


def test_offer_of_ownership_is_withdrawn_by_offering_to_nobody() -> None:
    (asked,) = standing_candidates([], [AT])
    (grant,) = standing(asked, word(WHO))
    assert grant.candidate == Candidate(GrantKind.OWNERSHIP, AT, AT, WHO)
    ((_, target, call),) = revocations([grant], [grant])
    assert (target, call) == (AT, encode_call("offerOwnership(address)", (ZERO_ADDRESS,)))
