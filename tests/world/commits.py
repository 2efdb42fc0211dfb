"""What must hold at a commit that stores signed bytes, and at the moment at which bytes are written.

Both moments are seen from outside the kernel's logic: a commit by the ledger's failpoint after it, a write by
the model's port. What was committed is read from the database's file by plain SQL.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seawall.chain.broadcast import SignedWrite
from seawall.control.permit import PERMIT_S
from seawall.native import decode_transaction
from seawall.primitives.codec import unpack
from seawall.primitives.levels import Authority
from seawall.primitives.plans import Plan
from seawall.primitives.units import NATIVE
from seawall.transactions.policies import MovePolicy
from tests.world.kernel import LANE_BOUND, Kernel, changes_at_verdict
from tests.world.node import Contract, MinedBlock, NodeModel, may_replace
from tests.world.violations import require

__all__ = ["CommitChecker"]

_ATTEMPTS = """
    SELECT a.number, a.hash, a.raw, a.kind, a.target, a.data, a.value_wei, a.gas_limit, a.max_fee_per_gas_wei,
        a.max_priority_fee_per_gas_wei, s.key, s.nonce, s.purpose,
        v.admitted AND v.payload_digest = a.payload_digest, v.base_hash, v.max_total_fee_wei
    FROM attempts a JOIN slots s ON s.number = a.slot LEFT JOIN verdicts v ON v.number = a.verdict
"""
_MOVES_MAX = MovePolicy().moves_max
_HEARING_WELL_S = 0.2
_HEARD_WITHIN_S = 4.0
_HALTED_WRITES = {"HALT": frozenset({"plan", "reducing", "housekeeping"}), "REDUCE_ONLY": frozenset({"plan"})}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of attempts, with its slot and the verdict that it stands on."""

    number: int
    hash: bytes
    raw: bytes
    kind: str
    target: bytes
    data: bytes
    value_wei: int
    gas_limit: int
    max_fee_per_gas_wei: int
    max_priority_fee_per_gas_wei: int
    key: bytes
    nonce: int
    purpose: str
    is_admitted: bool
    base_hash: bytes | None
    judged_fee_wei: int

    @property
    def is_housekeeping(self) -> bool:
        return self.kind == "housekeeping"

    @property
    def fee_wei(self) -> int:
        return self.gas_limit * self.max_fee_per_gas_wei


@dataclass(slots=True)
class CommitChecker:
    db: sqlite3.Connection
    node: NodeModel
    is_known_on_chain: bool
    seen: int = 0  # the newest attempt that was checked
    _controls_s: dict[int, float] = field(default_factory=dict)  # when an epoch was first seen
    _asked_s: dict[int, float] = field(default_factory=dict)  # when a cancellation was first seen, by intent

    def at_commit(self, kernel: Kernel | None) -> None:
        """After any commit of `kernel` (None: not a kernel's, so without attempts)."""
        for (number,) in self.db.execute("SELECT number FROM intents WHERE cancel_reason IS NOT NULL"):
            self._asked_s.setdefault(number, self.node.loop.time())
        self._control()
        (newest,) = self.db.execute("SELECT MAX(number) FROM attempts").fetchone()
        if newest is None or newest <= self.seen:
            return
        attempts = self._attempts("WHERE a.number > ? ORDER BY a.number", self.seen)
        self.seen = newest
        for attempt in attempts:
            assert kernel is not None
            self._holds_the_lane(kernel, attempt)
            self._bytes_are_what_was_committed(attempt)
            self._authority_admits(kernel, attempt)
            self._keeps_to_the_bound(attempt)
            earlier = self._earlier(attempt)
            self._outbids(attempt, earlier)
            if attempt.is_housekeeping:
                self._fills_for_a_reason(attempt)
                continue
            self._stands_on_its_verdict(attempt)
            self._has_no_other_chance(attempt)
            self._key_can_pay(attempt)
            self._is_reserved(attempt)
            if earlier:
                self._replaces_only_the_fee(attempt, earlier)
            else:
                self._takes_the_next_nonce(attempt)
                self._was_wanted(attempt)
                self._dependencies_landed(attempt)

    def at_write(self, kernel: Kernel, write: SignedWrite) -> None:
        """Bytes go out now, by `kernel`."""
        authority = _authority_of(kernel)
        refused = _HALTED_WRITES.get(authority, frozenset())
        require(write.kind.value not in refused, f"signed bytes were written under {authority}", write.kind)
        self._fleet_was_heard(kernel, write)
        row = self.db.execute(
            "SELECT a.raw, a.kind, v.admitted, v.valid_until_s, v.base_hash,"
            " v.payload_digest = a.payload_digest"
            " FROM attempts a LEFT JOIN verdicts v ON v.number = a.verdict WHERE a.hash = ?",
            (write.hash,),
        ).fetchone()
        require(row is not None, "bytes were sent that no commit holds", write.hash.hex())
        raw, kind, admitted, valid_until_s, base_hash, same = row
        require(
            raw == write.raw and kind == write.kind, "other bytes were sent than committed", write.hash.hex()
        )
        if kind != "housekeeping":
            require(bool(admitted and same), "bytes were sent without a verdict on them", write.hash.hex())
            late_s = kernel.machine.now_s() - valid_until_s
            require(late_s <= 0, "bytes were sent under a lapsed verdict", (write.hash.hex(), late_s))
            self._base_stands(kernel, base_hash)

    def _base_stands(self, kernel: Kernel, base_hash: bytes) -> None:
        """A verdict ends with its base block; a kernel that hears well knows so within a few polls."""
        if self._hears_well and base_hash in self.node.removed_at_s:
            # What went before the faults ended need not have been heard of before they did.
            since_s = max(self.node.removed_at_s[base_hash], self.node.calm_since_s)
            gone_s = self.node.loop.time() - since_s
            what = "bytes were sent under a verdict whose base block was gone"
            require(gone_s <= _HEARD_WITHIN_S, what, (base_hash.hex(), gone_s))

    @property
    def _hears_well(self) -> bool:
        """Whether what happens is known to kernels within `_HEARD_WITHIN_S`."""
        faults = self.node.faults
        misses = (faults.answer_lost, faults.stall, faults.lag, faults.lie, faults.disk_full, faults.freeze)
        slow = max(faults.latency_s_max, faults.commit_s_max) > _HEARING_WELL_S
        return not any(misses) and not slow and not faults.impostor

    def _attempts(self, where: str, *values: object) -> list[Attempt]:
        return [_attempt(row) for row in self.db.execute(_ATTEMPTS + where, values).fetchall()]

    def _holds_the_lane(self, kernel: Kernel, attempt: Attempt) -> None:
        (fence,) = self.db.execute("SELECT fence FROM lanes WHERE key = ?", (attempt.key,)).fetchone()
        held = kernel.fence_of(attempt.key)
        require(fence == held, "an attempt was committed by a kernel that had lost the lane", (held, fence))

    def _control(self) -> tuple[str, float]:
        """The authority that the ledger knows, and since when."""
        row = self.db.execute(
            "SELECT epoch, authority FROM controls WHERE scope = 'global' ORDER BY epoch DESC LIMIT 1"
        ).fetchone()
        epoch, authority = (0, int(Authority.RUN)) if row is None else row
        since_s = self._controls_s.setdefault(epoch, self.node.loop.time())
        return Authority(authority).name, since_s

    def _fleet_was_heard(self, kernel: Kernel, write: SignedWrite) -> None:
        """A stop that the ledger knows holds on every machine once the permits have run out."""
        authority, since_s = self._control()
        late_s = self.node.loop.time() - since_s
        if late_s > PERMIT_S and kernel.raised_s() < since_s:
            refused = _HALTED_WRITES.get(authority, frozenset())
            what = f"a kernel sent while the fleet was under {authority}"
            require(write.kind.value not in refused, what, (write.hash.hex(), late_s))

    def _bytes_are_what_was_committed(self, attempt: Attempt) -> None:
        decoded = decode_transaction(attempt.raw)
        fields = decoded.fields
        signed = (decoded.hash, decoded.sender, fields.nonce, fields.to, fields.data, fields.value_wei)
        stored = (attempt.hash, attempt.key, attempt.nonce, attempt.target, attempt.data, attempt.value_wei)
        signed_fees = (fields.gas_limit, fields.max_fee_per_gas_wei, fields.max_priority_fee_per_gas_wei)
        stored_fees = (attempt.gas_limit, attempt.max_fee_per_gas_wei, attempt.max_priority_fee_per_gas_wei)
        same = signed == stored and signed_fees == stored_fees
        require(same, "what was signed is not what was committed", attempt.hash.hex())

    def _authority_admits(self, kernel: Kernel, attempt: Attempt) -> None:
        control, since_s = self._control()
        # A hand on the machine may have raised what the ledger has not heard of yet.
        known = control if kernel.raised_s() < since_s else "RUN"
        for authority in (_authority_of(kernel), known):
            refused = _HALTED_WRITES.get(authority, frozenset())
            require(attempt.kind not in refused, f"an attempt was committed under {authority}", attempt.kind)
        judged_at = changes_at_verdict()
        if not attempt.is_housekeeping and judged_at is not None and kernel.latch is not None:
            what = "authority changed between the verdict and the commit"
            require(judged_at == kernel.latch.changes, what, (judged_at, kernel.latch.changes))

    def _fills_for_a_reason(self, attempt: Attempt) -> None:
        """A nonce without anything of ours is free only because a foreign transaction was undone."""
        fields = decode_transaction(attempt.raw).fields
        is_nothing = (fields.to, fields.value_wei, fields.data) == (attempt.key, 0, b"")
        require(is_nothing, "housekeeping is a transfer of nothing to ourselves", attempt.hash.hex())
        if attempt.purpose == "gap_fill":
            foreign = self.node.foreign_nonces.get(attempt.key, set())
            require(attempt.nonce in foreign, "a nonce was left out, and had to be filled", attempt.nonce)

    def _earlier(self, attempt: Attempt) -> list[Attempt]:
        """Of the same slot."""
        where = "WHERE s.key = ? AND s.nonce = ? AND a.number < ? ORDER BY a.number"
        return self._attempts(where, attempt.key, attempt.nonce, attempt.number)

    def _outbids(self, attempt: Attempt, earlier: Sequence[Attempt]) -> None:
        """By the rule by which nodes replace, or they refuse it for as long as they keep the earlier one."""
        fields = decode_transaction(attempt.raw).fields
        for each in earlier:
            outbid = may_replace(fields, decode_transaction(each.raw).fields)
            require(outbid, "an attempt does not outbid what it is to replace", attempt.hash.hex())

    def _replaces_only_the_fee(self, attempt: Attempt, earlier: Sequence[Attempt]) -> None:
        first = earlier[0]
        mine = (attempt.target, attempt.data, attempt.value_wei, attempt.gas_limit)
        theirs = (first.target, first.data, first.value_wei, first.gas_limit)
        require(mine == theirs, "a replacement changed more than the fee", attempt.hash.hex())
        judged_wei = first.judged_fee_wei
        what = "a replacement is dearer than its payload was judged at most"
        require(attempt.fee_wei <= judged_wei, what, (attempt.hash.hex(), attempt.fee_wei, judged_wei))
        what = "a plan's nonce was given to it again after it was filled"
        require(not any(each.is_housekeeping for each in earlier), what, attempt.hash.hex())

    def _keeps_to_the_bound(self, attempt: Attempt) -> None:
        """Slots of a lane that no canonical block has, as the ledger knows it. A reorg may leave more of
        them, so only what opens another one is looked at."""
        if self._earlier(attempt):
            return
        (unlanded,) = self.db.execute(
            "SELECT COUNT(*) FROM slots s WHERE s.key = ? AND NOT s.final AND s.purpose = 'plan'"
            " AND NOT EXISTS (SELECT 1 FROM attempts a JOIN inclusions i ON i.attempt = a.number"
            " WHERE a.slot = s.number AND i.canonical)",
            (attempt.key,),
        ).fetchone()
        require(unlanded <= LANE_BOUND, "a lane has more unlanded slots than its bound", unlanded)

    def _is_reserved(self, attempt: Attempt) -> None:
        """What the newest attempt of a slot may cost, stands in the reservations."""
        rows = self.db.execute(
            "SELECT r.amount FROM reservations r JOIN attempts a ON a.number = r.attempt"
            " JOIN slots s ON s.number = a.slot WHERE s.key = ? AND s.nonce = ? AND r.token = ?",
            (attempt.key, attempt.nonce, NATIVE),
        ).fetchall()
        reserved_wei = max((int(amount) for (amount,) in rows), default=0)
        needed_wei = attempt.value_wei + attempt.fee_wei
        require(reserved_wei >= needed_wei, "an attempt may cost more than is reserved", attempt.hash.hex())

    def _was_wanted(self, attempt: Attempt) -> None:
        """At its commit an intent had not been cancelled, and its deadline had not passed for long."""
        rows = self.db.execute(
            "SELECT i.number, i.cancel_reason, i.state FROM intents i"
            " JOIN attempt_intents l ON l.intent = i.number WHERE l.attempt = ?",
            (attempt.number,),
        ).fetchall()
        for number, cancel_reason, state in rows:
            require(state == "committed", "bytes of an intent that is not committed", (number, state))
            if cancel_reason is not None and self._hears_well:
                late_s = self.node.loop.time() - max(self._asked_s[number], self.node.calm_since_s)
                what = "a cancelled intent was dispatched"
                require(late_s <= _HEARD_WITHIN_S, what, (number, cancel_reason, late_s))

    def _stands_on_its_verdict(self, attempt: Attempt) -> None:
        what = "signed without a verdict on exactly what was signed"
        require(attempt.is_admitted, what, attempt.hash.hex())
        what = "the verdict judged a lower fee"
        require(attempt.fee_wei <= attempt.judged_fee_wei, what, (attempt.fee_wei, attempt.judged_fee_wei))

    def _takes_the_next_nonce(self, attempt: Attempt) -> None:
        assert attempt.base_hash is not None
        (highest,) = self.db.execute(
            "SELECT MAX(nonce) FROM slots WHERE key = :key AND number <"
            " (SELECT number FROM slots WHERE key = :key AND nonce = :nonce)",
            {"key": attempt.key, "nonce": attempt.nonce},
        ).fetchone()
        at_base = self.node.block(attempt.base_hash).nonces.get(attempt.key, 0)
        following = at_base if highest is None else max(at_base, highest + 1)
        require(attempt.nonce == following, "a nonce was left out", (attempt.nonce, following))

    def _has_no_other_chance(self, attempt: Attempt) -> None:
        """An intent has another nonce only where its earlier one was used by somebody else beyond finality,
        or used by somebody else and a second copy would revert; and so often at most."""
        rows = self.db.execute(
            "SELECT DISTINCT l.intent, s.key, s.nonce,"
            " s.number < (SELECT slot FROM attempts WHERE number = :it) FROM attempt_intents l"
            " JOIN attempts a ON a.number = l.attempt JOIN slots s ON s.number = a.slot"
            " WHERE l.intent IN (SELECT intent FROM attempt_intents WHERE attempt = :it)",
            {"it": attempt.number},
        ).fetchall()
        require(bool(rows), "bytes of a plan that belong to no intent", attempt.hash.hex())
        reverts = self.node.contracts.get(attempt.target) is Contract.RECORDS
        for intent, key, nonce, is_earlier in rows:
            if not is_earlier:  # this one, or one that was judged when it was given: this may be replaced yet
                continue
            used = nonce in self.node.foreign_nonces.get(key, ()) if reverts else self._is_lost(key, nonce)
            require(used, "an intent was given a second nonce", (intent, nonce, attempt.nonce))
        moves = max(Counter(intent for intent, *_ in rows).values()) - 1
        require(moves <= _MOVES_MAX, "an intent was given more nonces than the policy allows", moves)

    def _is_lost(self, key: bytes, nonce: int) -> bool:
        """Whether a final block has the nonce, used by what is not ours."""
        ours = {row[0] for row in self.db.execute("SELECT hash FROM attempts").fetchall()}
        final = self.node.blocks[: self.node.final_number + 1]
        used = (m.transaction for block in final for m in block.transactions)
        return any((one.sender, one.fields.nonce) == (key, nonce) and one.hash not in ours for one in used)

    def _dependencies_landed(self, attempt: Attempt) -> None:
        rows = self.db.execute(
            "SELECT i.plan FROM intents i JOIN attempt_intents l ON l.intent = i.number WHERE l.attempt = ?",
            (attempt.number,),
        ).fetchall()
        for (packed,) in rows if self.is_known_on_chain else ():
            plan = unpack(Plan, packed)
            reached = self.node.reached[int(plan.depends_finality)]
            missing = [key for key in plan.depends_on if key.encode() not in reached]
            require(not missing, "a plan went ahead of what it depends on", (plan.idempotency_key, missing))

    def _key_can_pay(self, attempt: Attempt) -> None:
        """After everything of ours that had not landed on the base of the verdict, in commit order."""
        assert attempt.base_hash is not None
        base = self.node.block(attempt.base_hash)
        earlier = self._attempts("WHERE a.number < ? AND NOT s.final ORDER BY a.number", attempt.number)
        unlanded = {(each.key, each.nonce): each for each in earlier}  # the newest, at the place of the slot
        unlanded.pop((attempt.key, attempt.nonce), None)  # what it replaces does not land beside it
        balance_wei = _after(base, unlanded.values(), self.node.contracts)[attempt.key]
        needed_wei = attempt.value_wei + attempt.fee_wei
        require(
            balance_wei >= needed_wei, "a key was overspent", (attempt.hash.hex(), balance_wei, needed_wei)
        )


def _authority_of(kernel: Kernel) -> str:
    """By the file of its latch, whatever it believes."""
    try:
        return str(json.loads(kernel.latch_path.read_bytes())["authority"])
    except FileNotFoundError:
        return "RUN"


def _attempt(row: Sequence[Any]) -> Attempt:
    number, tx_hash, raw, kind, target, data, value, gas, max_fee, priority, key, nonce, purpose, *judged = (
        row
    )
    admitted, base_hash, judged_fee = judged
    return Attempt(
        number, tx_hash, raw, kind, target, data, int(value), gas, int(max_fee), int(priority), key, nonce,
        purpose, bool(admitted), base_hash, int(judged_fee or 0),
    )  # fmt: skip


def _after(
    base: MinedBlock, unlanded: Iterable[Attempt], contracts: Mapping[bytes, Contract]
) -> dict[bytes, int]:
    """Balances on `base` when these have run at their ceiling fee, as far as they can run."""
    balances, nonces = dict(base.balances), dict(base.nonces)
    waiting = [each for each in unlanded if each.nonce >= nonces.get(each.key, 0)]
    while (each := next((one for one in waiting if one.nonce == nonces.get(one.key, 0)), None)) is not None:
        waiting.remove(each)
        nonces[each.key] = each.nonce + 1
        if balances[each.key] < each.value_wei + each.fee_wei:
            continue  # it cannot run before its key is paid; by then there is another base
        tokens = sum(1 if byte == 0 else 4 for byte in each.data)
        balances[each.key] -= min(each.gas_limit, 21_000 + 10 * tokens) * each.max_fee_per_gas_wei
        contract = contracts.get(each.target)
        if contract is None or contract.succeeds(base.number + 1):
            balances[each.key] -= each.value_wei
            balances[each.target] = balances.get(each.target, 0) + each.value_wei
    return balances
