"""Transactions of Safes: proposals, the owners' signatures on them, and the verdicts they were signed under.

A proposal is named by its digest, which holds chain, Safe and nonce: the same one again is the same row. Of
the proposals of one nonce at most one is on its way or done; a unique index holds that, whatever else fails.
What the transaction says is bytes here: rooms above know how to read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.schema import safe_proposals, safe_signatures, safe_verdicts
from seawall.ledger.session import DuplicateError, Prepared, Record, Session
from seawall.primitives.codec import pack, unpack
from seawall.primitives.errors import InputError, StaleError
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.units import Address, Hash, hex_text
from seawall.primitives.verdicts import Verdict

__all__ = [
    "NewProposal",
    "ProposalNumber",
    "ProposalRow",
    "ProposalState",
    "SafeSignatureRow",
    "SafeVerdictRow",
    "Safes",
]

ProposalNumber = NewType("ProposalNumber", int)


class ProposalState(StrEnum):
    """Open and executing are alive. A stale one may be open again, until what made it so is final."""

    OPEN = "open"
    EXECUTING = "executing"
    EXECUTED = "executed"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class NewProposal:
    chain_id: int
    safe: Address
    nonce: int
    hash: Hash
    body: bytes  # the transaction
    rules: bytes  # the Safe's state that it stands on
    note: str
    who: str
    at_s: int  # UTC [s]


@dataclass(frozen=True, slots=True)
class ProposalRow:
    """A proposal and how far it came. `seen_hash` is the block in which `reason` was seen."""

    number: ProposalNumber
    chain_id: int
    safe: Address
    nonce: int
    hash: Hash
    body: bytes
    rules: bytes
    note: str
    who: str
    at_s: int  # UTC [s]
    state: ProposalState
    reason: str
    seen_number: int | None
    seen_hash: Hash | None
    is_settled: bool  # nothing about it changes any more
    intent: IntentNumber | None  # that executes it, or did last


@dataclass(frozen=True, slots=True)
class SafeSignatureRow:
    owner: Address
    kind: str
    data: bytes
    origin: str  # how it came: a signer's name, or from outside
    at_s: int  # UTC [s]


@dataclass(frozen=True, slots=True)
class SafeVerdictRow:
    number: int
    verdict: Verdict
    purpose: str  # what was to be done under it
    at_s: int  # UTC [s]


_COLUMNS: Final = tuple(safe_proposals.c)
_NEW: Final = ("chain_id", "safe", "nonce", "hash", "body", "rules", "note", "who", "at_s")
_INSERT: Final = Prepared(
    sa.insert(safe_proposals)
    .values(state=sa.literal_column("'open'"), reason=sa.literal_column("''"), is_settled=sa.false())
    .returning(safe_proposals.c.number),
    list(_NEW),
)
_GET: Final = Prepared(sa.select(*_COLUMNS).where(safe_proposals.c.number == bindparam("row")))
_FIND: Final = Prepared(
    sa.select(*_COLUMNS).where(
        safe_proposals.c.chain_id == bindparam("chain"), safe_proposals.c.hash == bindparam("named")
    )
)
_UNSETTLED: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(safe_proposals.c.chain_id == bindparam("chain"), safe_proposals.c.is_settled == sa.false())
    .order_by(safe_proposals.c.number)
)
_LISTING: Final = Prepared(
    sa.select(*_COLUMNS).order_by(safe_proposals.c.number.desc()).limit(bindparam("count"))
)
_MOVE: Final = Prepared(
    sa.update(safe_proposals)
    .where(safe_proposals.c.number == bindparam("row"), safe_proposals.c.state == bindparam("before"))
    .values(
        state=bindparam("after"),
        reason=bindparam("why"),
        seen_number=bindparam("at_number"),
        seen_hash=bindparam("at_hash"),
        is_settled=bindparam("settled"),
        intent=bindparam("by"),
    ),
    ["row", "before", "after", "why", "at_number", "at_hash", "settled", "by"],
)
_REBASE: Final = Prepared(
    sa.update(safe_proposals)
    .where(safe_proposals.c.number == bindparam("row"))
    .values(rules=bindparam("on")),
    ["row", "on"],
)
_SIGN: Final = Prepared(sa.insert(safe_signatures), [c.name for c in safe_signatures.c])
_SIGNATURES: Final = Prepared(
    sa.select(
        safe_signatures.c.owner,
        safe_signatures.c.kind,
        safe_signatures.c.data,
        safe_signatures.c.origin,
        safe_signatures.c.at_s,
    )
    .where(safe_signatures.c.proposal == bindparam("of"))
    .order_by(safe_signatures.c.owner)
)
_JUDGE: Final = Prepared(
    sa.insert(safe_verdicts).returning(safe_verdicts.c.number),
    [c.name for c in safe_verdicts.c if c.name != "number"],
)
_VERDICTS: Final = Prepared(
    sa.select(safe_verdicts.c.number, safe_verdicts.c.body, safe_verdicts.c.purpose, safe_verdicts.c.at_s)
    .where(safe_verdicts.c.proposal == bindparam("of"))
    .order_by(safe_verdicts.c.number)
)


class Safes:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def propose(self, new: NewProposal) -> tuple[ProposalRow, bool]:
        """Store it once; answers the row and whether it is new."""
        found = self.find(new.chain_id, new.hash)
        if found is not None:
            return found, False
        created = self._session.first(_INSERT, {name: getattr(new, name) for name in _NEW})
        assert created is not None
        return self.get(ProposalNumber(created[0])), True

    def get(self, number: ProposalNumber) -> ProposalRow:
        record = self._session.first(_GET, {"row": number})
        if record is None:
            raise InputError(f"there is no proposal {number}", "safe proposals", "see `seawall safe list`")
        return _row_of(record)

    def find(self, chain_id: int, named: Hash) -> ProposalRow | None:
        record = self._session.first(_FIND, {"chain": chain_id, "named": named})
        return None if record is None else _row_of(record)

    def unsettled(self, chain_id: int) -> list[ProposalRow]:
        """Oldest first."""
        return [_row_of(record) for record in self._session.rows(_UNSETTLED, {"chain": chain_id})]

    def listing(self, limit: int) -> list[ProposalRow]:
        """Newest first."""
        return [_row_of(record) for record in self._session.rows(_LISTING, {"count": limit})]

    def move(
        self,
        row: ProposalRow,
        state: ProposalState,
        reason: str = "",
        *,
        seen: tuple[int, Hash] | None = None,
        is_settled: bool = False,
        intent: IntentNumber | None = None,
    ) -> None:
        """From the state that `row` has to another. `StaleError` if it is in that state no more, or if
        another proposal of its nonce is on its way."""
        where = f"Safe proposal {row.number}"
        values = {
            "row": row.number,
            "before": row.state.value,
            "after": state.value,
            "why": reason,
            "at_number": None if seen is None else seen[0],
            "at_hash": None if seen is None else seen[1],
            "settled": is_settled,
            "by": row.intent if intent is None else intent,
        }
        try:
            touched = self._session.run(_MOVE, values)
        except DuplicateError:
            raise StaleError(
                f"another proposal of nonce {row.nonce} is executed, or on its way",
                where,
                "see `seawall safe list`; a Safe's nonce is used once",
            ) from None
        if not touched:
            raise StaleError(f"it is {row.state} no more", where, "look at it and decide again")

    def rebase(self, number: ProposalNumber, rules: bytes) -> None:
        """Let it stand on the Safe as it is now."""
        self._session.run(_REBASE, {"row": number, "on": rules})

    def add_signature(self, number: ProposalNumber, signature: SafeSignatureRow) -> None:
        """One for each owner: another of the same owner is refused."""
        values = {
            "proposal": number,
            "owner": signature.owner,
            "kind": signature.kind,
            "data": signature.data,
            "origin": signature.origin,
            "at_s": signature.at_s,
        }
        try:
            self._session.run(_SIGN, values)
        except DuplicateError:
            raise InputError(
                f"owner {hex_text(signature.owner)} has signed already",
                f"Safe proposal {number}",
                "nothing is missing: collect the other owners' signatures",
            ) from None

    def signatures(self, number: ProposalNumber) -> list[SafeSignatureRow]:
        """By ascending owner."""
        return [
            SafeSignatureRow(Address(owner), kind, data, origin, at_s)
            for owner, kind, data, origin, at_s in self._session.rows(_SIGNATURES, {"of": number})
        ]

    def add_verdict(self, number: ProposalNumber, verdict: Verdict, purpose: str, at_s: int) -> int:
        created = self._session.first(
            _JUDGE,
            {
                "proposal": number,
                "admitted": verdict.admitted,
                "base_hash": verdict.base_hash,
                "body": pack(verdict),
                "purpose": purpose,
                "at_s": at_s,
            },
        )
        assert created is not None
        return int(created[0])

    def verdicts(self, number: ProposalNumber) -> list[SafeVerdictRow]:
        """In the order they were given."""
        return [
            SafeVerdictRow(row, unpack(Verdict, body), purpose, at_s)
            for row, body, purpose, at_s in self._session.rows(_VERDICTS, {"of": number})
        ]


def _row_of(record: Record) -> ProposalRow:
    values = dict(zip((column.name for column in _COLUMNS), record, strict=True))
    values["state"] = ProposalState(values["state"])
    return ProposalRow(**values)
