"""One chain's Safes: propose, sign, collect, execute, adopt.

    propose ─▶ verdict ─▶ stored, open ─▶ sign (a fresh verdict each), collect ─▶ execute: a fresh verdict,
                                                                                  then an ordinary intent

Every step looks at the Safe first, at one block. If its rules are not those that the proposal was made under,
or its nonce was used, the proposal is stale, with the reason: what its owners meant may not be what would
happen. Proposing the same again, knowingly, puts it on the Safe as it is now and keeps its signatures.

What we sign here is signed after a verdict given for that signature; what owners sign elsewhere is theirs,
and no verdict of ours could hold them. Neither is of use without the execution, which is judged twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from seawall.chain.client import ChainClient
from seawall.ledger.rows import EventData, IntentRow
from seawall.ledger.safes import NewProposal, ProposalNumber, ProposalRow, ProposalState, SafeSignatureRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.codec import pack, unpack
from seawall.primitives.errors import InputError, RefusedError, SignerError, StaleError
from seawall.primitives.observations import Decision
from seawall.primitives.plans import DirectBody, Plan, TokenDelta
from seawall.primitives.simulations import Simulation
from seawall.primitives.units import NATIVE, Address, address_text, hex_text
from seawall.protocols.safe.files import FileProposal
from seawall.protocols.safe.multisend import InnerCall, batch_of
from seawall.protocols.safe.signatures import (
    OwnerSignature,
    SignatureKind,
    enough_of,
    pack_signatures,
    signed_by,
)
from seawall.protocols.safe.state import SafeState, changes_between
from seawall.protocols.safe.transaction import SafeTransaction, execution_call, safe_hash
from seawall.risk.gate import Gate
from seawall.risk.limits import SafePolicy
from seawall.signers.base import Signer
from seawall.telemetry.logs import get_logger
from seawall.transactions.desk import Desk
from seawall.transactions.intake import Intake
from seawall.transactions.safes.collecting import Collected, collect_from, require_honest
from seawall.transactions.safes.judging import Judged, judge_safe, safe_gate
from seawall.transactions.safes.looking import (
    block_of,
    look_at,
    require_digest_on_chain,
    state_at,
    unproved_on_chain,
)
from seawall.transactions.safes.rehearsal import Rehearsal

__all__ = [
    "EXECUTION_TTL_S",
    "Adopted",
    "SafeAccount",
    "SafeDesk",
    "Standing",
    "problem_of",
    "transaction_of",
]

# How long the transaction that carries a Safe's may wait in its lane.
EXECUTION_TTL_S: Final = 900
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SafeAccount:
    """A configured Safe: its rules, and the lane whose key sends its transactions."""

    policy: SafePolicy
    sender: Address


@dataclass(frozen=True, slots=True)
class Standing:
    """A proposal with what is known of it."""

    row: ProposalRow
    transaction: SafeTransaction
    signatures: tuple[OwnerSignature, ...]
    judged: Judged | None = None


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of one transaction of a file. `refused` is empty where it stands in the ledger now."""

    transaction: SafeTransaction
    row: ProposalRow | None
    created: bool
    collected: tuple[Collected, ...]
    refused: str = ""


@dataclass(slots=True)
class SafeDesk:
    """The Safes of one chain. `lock`: one rehearsal at a time."""

    desk: Desk
    intake: Intake  # takes plans for the lanes of `accounts` only
    rehearsal: Rehearsal
    accounts: Mapping[Address, SafeAccount]
    signers: Mapping[str, Signer]
    on_accepted: Callable[[], None]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    # ------------------------------------------------------------------ what may be asked

    async def propose(
        self, safe: Address, calls: Sequence[InnerCall], nonce: int | None, note: str, who: str
    ) -> Standing:
        """Store a transaction for the owners, after a verdict. `RefusedError` if the gate refuses it."""
        account, client, chain_id = self.account(safe), self._client, self._chain_id
        state = await state_at(client, safe, self.desk.base())
        known = await self._unsettled(safe)
        if nonce is None:
            taken = [row.nonce for row in known if row.state is not ProposalState.STALE]
            nonce = max([state.nonce, *(number + 1 for number in taken)])
        transaction = batch_of(chain_id, safe, nonce, calls)
        judged = await self._judge(account, transaction, known)
        _require_admitted(judged, f"a proposal for Safe {address_text(safe)}")
        await require_digest_on_chain(client, transaction, self.desk.base())
        row, _ = await self._store(transaction, judged, note, who, "propose")
        return await self._standing(row.number, judged)

    async def sign(self, number: ProposalNumber, signer_name: str, who: str) -> Standing:
        """Have one of our keys sign, under a verdict of this moment."""
        row, transaction, account = await self._open(number)
        signer = self._signer(signer_name)
        judged = await self._judge(account, transaction, await self._unsettled(row.safe))
        await self._require_valid(row, transaction, judged.facts.state)
        if signer.address not in judged.facts.state.owners:
            raise InputError(
                f"{address_text(signer.address)} is no owner of Safe {address_text(row.safe)}",
                f"signer {signer_name}",
                "sign with a key of an owner: `seawall safe show` lists them",
            )
        known = await self.desk.parts.ledger.read(lambda tx: tx.safes.signatures(number))
        if any(one.owner == signer.address for one in known):
            raise InputError(
                f"{address_text(signer.address)} has signed already",
                f"Safe proposal {number}",
                "nothing is missing: have the other owners sign",
            )
        await require_digest_on_chain(self._client, transaction, self.desk.base())
        epoch, now_s = self.desk.epoch, self.desk.parts.clock.now_s()
        await self._write_verdict(row, judged, f"sign:{signer_name}")
        _require_admitted(judged, f"Safe proposal {number}")
        self._require_in_force(judged, row)
        digest = safe_hash(transaction)
        signature = signed_by(signer.address, digest, await signer.sign_digest(digest))

        def commit(tx: Transaction) -> None:
            tx.controls.require_epoch(epoch)
            _require_open(tx.safes.get(number))
            tx.safes.add_signature(number, _row_of(signature, f"signer:{signer_name}", now_s))
            data: EventData = {"proposal": number, "owner": address_text(signature.owner), "who": who}
            tx.events.append("safe.signed", row.chain_id, address_text(row.safe), None, data, now_s)

        await self.desk.parts.ledger.write(commit)
        _log.info("safe_signed", proposal=number, signer=signer_name, digest=hex_text(digest), who=who)
        return await self._standing(number, judged)

    async def collect(
        self, proposal: FileProposal, origin: str, who: str
    ) -> tuple[Standing, list[Collected]]:
        """Take the owners' signatures that came for a proposal that stands here."""
        require_honest(proposal)
        row = await self.desk.parts.ledger.read(lambda tx: tx.safes.find(self._chain_id, proposal.hash))
        if row is None:
            raise InputError(
                f"no proposal here has the digest {hex_text(proposal.hash)}",
                f"nonce {proposal.transaction.nonce}",
                "propose it here, or take it over with `seawall safe adopt`",
            )
        _require_open(row)
        block = self.desk.base()
        state = await state_at(self._client, row.safe, block)
        await self._require_valid(row, proposal.transaction, state)
        collected = await self._take(row, proposal, state, origin, who)
        return await self._standing(row.number, None), collected

    async def adopt(self, proposal: FileProposal, origin: str, who: str) -> Adopted:
        """Take over a transaction that was queued elsewhere, with its signatures. The gate's word is stored
        with it; one that it refuses can neither be signed nor executed here."""
        transaction = proposal.transaction
        require_honest(proposal)
        account = self.account(transaction.safe)
        state = await state_at(self._client, transaction.safe, self.desk.base())
        if transaction.nonce < state.nonce:
            done = f"nonce {transaction.nonce} is used up: the Safe is at {state.nonce}"
            return Adopted(transaction, None, False, (), done)
        await require_digest_on_chain(self._client, transaction, self.desk.base())
        judged = await self._judge(account, transaction, await self._unsettled(transaction.safe))
        row, created = await self._store(transaction, judged, proposal.note, who, "adopt")
        collected = await self._take(row, proposal, judged.facts.state, origin, who)
        return Adopted(transaction, row, created, tuple(collected))

    async def execute(self, number: ProposalNumber, who: str) -> IntentRow:
        """Hand the transaction that carries it to its lane, where it is judged again as what it is."""
        row, transaction, account = await self._open(number)
        judged = await self._judge(account, transaction, await self._unsettled(row.safe))
        state = judged.facts.state
        await self._require_valid(row, transaction, state)
        if row.nonce != state.nonce:
            raise StaleError(
                f"its turn has not come: the Safe is at nonce {state.nonce}, this is {row.nonce}",
                f"Safe proposal {number}",
                "execute those before it first",
            )
        signatures = await self._valid_signatures(row, transaction, state)
        if len(signatures) < state.threshold:
            raise InputError(
                f"{len(signatures)} of {state.threshold} owners have signed",
                f"Safe proposal {number}",
                "have more owners sign, or collect their signatures",
            )
        await self._write_verdict(row, judged, "execute")
        _require_admitted(judged, f"Safe proposal {number}")
        packed = pack_signatures(enough_of(signatures, state.threshold))
        plan = await self._plan(row, account, execution_call(transaction, packed), judged.simulation)

        def also(tx: Transaction) -> None:
            intent = tx.intents.find(plan.strategy, plan.idempotency_key)
            assert intent is not None, "it was accepted in this same commit"
            tx.safes.move(tx.safes.get(number), ProposalState.EXECUTING, intent=intent.number)

        (intent,) = await self.intake.accept(Decision(plan.strategy, 0, 0, (plan,)), also=also)
        _log.info("safe_execution_accepted", proposal=number, intent=intent.number, who=who)
        self.on_accepted()
        return intent

    def account(self, safe: Address) -> SafeAccount:
        found = self.accounts.get(safe)
        if found is None:
            known = ", ".join(address_text(one) for one in self.accounts) or "none"
            raise InputError(
                f"{address_text(safe)} is no configured Safe of chain {self._chain_id}",
                "safe",
                f"add it under [[safes]] and start the kernel again; there: {known}",
            )
        return found

    # ------------------------------------------------------------------ how

    @property
    def _client(self) -> ChainClient:
        return self.desk.parts.client

    @property
    def _chain_id(self) -> int:
        return self.desk.parts.network.chain_id

    def _gate(self, account: SafeAccount) -> Gate:
        return safe_gate(self.desk.parts.gate, account.policy)

    async def _judge(
        self, account: SafeAccount, transaction: SafeTransaction, known: Sequence[ProposalRow]
    ) -> Judged:
        async with self.lock:
            block = self.desk.base()
            overlay = [(one.payload, one.nonce, one.max_fee_per_gas_wei) for one in self.desk.unlanded()]
            facts = await look_at(self._client, transaction, block)
            before = [row for row in known if row.state is not ProposalState.STALE]
            # Of several at one nonce the one that is on its way counts, else the oldest.
            before.sort(key=lambda row: (row.state is not ProposalState.EXECUTING, row.number))
            nonces = {row.nonce for row in before}
            needed = range(facts.state.nonce, transaction.nonce)
            missing = next((nonce for nonce in needed if nonce not in nonces), None)
            return await judge_safe(
                self._gate(account),
                self.rehearsal,
                account.policy,
                transaction,
                replace(facts, missing_nonce=missing),
                block,
                overlay,
                [transaction_of(row) for row in before if row.nonce < transaction.nonce],
                authority=self.desk.authority,
                now_s=self.desk.parts.clock.now_s(),
            )

    async def _open(self, number: ProposalNumber) -> tuple[ProposalRow, SafeTransaction, SafeAccount]:
        row = await self.desk.parts.ledger.read(lambda tx: tx.safes.get(number))
        _require_open(row)
        return row, transaction_of(row), self.account(row.safe)

    async def _require_valid(self, row: ProposalRow, transaction: SafeTransaction, state: SafeState) -> None:
        """`StaleError` if the Safe is not what the proposal was made for; that is stored."""
        problem = problem_of(row, state)
        if problem is None:
            return
        await self.desk.parts.ledger.write(
            lambda tx: tx.safes.move(row, ProposalState.STALE, problem, seen=block_of(state))
        )
        raise StaleError(
            f"{problem}; so the proposal is stale",
            f"Safe proposal {row.number}",
            f"look at the Safe; if nonce {transaction.nonce} is still to come, propose the same again",
        )

    def _require_in_force(self, judged: Judged, row: ProposalRow) -> None:
        """The last look before a key is asked: neither latch nor chain may have moved."""
        if not self.desk.in_force(judged.verdict):
            raise StaleError(
                "authority or chain moved since the verdict", f"Safe proposal {row.number}", "sign again"
            )

    def _signer(self, name: str) -> Signer:
        signer = self.signers.get(name)
        if signer is None:
            known = ", ".join(sorted(self.signers)) or "none"
            raise InputError(f"there is no signer {name[:60]!r}", "signer", f"configured are: {known}")
        if not signer.ready:
            raise SignerError(
                f"the key {address_text(signer.address)} is locked",
                f"signers.{name}",
                "wait until it is unlocked",
            )
        return signer

    async def _unsettled(self, safe: Address) -> list[ProposalRow]:
        rows = await self.desk.parts.ledger.read(lambda tx: tx.safes.unsettled(self._chain_id))
        return [row for row in rows if row.safe == safe]

    async def _store(
        self, transaction: SafeTransaction, judged: Judged, note: str, who: str, purpose: str
    ) -> tuple[ProposalRow, bool]:
        """The proposal with its verdict; a stale one stands on the Safe as it is now."""
        now_s, state = self.desk.parts.clock.now_s(), judged.facts.state
        digest = safe_hash(transaction)
        new = NewProposal(
            self._chain_id, transaction.safe, transaction.nonce, digest, pack(transaction), pack(state), note,
            who, now_s,
        )  # fmt: skip

        def commit(tx: Transaction) -> tuple[ProposalRow, bool]:
            row, created = tx.safes.propose(new)
            if row.state is ProposalState.STALE:
                tx.safes.rebase(row.number, new.rules)
                tx.safes.move(row, ProposalState.OPEN, "proposed again")
            tx.safes.add_verdict(row.number, judged.verdict, purpose, now_s)
            data: EventData = {
                "proposal": row.number,
                "nonce": row.nonce,
                "digest": hex_text(digest),
                "who": who,
            }
            if created:
                tx.events.append("safe.proposed", row.chain_id, address_text(row.safe), None, data, now_s)
            return tx.safes.get(row.number), created

        return await self.desk.parts.ledger.write(commit)

    async def _take(
        self, row: ProposalRow, proposal: FileProposal, state: SafeState, origin: str, who: str
    ) -> list[Collected]:
        ledger, now_s = self.desk.parts.ledger, self.desk.parts.clock.now_s()
        known = await ledger.read(lambda tx: tx.safes.signatures(row.number))
        collected = await collect_from(
            self._client, proposal, state, self.desk.base(), {one.owner for one in known}
        )
        taken = [one.signature for one in collected if one.signature is not None]

        def commit(tx: Transaction) -> None:
            for one in taken:
                tx.safes.add_signature(row.number, _row_of(one, origin, now_s))
                data: EventData = {"proposal": row.number, "owner": address_text(one.owner), "who": who}
                tx.events.append("safe.signed", row.chain_id, address_text(row.safe), None, data, now_s)

        if taken:
            await ledger.write(commit)
        return collected

    async def _write_verdict(self, row: ProposalRow, judged: Judged, purpose: str) -> None:
        now_s = self.desk.parts.clock.now_s()
        await self.desk.parts.ledger.write(
            lambda tx: tx.safes.add_verdict(row.number, judged.verdict, purpose, now_s)
        )

    async def _valid_signatures(
        self, row: ProposalRow, transaction: SafeTransaction, state: SafeState
    ) -> list[OwnerSignature]:
        """Those of owners of now, that hold now."""
        stored = await self.desk.parts.ledger.read(lambda tx: tx.safes.signatures(row.number))
        found = [one for one in map(_signature_of, stored) if one.owner in state.owners]
        problems = await unproved_on_chain(self._client, transaction, found, self.desk.base())
        return [one for one in found if one.owner not in problems]

    async def _plan(
        self, row: ProposalRow, account: SafeAccount, calldata: bytes, simulation: Simulation
    ) -> Plan:
        """Of the outer transaction: what the Safe gains and loses is what its owners' verdict saw."""
        tries, earlier = 1, ""
        if row.intent is not None:
            number = row.intent
            before = await self.desk.parts.ledger.read(lambda tx: tx.intents.get(number))
            earlier = before.plan.idempotency_key
            tries = int(earlier.rpartition(":")[2]) + 1
        tolerance_bps = self._gate(account).limits.slippage_bps_max
        tokens = sorted({flow.token for flow in simulation.flows})
        changes = [(token, simulation.net(frozenset({row.safe}), token)) for token in tokens]
        return Plan(
            strategy=account.policy.name,
            chain_id=row.chain_id,
            key=account.sender,
            body=DirectBody(row.safe, calldata),
            accounting_token=NATIVE,
            idempotency_key=f"{hex_text(row.hash)}:{tries}",
            deadline_s=self.desk.parts.clock.now_s() + EXECUTION_TTL_S,
            expected=tuple(
                TokenDelta(row.safe, token, change, tolerance_bps) for token, change in changes if change
            ),
            note=f"nonce {row.nonce} of Safe {address_text(row.safe)}",
            retry_of=earlier,
        )

    async def _standing(self, number: ProposalNumber, judged: Judged | None) -> Standing:
        row, stored = await self.desk.parts.ledger.read(
            lambda tx: (tx.safes.get(number), tx.safes.signatures(number))
        )
        return Standing(row, transaction_of(row), tuple(map(_signature_of, stored)), judged)


def transaction_of(row: ProposalRow) -> SafeTransaction:
    return unpack(SafeTransaction, row.body)


def problem_of(row: ProposalRow, state: SafeState) -> str | None:
    """Why the proposal no longer stands for what its owners were asked; None while it does."""
    if state.nonce > row.nonce:
        return f"nonce {row.nonce} was used by another transaction: the Safe is at {state.nonce}"
    changes = changes_between(unpack(SafeState, row.rules), state)
    return "; ".join(changes) or None


def _require_open(row: ProposalRow) -> None:
    if row.state is not ProposalState.OPEN:
        why = f": {row.reason}" if row.reason else ""
        raise StaleError(
            f"it is {row.state}{why}", f"Safe proposal {row.number}", "see `seawall safe show NUMBER`"
        )


def _require_admitted(judged: Judged, where: str) -> None:
    if not judged.verdict.admitted:
        raise RefusedError(
            judged.verdict.explanation, where, "nothing was signed; change the proposal, or the Safe's limits"
        )


def _row_of(signature: OwnerSignature, origin: str, at_s: int) -> SafeSignatureRow:
    return SafeSignatureRow(signature.owner, signature.kind.value, signature.data, origin, at_s)


def _signature_of(row: SafeSignatureRow) -> OwnerSignature:
    return OwnerSignature(row.owner, SignatureKind(row.kind), row.data)
