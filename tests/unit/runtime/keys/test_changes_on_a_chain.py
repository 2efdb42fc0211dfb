"""Key changes on a model chain: what is stuck, other people's words, chains of them, taking them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.chain.data_fees import DataFee, DataFees
from seawall.chain.rpc import RpcError
from seawall.ledger.key_changes import KeyChange
from seawall.primitives.blocks import Block
from seawall.primitives.errors import PlanError
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import Authority, IntentState
from seawall.primitives.observations import Decision
from seawall.primitives.plans import DirectBody
from seawall.primitives.units import Address, Hash, address_text
from seawall.primitives.verdicts import Payload
from seawall.runtime.commands import Command
from seawall.runtime.configuration.names import RETIREMENT
from seawall.runtime.keys import changes as key_changes
from seawall.runtime.keys import retiring
from seawall.runtime.keys.changes import REST_S, KeyKeeper
from seawall.runtime.keys.commands import KeyCommands
from seawall.runtime.keys.retiring import NATIVE_WAITS_TRIES, RETRY_S_MAX, KeyBounds
from tests.builders import chain_model
from tests.builders.chain_model import ChainModel, ModelTransaction
from tests.builders.pipeline import ETHER, Pipeline, pipeline

GARBLED, STUCK, OTHER = (Address(bytes([n]) * 20) for n in (0xA1, 0xA2, 0xA3))
WORD = 32


@dataclass(slots=True)
class TokenModel(ChainModel):
    """Tokens that answer every balance with the same bytes, and move nothing."""

    answers: dict[bytes, bytes] = field(default_factory=dict)

    @override
    async def send(self, requests: Sequence[Any]) -> list[object | RpcError]:
        found = await ChainModel.send(self, requests)
        for place, request in enumerate(requests):
            if request.method == "eth_call":
                target = bytes.fromhex(request.params[0]["to"][2:])
                found[place] = "0x" + self.answers.get(target, b"").hex()
        return found


@dataclass(slots=True)
class Keys:
    """A keeper and its commands on a pipeline."""

    found: Pipeline
    keeper: KeyKeeper
    commands: KeyCommands

    def lane(self, place: int) -> Lane:
        return Lane(self.found.model.chain_id, list(self.found.signers)[place])

    async def retire(self, place: int, successor: int) -> None:
        body = {"successor": address_text(self.lane(successor).key)}
        await self.commands.retire(Command("retire_key", str(self.lane(place)), "old", "me", body))

    async def adopt(self, through_nonce: int) -> None:
        body = {"through_nonce": through_nonce}
        await self.commands.adopt(Command("adopt_key", str(self.lane(0)), "from elsewhere", "me", body))

    async def changes(self) -> list[KeyChange]:
        return await self.found.ledger.read(lambda tx: tx.key_changes.all())

    async def rounds(self, count: int) -> None:
        """So many looks, with what they want brought beyond finality, an hour apart."""
        for _ in range(count):
            await self.keeper.look()
            await self.found.dispatch()
            await self.found.block(4)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(chain_model, "BLOCK_S", RETRY_S_MAX)
                await self.found.empty_block()

    async def moves(self) -> list[tuple[Address, IntentState]]:
        rows = await self.found.ledger.read(lambda tx: tx.intents.listing(1_000, strategy=RETIREMENT))
        return [(row.plan.target, row.state) for row in reversed(rows)]

    async def told(self) -> list[dict[str, object]]:
        return [dict(event.data) for event in await self.found.events("key.retired")]


def keys_of(found: Pipeline, *tokens: Address, ours: int = 3) -> Keys:
    chain_id = found.model.chain_id
    entries = [
        AddressEntry(chain_id, f"token{n}", token, AddressKind.TOKEN, "here", bytes(32), decimals=18)
        for n, token in enumerate(tokens)
    ]
    bounds = {Lane(chain_id, key): KeyBounds(0, 100 * ETHER) for key in list(found.signers)[:ours]}
    keeper = KeyKeeper(
        found.ledger,
        {chain_id: found.chain},
        {chain_id: AddressBook(chain_id, entries)},
        found.clock,
        bounds,
    )
    return Keys(found, keeper, KeyCommands(found.ledger, keeper, bounds.keys(), found.clock))


async def test_a_key_that_is_adopted_while_its_kernel_runs_stays_quarantined(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        keys = keys_of(found)
        await keys.adopt(through_nonce=5)
        await keys.keeper.look()
        (change,) = await keys.changes()
        assert change.ended_at_s is None
        assert found.lane in found.chain.desk.quarantined, "before the next look at the leases"
        (number,) = await found.submit(found.plan("waits"))
        assert (await found.intent(number)).state is IntentState.QUEUED


async def nonces(found: Pipeline) -> list[tuple[int, str, bool]]:
    rows = await found.ledger.read(lambda tx: tx.slots.listing(100, lane=found.lane))
    return sorted((row.nonce, row.purpose, row.final) for row in rows)


async def test_a_lane_with_slots_of_ours_goes_on_after_the_nonces_of_others_despite_a_reorg(
    tmp_path: Path,
) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        keys = keys_of(found)
        await found.submit(found.plan("ours"))
        await found.block(5)
        await keys.adopt(through_nonce=2)
        (waiting,) = await found.submit(found.plan("next"))
        theirs = [ModelTransaction(Hash(bytes([seed]) * 32), found.key, seed) for seed in (1, 2)]
        found.model.mine(*theirs)
        await found.look()
        await keys.keeper.look()
        found.model.reorg(1)
        await found.empty_block(2)
        await keys.keeper.look()
        assert (await keys.changes())[0].ended_at_s is None
        found.model.mine(*theirs)
        await found.empty_block(5)
        await keys.keeper.look()
        assert (await keys.changes())[0].ended_at_s is not None
        await found.chain.loop.leases.tick()
        await found.look()
        await found.block(5)
        assert (await found.intent(waiting)).state is IntentState.LANDED
        assert await nonces(found) == [
            (0, "plan", True), (1, "foreign", True), (2, "foreign", True), (3, "plan", True)
        ]  # fmt: skip


@pytest.mark.parametrize("through_nonce", [0, 1, 2])
async def test_a_lane_that_is_released_by_hand_during_an_adoption_goes_on(
    tmp_path: Path, through_nonce: int
) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        keys = keys_of(found)
        await keys.adopt(through_nonce)
        found.model.mine(ModelTransaction(Hash(b"\x01" * 32), found.key, 0))
        await found.empty_block(5)
        await found.ledger.write(lambda tx: tx.lanes.quarantine(found.lane, None))
        await keys.keeper.look()
        assert (await keys.changes())[0].ended_at_s is not None
        await found.chain.loop.leases.tick()
        (number,) = await found.submit(found.plan("next"))
        await found.block(5)
        assert (await found.intent(number)).state is IntentState.LANDED


async def test_a_quarantine_of_another_cause_outlasts_an_adoption(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        keys = keys_of(found)
        await found.ledger.write(lambda tx: tx.lanes.quarantine(found.lane, "restored: look first"))
        await keys.adopt(through_nonce=0)
        found.model.head.nonces[found.key] = 1
        await found.empty_block(5)
        await keys.keeper.look()
        (change,) = await keys.changes()
        row = await found.ledger.read(lambda tx: tx.lanes.get(found.lane))
        assert change.ended_at_s is not None
        assert row is not None
        assert row.quarantine == "restored: look first"


async def test_a_token_that_cannot_be_read_and_one_that_does_not_move_keep_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = NATIVE_WAITS_TRIES + 1
    monkeypatch.setattr(retiring, "TRIES_MAX", tries)
    model = TokenModel()
    model.answers = {GARBLED: b"\x01" * 31, STUCK: (7).to_bytes(WORD, "big")}
    async with pipeline(model, tmp_path, keys=2) as found:
        keys = keys_of(found, GARBLED, STUCK)
        await keys.retire(0, 1)
        await keys.rounds(NATIVE_WAITS_TRIES + 1)
        heir = keys.lane(1).key
        moves = await keys.moves()
        assert moves == [(STUCK, IntentState.REFUSED)] * NATIVE_WAITS_TRIES + [(heir, IntentState.LANDED)]
        assert await keys.told() == []
        await keys.rounds(2)
        (told,) = await keys.told()
        assert told["stays"] == f"? of {address_text(GARBLED)}, 7 of {address_text(STUCK)}"
        assert len(await keys.moves()) == tries + 1


async def test_while_nothing_is_due_the_chain_is_not_asked_at_each_look(tmp_path: Path) -> None:
    model = TokenModel()
    model.answers = {STUCK: (7).to_bytes(WORD, "big")}
    async with pipeline(model, tmp_path, keys=2) as found:
        keys = keys_of(found, STUCK)
        await keys.retire(0, 1)
        for _ in range(2):
            await keys.keeper.look()
            await found.dispatch()
        before = len(model.requests)
        for _ in range(5):
            await keys.keeper.look()
        assert len(model.requests) == before
        found.clock.ahead_s += REST_S
        await keys.keeper.look()
        assert len(model.requests) > before


async def test_what_a_roll_up_takes_for_data_stays_with_the_last_transfer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def most_now(_fees: DataFees, _payload: Payload, _block: Block) -> DataFee:
        return DataFee(fee_wei=ETHER)

    monkeypatch.setattr(key_changes, "most_now", most_now)
    async with pipeline(ChainModel(), tmp_path, keys=2) as found:
        keys = keys_of(found)
        await keys.retire(0, 1)
        await keys.keeper.look()
        (row,) = await found.ledger.read(lambda tx: tx.intents.listing(9, strategy=RETIREMENT))
        assert isinstance(row.plan.body, DirectBody)
        assert 8 * ETHER < row.plan.body.value_wei < 9 * ETHER, "of ten"


async def test_tries_are_not_used_up_while_authority_refuses_them(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, keys=2) as found:
        keys = keys_of(found)
        found.latch.lower(Authority.REDUCE_ONLY, "careful", "me")
        await keys.retire(0, 1)
        await keys.rounds(2)
        assert await keys.moves() == []


async def test_what_a_retired_key_holds_goes_past_a_successor_that_is_retired_too(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, keys=3) as found:
        keys = keys_of(found)
        await keys.retire(0, 1)
        await keys.retire(1, 2)
        last = keys.lane(2).key
        with pytest.raises(PlanError, match="is retired") as refused:
            await found.chain.intake.accept(Decision("keeper", 1, 0, (found.plan("late"),)))
        assert address_text(last) in refused.value.fix
        await keys.rounds(3)
        assert {target for target, _ in await keys.moves()} == {last}
        assert len(await keys.told()) == 2


async def test_a_plan_that_is_said_again_is_known_though_its_key_is_retired_meanwhile(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, keys=2) as found:
        keys = keys_of(found)
        plan, late = found.plan("early"), found.plan("late")
        (number,) = await found.submit(plan)
        await keys.retire(0, 1)
        (again,) = await found.chain.intake.accept(Decision("keeper", 9, 0, (plan,)))
        assert again.number == number
        with pytest.raises(PlanError, match="is retired"):
            await found.chain.intake.accept(Decision("keeper", 9, 0, (plan, late)))


async def test_a_key_that_is_kept_does_not_send_away_what_was_about_to_go(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, keys=2) as found:
        keys = keys_of(found)
        await keys.retire(0, 1)
        await keys.keeper.look()
        assert len(await keys.moves()) == 1
        await keys.commands.keep(Command("keep_key", str(keys.lane(0)), "by mistake", "me"))
        await found.block(5)
        assert [state for _, state in await keys.moves()] == [IntentState.CANCELLED]
        (number,) = await found.submit(found.plan("again"))
        await found.block(4)
        assert (await found.intent(number)).state is IntentState.LANDED


async def test_trouble_with_one_change_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pipeline(ChainModel(), tmp_path, keys=3) as found:
        keys = keys_of(found)
        await keys.retire(0, 2)
        await keys.retire(1, 2)
        first, true_read = min(keys.lane(0), keys.lane(1)).key, KeyKeeper._held

        async def read(self: KeyKeeper, chain: Any, key: Address, head: Any) -> Any:
            if key == first:
                raise PlanError("no", "here", "none")
            return await true_read(self, chain, key, head)

        monkeypatch.setattr(KeyKeeper, "_held", read)
        await keys.rounds(2)
        assert [change.ended_at_s is None for change in await keys.changes()] == [True, False]
