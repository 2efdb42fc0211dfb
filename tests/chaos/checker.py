"""Judges a run from the driver's history and the chain alone. No code of Seawall, and none of its words
believed where the chain can be asked.

    at_most_once        no plan took effect twice, by transactions and by the Recorder's own count
    ended               every accepted intent came to a settled outcome, and stayed there
    true_outcome        landed means success on chain; failed a revert; the rest nothing at all
    kept                every acknowledged accept is known at the end, under its number and digest
    one_effect_a_key    one key has one intent, one digest, and was created at most once
    conflict            another plan under a key in use was refused, with both digests, and did nothing
    taken               the intake refused nothing but conflicts
    explained           every transaction of a key is an accepted plan, a filler, or the foreign sender's
    nonces              each key's nonces are used without a gap, and none of its bytes wait any more
    order               what acts on a final dependency landed in a later block than it
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.chaos.evidence import Chain, Mined
from tests.chaos.history import Accept, History, Standing, Told

__all__ = ["RULES", "Violation", "check"]

RULES = (
    "at_most_once",
    "ended",
    "true_outcome",
    "kept",
    "one_effect_a_key",
    "conflict",
    "taken",
    "explained",
    "nonces",
    "order",
)
CONFLICT = "IdempotencyConflictError"
OUTCOMES = ("landed", "failed", "refused", "expired", "cancelled")
DIGEST_CHARS = 66  # 0x and 32 bytes


@dataclass(frozen=True, slots=True)
class Violation:
    rule: str
    what: str


@dataclass(slots=True)
class _Case:
    """History and chain, joined. A plan is joined to the chain by its exact payload, which holds its id."""

    history: History
    chain: Chain
    plans: dict[str, Told] = field(default_factory=dict)  # submitted, by id
    accepts: dict[str, list[tuple[Accept, Told]]] = field(default_factory=dict)  # by key
    refused: list[tuple[Told, str, str]] = field(default_factory=list)  # with kind and text
    unanswered: list[Told] = field(default_factory=list)  # never got any definite answer
    found: dict[str, list[Mined]] = field(default_factory=dict)  # transactions that carry a plan, by its id
    strangers: list[Mined] = field(default_factory=list)
    last: dict[str, Standing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._join_answers()
        self._join_chain()
        if self.history.stood:
            self.last = {one.key: one for one in self.history.stood[-1].standings}

    @property
    def accepted(self) -> dict[str, Told]:
        """By key; of several that were said to be accepted under one key, the first."""
        return {key: pairs[0][1] for key, pairs in self.accepts.items()}

    def _join_answers(self) -> None:
        asked = self.history.asked
        definite: set[str] = set()
        for answer in self.history.answered:
            plans = asked[answer.to].plans
            by_key = {plan.key: plan for plan in plans}
            for accept in answer.accepted:
                self.accepts.setdefault(accept.key, []).append((accept, by_key[accept.key]))
                definite.add(by_key[accept.key].id)
            if answer.error:
                self.refused += [(plan, answer.error, answer.what) for plan in plans]
                definite |= {plan.id for plan in plans}
        for invocation in asked.values():
            for plan in invocation.plans:
                self.plans[plan.id] = plan
        self.unanswered = [plan for one, plan in self.plans.items() if one not in definite]

    def _join_chain(self) -> None:
        by_payload = {_payload_of(plan): plan for plan in self.plans.values()}
        for mined in self.chain.mined:
            plan = by_payload.get((mined.sender, mined.target, mined.data, mined.value_wei))
            if plan is None:
                self.strangers.append(mined)
            else:
                self.found.setdefault(plan.id, []).append(mined)

    def successes(self, plan: Told) -> list[Mined]:
        return [mined for mined in self.found.get(plan.id, []) if mined.succeeded]


def check(history: History, chain: Chain) -> list[Violation]:
    """Everything that is wrong, in the order of the rules."""
    case = _Case(history, chain)
    found = {
        "at_most_once": _at_most_once(case),
        "ended": _ended(case),
        "true_outcome": _true_outcome(case),
        "kept": _kept(case),
        "one_effect_a_key": _one_effect_a_key(case),
        "conflict": _conflict(case),
        "taken": _taken(case),
        "explained": _explained(case),
        "nonces": _nonces(case),
        "order": _order(case),
    }
    assert tuple(found) == RULES
    return [Violation(rule, what) for rule in RULES for what in found[rule]]


def _at_most_once(case: _Case) -> list[str]:
    wrong = []
    events = Counter(one for mined in case.chain.mined for one in mined.recorded)
    for plan in case.plans.values():
        sent = case.successes(plan)
        if len(sent) > 1:
            wrong.append(f"{plan.key} succeeded {len(sent)} times: {_where(sent)}")
        counted = case.chain.executions.get(plan.id, 0)
        if counted > 1 or events[plan.id] > 1:
            wrong.append(f"the Recorder counted {plan.key} {counted} times, by events {events[plan.id]}")
        if plan.target == case.chain.recorder and counted != len(sent):
            wrong.append(f"{plan.key}: {len(sent)} successful transactions, but {counted} executions")
    return wrong


def _ended(case: _Case) -> list[str]:
    wrong = []
    for key in case.accepts:
        standing = case.last.get(key)
        if standing is not None and not (standing.settled and standing.status in OUTCOMES):
            wrong.append(f"{key} (intent {standing.intent}) is {standing.status}: {standing.reason}")
    settled: dict[str, Standing] = {}
    for stood in case.history.stood:
        for standing in stood.standings:
            before = settled.get(standing.key)
            if before is not None and (standing.status, standing.settled) != (before.status, True):
                wrong.append(f"{standing.key} was settled as {before.status} and is {standing.status} now")
            if standing.settled:
                settled[standing.key] = standing
    if not case.history.stood:
        wrong.append("nobody asked how the intents ended")
    return wrong


def _true_outcome(case: _Case) -> list[str]:
    wrong = []
    for key, plan in case.accepted.items():
        standing, sent = case.last.get(key), case.found.get(plan.id, [])
        if standing is None or standing.status not in OUTCOMES:
            continue  # other rules say so
        succeeded, reverted = case.successes(plan), [mined for mined in sent if not mined.succeeded]
        match standing.status:
            case "landed":
                is_true = bool(succeeded)
            case "failed":
                is_true = bool(reverted) and not succeeded
            case _:
                is_true = not sent
        if not is_true:
            wrong.append(
                f"{key} (intent {standing.intent}) is called {standing.status}, on chain: {_where(sent)}"
            )
    return wrong


def _kept(case: _Case) -> list[str]:
    wrong = []
    for key, pairs in case.accepts.items():
        standing = case.last.get(key)
        if standing is None:
            wrong.append(f"{key} was accepted as intent {pairs[0][0].intent} and is not known any more")
        elif any((standing.intent, standing.digest) != (one.intent, one.digest) for one, _ in pairs):
            wrong.append(f"{key} was accepted as {pairs[0][0]} and is {standing} now")
    return wrong


def _one_effect_a_key(case: _Case) -> list[str]:
    wrong = []
    for key, pairs in case.accepts.items():
        if len({(accept.intent, accept.digest) for accept, _ in pairs}) > 1:
            wrong.append(f"{key} has several intents or digests: {[accept for accept, _ in pairs]}")
        if len({plan.id for _, plan in pairs}) > 1:
            wrong.append(f"{key} was accepted for several plans: {sorted({plan.id for _, plan in pairs})}")
        if sum(accept.created for accept, _ in pairs) > 1:
            wrong.append(f"{key} was created more than once")
    intents = Counter(
        accept.intent for pairs in case.accepts.values() for accept in {one for one, _ in pairs}
    )
    for intent, count in intents.items():
        keys = {key for key, pairs in case.accepts.items() if any(one.intent == intent for one, _ in pairs)}
        if count > 1 and len(keys) > 1:
            wrong.append(f"intent {intent} stands for several keys: {sorted(keys)}")
    return wrong


def _conflict(case: _Case) -> list[str]:
    wrong = []
    accepted = {plan.id for pairs in case.accepts.values() for _, plan in pairs}
    for plan, kind, what in case.refused:
        if kind != CONFLICT:
            continue
        digests = {word.strip(",.();") for word in what.split() if word.startswith("0x")}
        whole = {word for word in digests if len(word) == DIGEST_CHARS}
        if len(whole) != 2:
            wrong.append(f"the refusal of {plan.key} does not show two digests: {what}")
        if any(accept.digest not in whole for accept, _ in case.accepts.get(plan.key, [])):
            wrong.append(f"the refusal of {plan.key} does not show what was accepted: {what}")
        if plan.id in accepted:
            wrong.append(f"{plan.key} was accepted and refused for the same plan {plan.id}")
        if plan.id in case.found:
            wrong.append(f"{plan.key} was refused and is on chain: {_where(case.found[plan.id])}")
    return wrong


def _taken(case: _Case) -> list[str]:
    wrong = [f"{plan.key}: {kind}: {what}" for plan, kind, what in case.refused if kind != CONFLICT]
    for plan, _, _ in case.refused:
        if plan.key not in case.accepts:
            wrong.append(f"{plan.key} was refused for another plan, and none is accepted")
    wrong += [f"nobody knows whether {plan.key} was accepted" for plan in case.unanswered]
    return wrong


def _explained(case: _Case) -> list[str]:
    wrong = []
    foreign = {one.hash for one in case.history.foreign}
    accepted = {plan.id for pairs in case.accepts.values() for _, plan in pairs}
    for mined in case.strangers:
        is_filler = mined.target == mined.sender and mined.value_wei == 0 and mined.data == "0x"
        if not is_filler and mined.hash not in foreign:
            wrong.append(f"nobody asked for {mined}")
    for one in case.found:
        if one not in accepted:
            wrong.append(f"{case.plans[one].key} is on chain and was not accepted: {_where(case.found[one])}")
    known = set(case.plans)
    wrong += [
        f"the Recorder saw {one}, which nobody submitted"
        for mined in case.chain.mined
        for one in mined.recorded
        if one not in known
    ]
    return wrong


def _nonces(case: _Case) -> list[str]:
    wrong = []
    used: dict[str, list[int]] = defaultdict(list)
    for mined in case.chain.mined:
        used[mined.sender].append(mined.nonce)
    for sender in case.chain.senders:
        if used[sender] != list(range(case.chain.next_nonces[sender])):
            wrong.append(f"{sender} used {_shown(used[sender])}, next {case.chain.next_nonces[sender]}")
    if case.chain.pool:
        wrong.append(f"{len(case.chain.pool)} transactions still wait: {', '.join(case.chain.pool[:5])}")
    return wrong


def _order(case: _Case) -> list[str]:
    wrong = []
    accepted = case.accepted
    for key, plan in accepted.items():
        landed = case.successes(plan)
        for needed in plan.depends_on if landed and plan.depends_finality == "final" else ():
            before = case.successes(accepted[needed]) if needed in accepted else []
            if not before or before[0].block >= landed[0].block:
                wrong.append(
                    f"{key} landed in {_where(landed)}; {needed}, on which it depends, {_where(before)}"
                )
    return wrong


def _payload_of(plan: Told) -> tuple[str, str, str, int]:
    return (plan.sender, plan.target, plan.data, plan.value_wei)


def _where(sent: list[Mined]) -> str:
    if not sent:
        return "nowhere"
    return ", ".join(
        f"{one.hash} (block {one.block}, nonce {one.nonce}{'' if one.succeeded else ', reverted'})"
        for one in sent
    )


def _shown(numbers: list[int]) -> str:
    return f"{numbers[:5]}..{numbers[-5:]} ({len(numbers)})" if len(numbers) > 10 else str(numbers)
