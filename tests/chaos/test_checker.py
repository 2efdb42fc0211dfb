"""The checker is believed because each of its rules notices a falsified history: one true run, and one lie at
a time.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checker import CONFLICT, RULES, check
from tests.chaos.evidence import Chain, Mined
from tests.chaos.history import (
    Accept,
    Answered,
    Asked,
    Broke,
    Foreign,
    History,
    Record,
    Standing,
    Stood,
    Told,
)

RECORDER, SINK, SENDER = "0x" + "7e" * 20, "0x" + "51" * 20, "0x" + "aa" * 20


def one(number: int) -> str:
    return f"0x{number:064x}"


def told(key: str, number: int, **changes: Any) -> Told:
    plan = Told(key, one(number), SENDER, RECORDER, "0x11223344" + one(number)[2:], 0, 1_000)
    return replace(plan, **changes)


A = told("a", 1)
B = told("b", 2, depends_on=("a",), depends_finality="final")
C = told("c", 3, target=SINK, data=one(3), value_wei=5)  # a transfer
FAILS = told("fails", 4)
REFUSED = told("refused", 5)
CANCELLED = told("cancelled", 6)
RIVAL = told("a", 7)  # another plan under a's key
EXPIRED = told("expired", 8)
PLANS = (A, B, C, FAILS, REFUSED, CANCELLED, EXPIRED)
STATUS = {
    "a": "landed",
    "b": "landed",
    "c": "landed",
    "fails": "failed",
    "refused": "refused",
    "cancelled": "cancelled",
    "expired": "expired",
}


def digest(key: str) -> str:
    return "0x" + (key * 64).encode().hex()[:64]


def accept(key: str, *, created: bool = True) -> Accept:
    return Accept(key, list(STATUS).index(key) + 1, created, digest(key))


def standing(key: str) -> Standing:
    return Standing(key, accept(key).intent, digest(key), STATUS[key], settled=True)


def stood(round_number: int) -> Stood:
    return Stood(round_number, 9.0 + round_number, tuple(standing(key) for key in STATUS))


CONFLICTING = f"key 'a' was used for plan {digest('a')} (intent #1), not for {digest('z')}"
TRUE_RECORDS: tuple[Record, ...] = (
    Asked(0, 1.0, 0, PLANS[:3]),
    Answered(0, 1.1, lost=True),
    Asked(1, 1.2, 0, PLANS[:3]),
    Answered(1, 1.3, tuple(accept(plan.key, created=False) for plan in PLANS[:3])),
    Asked(2, 1.4, 1, PLANS[3:]),
    Answered(2, 1.5, tuple(accept(plan.key) for plan in PLANS[3:])),
    Asked(3, 1.6, 0, (RIVAL,)),
    Answered(3, 1.7, error=CONFLICT, what=CONFLICTING),
    Foreign("0xf0", SENDER),
    Broke(2.0, "kill", "kernel 0"),
    stood(1),
    stood(2),
)


def mined(nonce: int, plan: Told, *, block: int, succeeded: bool = True) -> Mined:
    events = (plan.id,) if succeeded and plan.target == RECORDER else ()
    return Mined(
        f"0x{nonce:02x}", block, SENDER, nonce, plan.target, plan.data, plan.value_wei, succeeded, events
    )


FILLER = Mined("0x02", 3, SENDER, 2, SENDER, "0x", 0, True, ())
FOREIGN = Mined("0xf0", 4, SENDER, 3, SINK, "0xf0", 1, True, ())
TRUE_CHAIN = Chain(
    RECORDER,
    (SENDER,),
    (
        mined(0, A, block=1),
        mined(1, FAILS, block=2, succeeded=False),
        FILLER,
        FOREIGN,
        mined(4, B, block=5),
        mined(5, C, block=6),
    ),
    {SENDER: 6},
    (),
    {plan.id: int(plan in (A, B)) for plan in (*PLANS, RIVAL)},
)


def with_mined(*more: Mined, without: int | None = None) -> Chain:
    kept = tuple(mined for mined in TRUE_CHAIN.mined if mined.nonce != without)
    return replace(TRUE_CHAIN, mined=kept + more, next_nonces={SENDER: 6 + len(more)})


def with_record(place: int, record: Record) -> list[Record]:
    return [*TRUE_RECORDS[:place], record, *TRUE_RECORDS[place + 1 :]]


def with_standing(place: int, key: str, **changes: Any) -> list[Record]:
    true = TRUE_RECORDS[place]
    assert isinstance(true, Stood)
    told_so = tuple(replace(one, **changes) if one.key == key else one for one in true.standings)
    return with_record(place, replace(true, standings=told_so))


def without_standing(key: str) -> list[Record]:
    true = TRUE_RECORDS[11]
    assert isinstance(true, Stood)
    return with_record(11, replace(true, standings=tuple(one for one in true.standings if one.key != key)))


def broken(records: list[Record], chain: Chain = TRUE_CHAIN) -> set[str]:
    return {violation.rule for violation in check(History(records), chain)}


def test_true_run_breaks_no_rule() -> None:
    assert check(History(list(TRUE_RECORDS)), TRUE_CHAIN) == []


TWICE = with_mined(mined(6, A, block=7))
LIES: dict[str, tuple[str, list[Record], Chain]] = {
    "a plan lands twice": ("at_most_once", list(TRUE_RECORDS), TWICE),
    "a transfer lands twice": ("at_most_once", list(TRUE_RECORDS), with_mined(mined(6, C, block=7))),
    "the recorder counts twice": (
        "at_most_once",
        list(TRUE_RECORDS),
        replace(TRUE_CHAIN, executions={**TRUE_CHAIN.executions, A.id: 2}),
    ),
    "the recorder counts what no transaction did": (
        "at_most_once",
        list(TRUE_RECORDS),
        replace(TRUE_CHAIN, executions={**TRUE_CHAIN.executions, REFUSED.id: 1}),
    ),
    "an intent waits for ever": (
        "ended",
        with_standing(11, "expired", status="queued", settled=False),
        TRUE_CHAIN,
    ),
    "an outcome is not settled": ("ended", with_standing(11, "a", settled=False), TRUE_CHAIN),
    "a settled outcome changes": ("ended", with_standing(10, "expired", status="cancelled"), TRUE_CHAIN),
    "nobody asked": ("ended", list(TRUE_RECORDS[:10]), TRUE_CHAIN),
    "landed, and not on chain": ("true_outcome", list(TRUE_RECORDS), with_mined(without=5)),
    "landed, and reverted": (
        "true_outcome",
        list(TRUE_RECORDS),
        with_mined(mined(5, C, block=6, succeeded=False), without=5),
    ),
    "failed, and succeeded": (
        "true_outcome",
        list(TRUE_RECORDS),
        with_mined(mined(1, FAILS, block=2), without=1),
    ),
    "failed, and not on chain": ("true_outcome", list(TRUE_RECORDS), with_mined(without=1)),
    "refused, and on chain": ("true_outcome", list(TRUE_RECORDS), with_mined(mined(6, REFUSED, block=7))),
    "expired, and on chain": ("true_outcome", list(TRUE_RECORDS), with_mined(mined(6, EXPIRED, block=7))),
    "cancelled, and reverted on chain": (
        "true_outcome",
        list(TRUE_RECORDS),
        with_mined(mined(6, CANCELLED, block=7, succeeded=False)),
    ),
    "an accept is forgotten": ("kept", without_standing("expired"), TRUE_CHAIN),
    "an accept has another number": ("kept", with_standing(11, "a", intent=99), TRUE_CHAIN),
    "an accept has another digest": ("kept", with_standing(11, "a", digest=digest("z")), TRUE_CHAIN),
    "one key has two intents": (
        "one_effect_a_key",
        [*TRUE_RECORDS[:4], Asked(9, 1.3, 0, (A,)), Answered(9, 1.3, (replace(accept("a"), intent=50),)),
         *TRUE_RECORDS[4:]],
        TRUE_CHAIN,
    ),
    "one key is created twice": (
        "one_effect_a_key",
        [*TRUE_RECORDS[:6], Asked(9, 1.3, 0, PLANS[3:4]), Answered(9, 1.3, (accept("fails"),)),
         *TRUE_RECORDS[6:]],
        TRUE_CHAIN,
    ),
    "one key is accepted for two plans": (
        "one_effect_a_key",
        with_record(7, Answered(3, 1.7, (accept("a", created=False),))),
        TRUE_CHAIN,
    ),
    "one intent stands for two keys": (
        "one_effect_a_key",
        with_record(5, Answered(2, 1.5, tuple(replace(accept(plan.key), intent=4) for plan in PLANS[3:]))),
        TRUE_CHAIN,
    ),
    "a conflict shows one digest": (
        "conflict",
        with_record(7, Answered(3, 1.7, error=CONFLICT, what=f"key 'a' was used for {digest('a')}")),
        TRUE_CHAIN,
    ),
    "a conflict shows the wrong digests": (
        "conflict",
        with_record(7, Answered(3, 1.7, error=CONFLICT, what=f"{digest('y')} is not {digest('z')}")),
        TRUE_CHAIN,
    ),
    "a refused rival is on chain": ("conflict", list(TRUE_RECORDS), with_mined(mined(6, RIVAL, block=7))),
    "a plan is accepted and refused": (
        "conflict",
        [*TRUE_RECORDS[:8], Asked(9, 1.8, 0, (A,)), Answered(9, 1.8, error=CONFLICT, what=CONFLICTING),
         *TRUE_RECORDS[8:]],
        TRUE_CHAIN,
    ),
    "a good plan is refused": (
        "taken",
        [*TRUE_RECORDS, Asked(9, 1.8, 0, (told("good", 9),)), Answered(9, 1.8, error="PlanError", what="no")],
        TRUE_CHAIN,
    ),
    "a plan has no answer": ("taken", [*TRUE_RECORDS, Asked(9, 1.8, 0, (told("good", 9),))], TRUE_CHAIN),
    "both rivals are refused": (
        "taken",
        [*TRUE_RECORDS, Asked(9, 1.8, 0, (told("race", 9),)),
         Answered(9, 1.8, error=CONFLICT, what=CONFLICTING)],
        TRUE_CHAIN,
    ),
    "a transaction that nobody asked for": (
        "explained",
        list(TRUE_RECORDS),
        with_mined(replace(FOREIGN, nonce=6, hash="0xf1")),
    ),
    "a filler that carries value": (
        "explained",
        list(TRUE_RECORDS),
        with_mined(replace(FILLER, nonce=6, value_wei=1)),
    ),
    "a plan on chain that was never accepted": (
        "explained",
        [*TRUE_RECORDS, Asked(9, 1.8, 0, (told("good", 9),))],
        with_mined(mined(6, told("good", 9), block=7)),
    ),
    "the recorder saw an id of nobody": (
        "explained",
        list(TRUE_RECORDS),
        with_mined(replace(FOREIGN, nonce=6, recorded=(one(99),))),
    ),
    "a nonce is missing": ("nonces", list(TRUE_RECORDS), replace(with_mined(without=2))),
    "the chain has used more nonces": (
        "nonces",
        list(TRUE_RECORDS),
        replace(TRUE_CHAIN, next_nonces={SENDER: 7}),
    ),
    "bytes still wait in the node": ("nonces", list(TRUE_RECORDS), replace(TRUE_CHAIN, pool=("0x99",))),
    "a dependent lands before what it needs": (
        "order",
        list(TRUE_RECORDS),
        with_mined(mined(4, B, block=1), without=4),
    ),
    "a dependent lands though what it needs did not": (
        "order",
        list(TRUE_RECORDS),
        with_mined(without=0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_falsified_run_is_noticed(lie: str) -> None:
    rule, records, chain = LIES[lie]
    assert rule in broken(records, chain)


def test_every_rule_has_a_lie_that_it_notices() -> None:
    assert {rule for rule, _, _ in LIES.values()} == set(RULES)


def test_history_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with path.open("w") as stream:
        written = History(stream=stream)
        for record in TRUE_RECORDS:
            written.add(record)
    assert History.read(path).records == list(TRUE_RECORDS)


def test_chain_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    TRUE_CHAIN.write(tmp_path / "chain.json")
    assert Chain.read(tmp_path / "chain.json") == TRUE_CHAIN
