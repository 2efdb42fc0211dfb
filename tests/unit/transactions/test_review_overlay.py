"""The overlay: committed and unlanded attempts in an order in which they run, on the head of the verdict."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast
from unittest.mock import AsyncMock

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.data_fees import NoDataFees
from seawall.chain.networks import network_of
from seawall.chain.simulation import Simulator
from seawall.chain.state import AccountAt, StateAt, StateKeys
from seawall.ledger.rows import AttemptRow
from seawall.primitives.blocks import Block
from seawall.primitives.errors import StaleError
from seawall.primitives.identifiers import AttemptNumber, Lane
from seawall.primitives.levels import Authority, WriteKind
from seawall.primitives.ports import InlineOffload
from seawall.primitives.units import Address, Hash
from seawall.primitives.verdicts import Payload
from seawall.risk.gate import Gate
from seawall.risk.limits import OurAddresses, RiskLimits
from seawall.risk.reduce import ReduceRule
from seawall.transactions.desk import Desk, DeskParts
from seawall.transactions.judging import judge
from seawall.transactions.routes import Routes
from tests.builders.messages import CHAIN_ID, ETHER, GWEI, KEY, NOW_S, block, candidate, direct_plan

LANE = Lane(CHAIN_ID, KEY)
OTHER = Lane(CHAIN_ID, Address(b"\x0a" * 20))


class RichAccounts:
    """Every account has ten ether, no code and nonce 5."""

    async def fetch_state(self, keys: StateKeys, block: Block) -> StateAt:
        accounts = tuple(AccountAt(address, 10 * ETHER, 5) for address in keys.accounts)
        codes = tuple((address, b"") for address in (*keys.accounts, *keys.codes))
        return StateAt(accounts, tuple((a, s, bytes(32)) for a, s in keys.slots), codes)

    async def access_hint(self, payload: Payload, block: Block) -> StateKeys:
        return StateKeys()

    async def block_hashes(self, numbers: object, block: Block) -> list[tuple[int, Hash]]:
        return []


def attempt(number: int, nonce: int, lane: Lane = LANE) -> AttemptRow:
    payload = Payload(CHAIN_ID, lane.key, lane.key, b"", 0, 21_000)
    return AttemptRow(
        AttemptNumber(number), lane, nonce, nonce, Hash(number.to_bytes(32, "big")), b"", payload,
        Hash(bytes(32)), WriteKind.PLAN, 10 * GWEI, 1, "public", None, 0, NOW_S, 0, None, "", (),
    )  # fmt: skip


def desk() -> Desk:
    simulator = Simulator(cast(ChainClient, RichAccounts()), network_of(CHAIN_ID), InlineOffload())
    gate = Gate(RiskLimits(), OurAddresses(frozenset({KEY}), None), ReduceRule({}, (), (), ()))
    clock = SimpleNamespace(now_s=lambda: NOW_S)
    fees = SimpleNamespace(quotes=AsyncMock(return_value={}))
    client = SimpleNamespace(nonces_at=AsyncMock(return_value=[]))
    parts = SimpleNamespace(
        routes=Routes(),
        simulator=simulator,
        gate=gate,
        clock=clock,
        fees=fees,
        client=client,
        data_fees=NoDataFees(),
    )
    return Desk(cast(DeskParts, parts))


def order(desk: Desk) -> list[tuple[int, int]]:
    return [(row.number, row.nonce) for row in desk.unlanded()]


async def test_a_filled_gap_stands_before_the_successors_that_were_committed_earlier() -> None:
    found = desk()
    rows = [attempt(1, 6), attempt(2, 0, OTHER), attempt(3, 7), attempt(4, 5)]
    found.load(rows, {})
    assert order(found) == [(4, 5), (1, 6), (2, 0), (3, 7)]


async def test_a_filler_takes_the_place_of_the_attempt_that_it_replaces() -> None:
    found = desk()
    rows = [attempt(1, 5), attempt(2, 6), attempt(3, 5)]
    found.load(rows, {})
    assert order(found) == [(3, 5), (2, 6)]


async def test_candidate_behind_a_filled_slot_runs_and_is_not_refused_for_its_nonce() -> None:
    found = desk()
    rows = [attempt(1, 5), attempt(2, 6), attempt(3, 5)]
    found.load(rows, {})
    found.move_to(block())
    await found.stand_on_head()
    payload = rows[0].payload
    execution = await found.parts.simulator.run(payload, 7, 10 * GWEI)
    assert execution.transactions[0].success, execution.transactions[0].failure


async def test_renewal_behind_a_filled_slot_is_judged_after_the_filler() -> None:
    found = desk()
    rows = [attempt(1, 5), attempt(2, 6), attempt(3, 5), attempt(4, 7)]
    found.load(rows, {})
    found.move_to(block())
    await found.stand_on_head()
    await found.rebuild_overlay(before=rows[1])
    execution = await found.parts.simulator.run(rows[1].payload, 6, 10 * GWEI)
    assert execution.transactions[0].success, execution.transactions[0].failure


async def test_base_serves_until_the_next_one_is_prepared_and_the_overlay_moves_with_it() -> None:
    found, first, second = desk(), block(), replace(block(number=101), hash=Hash(b"\xcc" * 32))
    found.note_canonical((first, second), ())
    found.load([attempt(1, 5)], {})
    found.move_to(first)
    await found.stand_on_head()
    found.move_to(second)
    assert found.is_ready
    assert found.base() == first
    await found.prepare_head()
    assert found.base() == first
    found.take(attempt(2, 6))  # committed while the next base was prepared
    await found.stand_on_head()
    assert (found.is_ready, found.base()) == (True, second)
    execution = await found.parts.simulator.run(attempt(3, 7).payload, 7, 10 * GWEI)
    assert execution.transactions[0].success, execution.transactions[0].failure
    assert execution.base_hash == second.hash


async def test_nothing_is_judged_on_a_base_that_a_reorg_took_away() -> None:
    found, first, second = desk(), block(), replace(block(number=101), hash=Hash(b"\xcc" * 32))
    found.note_canonical((first,), ())
    found.move_to(first)
    await found.stand_on_head()
    found.note_canonical((second,), (first,))
    found.move_to(second)
    assert not found.is_ready


async def test_verdict_on_another_base_than_the_simulated_one_is_stale() -> None:
    found = desk()
    found.move_to(block())
    await found.stand_on_head()
    elsewhere = replace(block(number=101), hash=Hash(b"\xcc" * 32))
    with pytest.raises(StaleError, match="candidate's base"):
        await judge(found, replace(candidate(direct_plan(), base=elsewhere), nonce=5), Authority.RUN)


@pytest.mark.parametrize("nonce", [4, 6])
async def test_nonce_that_does_not_follow_is_stale_and_no_refusal(nonce: int) -> None:
    found = desk()
    found.move_to(block())
    await found.stand_on_head()
    out_of_turn = replace(candidate(direct_plan()), nonce=nonce)
    with pytest.raises(StaleError, match="rejected: nonce"):
        await judge(found, out_of_turn, Authority.RUN)
