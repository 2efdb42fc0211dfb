"""Submits every wish until it has a definite answer, and writes down what was said and what was answered.

Whoever gets no answer, or one that leaves it open, says the same again to whichever kernel is there. Only a
refusal that concerns the plan itself ends a submission. No code of Seawall.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.asking import ask
from tests.chaos.history import Accept, Answered, Asked, History, Standing, Stood, Told
from tests.chaos.workload import Kind, Wish

__all__ = ["Driver"]

CLIENTS = 8
BATCH_MAX = 8
ASK_BATCH = 128
REST_S = (0.05, 0.5)
# These say that the plan, not the moment, is wrong.
FINAL_REFUSALS = ("IdempotencyConflictError", "InputError", "PlanError", "AddressError", "EncodingError")


@dataclass(slots=True)
class Driver:
    submitter: str
    sockets: Sequence[Path]
    history: History
    rng: random.Random
    started_s: float = field(default_factory=time.monotonic)
    counts: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _told: dict[str, Told] = field(default_factory=dict)  # by id, with the deadline given at first

    def now_s(self) -> float:
        return round(time.monotonic() - self.started_s, 4)

    async def submit_all(self, wishes: Sequence[Wish], rate: float) -> None:
        """Returns when each has a definite answer. `rate` wishes are let go a second."""
        waiting: asyncio.Queue[list[Wish] | None] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CLIENTS):
                tasks.create_task(self._client(waiting))
            begun_s, released = time.monotonic(), 0
            for batch in self._batches(wishes):
                await asyncio.sleep(max(0.0, begun_s + released / rate - time.monotonic()))
                released += len(batch)
                await waiting.put(batch)
            for _ in range(CLIENTS):
                await waiting.put(None)

    async def ask_about_all(self, keys: Sequence[str], round_number: int) -> Stood:
        standings: list[Standing] = []
        for start in range(0, len(keys), ASK_BATCH):
            standings += await self._standings(keys[start : start + ASK_BATCH])
        stood = Stood(round_number, self.now_s(), tuple(standings))
        self.history.add(stood)
        return stood

    async def unsettled(self, keys: Sequence[str]) -> list[Standing]:
        """Those that have not ended, without a word in the history."""
        found: list[Standing] = []
        for start in range(0, len(keys), ASK_BATCH):
            found += await self._standings(keys[start : start + ASK_BATCH])
        return [one for one in found if not one.settled]

    # ------------------------------------------------------------------ within

    def _batches(self, wishes: Sequence[Wish]) -> list[list[Wish]]:
        """In order, some together; what shall be refused goes alone, since a list stands or falls as one."""
        batches: list[list[Wish]] = []
        room = 0
        for wish in wishes:
            if wish.rival is not None:
                batches.append([wish])
                room = 0
            elif room > 0:
                batches[-1].append(wish)
                room -= 1
            else:
                batches.append([wish])
                room = self.rng.randint(0, BATCH_MAX - 1)
        return batches

    async def _client(self, waiting: asyncio.Queue[list[Wish] | None]) -> None:
        async with asyncio.TaskGroup() as followers:
            while (batch := await waiting.get()) is not None:
                (first, *_) = batch
                if first.kind is Kind.RACE and first.rival is not None:
                    await asyncio.gather(self._submit([first]), self._submit([first.rival]))
                    continue
                await self._submit(batch)
                if first.kind is Kind.CONFLICT and first.rival is not None:
                    await self._submit([first.rival])
                for wish in batch:
                    if wish.cancel_after_s is not None:
                        followers.create_task(self._cancel(wish, wish.cancel_after_s))

    async def _submit(self, batch: Sequence[Wish]) -> None:
        plans = tuple(self._plan(wish) for wish in batch)
        body = {
            "submitter": self.submitter,
            "plans": [_document(plan, wish) for plan, wish in zip(plans, batch, strict=True)],
        }
        begun_s = time.monotonic()
        while True:
            number, kernel = next(self._numbers), self.rng.randrange(len(self.sockets))
            self.history.add(Asked(number, self.now_s(), kernel, plans))
            answer = await self._told_by(kernel, {"name": "submit", "who": "chaos", "body": body})
            self.counts["submissions"] += 1
            if "plans" in answer:
                accepted = tuple(_accept(row) for row in answer["plans"])
                self.history.add(Answered(number, self.now_s(), accepted))
                self.latencies_s.append(time.monotonic() - begun_s)
                return
            error = answer.get("error", {})
            kind, what = str(error.get("kind", "")), str(error.get("what", ""))
            if kind in FINAL_REFUSALS:
                self.history.add(Answered(number, self.now_s(), error=kind, what=what))
                self.counts[kind] += 1
                return
            self.history.add(Answered(number, self.now_s(), lost=True, what=f"{kind}: {what}"[:300]))
            self.counts[f"repeated after {kind or 'silence'}"] += 1
            await asyncio.sleep(self.rng.uniform(*REST_S))

    async def _cancel(self, wish: Wish, after_s: float) -> None:
        await asyncio.sleep(after_s)
        named = {"strategy": self.submitter, "idempotency_key": wish.key}
        command = {"name": "cancel", "reason": "changed our mind", "who": "chaos", "body": named}
        while True:
            answer = await self._told_by(self.rng.randrange(len(self.sockets)), command)
            if "intent" in answer:
                self.counts["cancellations asked"] += 1
                return
            await asyncio.sleep(self.rng.uniform(*REST_S))

    async def _standings(self, keys: Sequence[str]) -> list[Standing]:
        body = {"strategy": self.submitter, "idempotency_keys": list(keys)}
        while True:
            kernel = self.rng.randrange(len(self.sockets))
            answer = await self._told_by(kernel, {"name": "intent", "body": body})
            if "intents" in answer:
                return [_standing(row) for row in answer["intents"] if row is not None]
            await asyncio.sleep(self.rng.uniform(*REST_S))

    async def _told_by(self, kernel: int, command: Mapping[str, object]) -> dict[str, Any]:
        try:
            return await ask(self.sockets[kernel], command)
        except (OSError, ValueError) as error:
            return {"error": {"kind": "", "what": type(error).__name__}}

    def _plan(self, wish: Wish) -> Told:
        """The same words each time, the deadline included."""
        if wish.id not in self._told:
            self._told[wish.id] = Told(
                key=wish.key,
                id=wish.id,
                sender=wish.sender,
                target=wish.target,
                data=wish.data,
                value_wei=wish.value_wei,
                deadline_s=int(time.time()) + wish.ttl_s,
                depends_on=wish.depends_on,
                depends_finality=wish.depends_finality,
            )
        return self._told[wish.id]


def _document(plan: Told, wish: Wish) -> dict[str, object]:
    return {
        "idempotency_key": plan.key,
        "signer": plan.sender,
        "deadline_s": plan.deadline_s,
        "target": plan.target,
        "body": {"kind": "direct", "data": plan.data, "value_wei": str(plan.value_wei)},
        "priority": wish.priority,
        "depends_on": list(plan.depends_on),
        "depends_finality": plan.depends_finality,
        "note": f"{wish.kind} {wish.key}",
    }


def _accept(row: dict[str, Any]) -> Accept:
    return Accept(row["idempotency_key"], row["id"], row["created"], row["plan_digest"])


def _standing(row: dict[str, Any]) -> Standing:
    return Standing(
        row["idempotency_key"], row["id"], row["plan_digest"], row["status"], row["settled"], row["reason"]
    )
