"""Plans that come from outside, without a host: what the kernel's socket offers to whoever may open it.

    submit   plans of one configured submitter, all of them in one commit, or none
    cancel   one intent, by its number or by its strategy and key
    intent   how intents stand, by number or by key

Every answer comes after the commit that it tells of. Whoever got none says the same again: an idempotency key
names one desired effect, so the answer is then the first intent. The same key with another plan is refused
with both digests. Only submitters of the configuration are heard, each on its own lanes.

Cancelling is a wish that is written down; the lane acts on it. What was committed counts as possibly sent: it
ends cancelled only when its nonce is filled beyond finality, and may land before that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from seawall.ledger import Ledger
from seawall.ledger.rows import AttemptRow, IntentRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.bounds import PLANS_PER_DECISION_MAX
from seawall.primitives.errors import InputError
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.observations import Decision
from seawall.primitives.ports import Clock, Entropy
from seawall.primitives.units import address_text, hex_text
from seawall.runtime.commands import Answer, Command, CommandServer
from seawall.runtime.plan_form import Form, PlanOrigin, plan_of
from seawall.telemetry.logs import get_logger
from seawall.transactions.intake import Intake

__all__ = ["COMMANDS", "INTENTS_PER_QUESTION_MAX", "Submission", "Submitter"]

COMMANDS: Final = ("submit", "cancel", "intent")
INTENTS_PER_QUESTION_MAX: Final = 256
_NUMBER_MAX: Final = 2**63 - 1
_CORRELATION_BYTES: Final = 8
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Submitter:
    """One configured name: where its plans come from, and where they go."""

    origin: PlanOrigin
    intake: Intake  # takes plans for its lanes only
    on_accepted: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Submission:
    """The three commands, on the ledger of the live lanes."""

    submitters: Mapping[str, Submitter]
    ledger: Ledger
    clock: Clock
    entropy: Entropy
    on_cancel: Callable[[int], None]  # with the chain's id: its lanes should look

    def offer_on(self, server: CommandServer) -> None:
        server.offer("submit", self.submit)
        server.offer("cancel", self.cancel)
        server.offer("intent", self.intent)

    async def submit(self, command: Command) -> Answer:
        """Body: `submitter` (may be left out where there is one), `plans`."""
        form = Form(command.body, "", ("submitter", "plans"))
        submitter = self._submitter(form)
        items = form.items("plans")
        if not 0 < len(items) <= PLANS_PER_DECISION_MAX:
            what = f"{len(items)} plans in one submission"
            raise InputError(what, "plans", f"give 1 to {PLANS_PER_DECISION_MAX} at once")
        plans = tuple(plan_of(item, place, submitter.origin) for item, place in items)
        name, mark = submitter.origin.submitter, self.entropy.token(_CORRELATION_BYTES).hex()
        rows = await submitter.intake.accept(Decision(name, 0, 0, plans), mark)
        first = {row.number: place for place, row in reversed(list(enumerate(rows)))}  # said twice, made once
        created = [row.correlation_id == mark and first[row.number] == n for n, row in enumerate(rows)]
        _log.info("plans_submitted", strategy=name, plans=len(rows), created=sum(created), who=command.who)
        if any(created):
            submitter.on_accepted()
        return {"plans": [_accepted(row, new) for row, new in zip(rows, created, strict=True)]}

    async def cancel(self, command: Command) -> Answer:
        """Body: `id`; or `strategy` and `idempotency_key`. The command's reason stays with the intent."""
        form = Form(command.body, "", ("id", "strategy", "idempotency_key"))
        if not command.reason.strip():
            raise InputError("a cancellation needs a reason", "reason", "say why, in a few words")
        number = IntentNumber(form.number("id", least=1, most=_NUMBER_MAX)) if "id" in form else None
        named = None if number else (form.text("strategy"), form.text("idempotency_key"))
        reason = f"{command.reason} ({command.who})" if command.who else command.reason
        now_s = self.clock.now_s()

        def ask(tx: Transaction) -> tuple[IntentRow, list[AttemptRow]]:
            row = _named(tx, *named) if named is not None else tx.intents.get(number or IntentNumber(0))
            if row.cancel_reason is None and not row.state.is_outcome:
                row = tx.intents.ask_cancel(row.number, reason)
                data = {"reason": reason}
                tx.events.append("cancel.asked", row.lane.chain_id, row.strategy, row.number, data, now_s)
            return row, tx.attempts.of_intent(row.number)

        row, attempts = await self.ledger.write(ask)
        _log.info("cancel_asked", intent=row.number, state=row.state.value, who=command.who)
        self.on_cancel(row.lane.chain_id)
        return {"intent": _standing(row, attempts)}

    async def intent(self, command: Command) -> Answer:
        """Body: `ids`; or `strategy` and `idempotency_keys`. A key that is not there is null."""
        form = Form(command.body, "", ("ids", "strategy", "idempotency_keys"))
        keys = form.texts("idempotency_keys")
        numbers = [_number(item, place) for item, place in form.items("ids")]
        if not 0 < len(keys) + len(numbers) <= INTENTS_PER_QUESTION_MAX:
            what = f"{len(keys) + len(numbers)} intents in one question"
            raise InputError(what, "ids", f"name 1 to {INTENTS_PER_QUESTION_MAX}, by ids or idempotency_keys")
        strategy = form.text("strategy") if keys else ""

        def look(tx: Transaction) -> list[Answer | None]:
            rows = [tx.intents.find(strategy, key) for key in keys]
            rows += [tx.intents.get(number) for number in numbers]
            return [
                None if row is None else _standing(row, tx.attempts.of_intent(row.number)) for row in rows
            ]

        return {"intents": await self.ledger.read(look)}

    def _submitter(self, form: Form) -> Submitter:
        if "submitter" not in form and len(self.submitters) == 1:
            return next(iter(self.submitters.values()))
        name = form.text("submitter")
        if name not in self.submitters:
            known = ", ".join(sorted(self.submitters)) or "none"
            raise InputError(
                f"no submitter is named {name[:64]!r}",
                "submitter",
                f"add it under [[submitters]] and start the kernel again; there: {known}",
            )
        return self.submitters[name]


def _number(item: object, place: str) -> IntentNumber:
    if isinstance(item, bool) or not isinstance(item, int) or not 0 < item <= _NUMBER_MAX:
        raise InputError(f"{str(item)[:40]!r} is no intent's number", place, "give what submit answered")
    return IntentNumber(item)


def _named(tx: Transaction, strategy: str, key: str) -> IntentRow:
    row = tx.intents.find(strategy, key)
    if row is None:
        raise InputError(
            f"strategy {strategy[:64]!r} has no plan with key {key[:200]!r}",
            "idempotency_key",
            "see `seawall plans list`",
        )
    return row


def _accepted(row: IntentRow, created: bool) -> Answer:
    return {
        "id": row.number,
        "idempotency_key": row.plan.idempotency_key,
        "created": created,
        "plan_digest": hex_text(row.plan_digest),
        "status": row.state.value,
    }


def _standing(row: IntentRow, attempts: list[AttemptRow]) -> Answer:
    return {
        "id": row.number,
        "strategy": row.strategy,
        "idempotency_key": row.plan.idempotency_key,
        "plan_digest": hex_text(row.plan_digest),
        "key": address_text(row.lane.key),
        "status": row.state.value,
        "reason": row.reason,
        "finality": None if row.finality is None else row.finality.name.lower(),
        "cancel_reason": row.cancel_reason,
        "settled": row.is_settled,
        "transactions": [
            {"hash": hex_text(attempt.hash), "nonce": attempt.nonce, "kind": attempt.kind.value}
            for attempt in attempts
        ],
    }
