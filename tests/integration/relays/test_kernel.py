"""Private plans through a true kernel and a relay that behaves, or does not: what it is given lands, is
withdrawn, repriced or made public as the plan says, and every hash stays watched."""

from __future__ import annotations

import itertools
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from seawall.ledger.rows import AttemptRow, IntentRow
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import IntentState
from seawall.primitives.units import hex_text
from seawall.rollout.devnet import Devnet
from seawall.runtime.commands import Command, ask
from seawall.runtime.places import SOCKET_NAME
from tests.fixtures.kernel import DEPOSIT, ETHER, WAIT_S, KernelFolder, RunningKernel
from tests.fixtures.relay import Mode, Relay, running_relay

pytestmark = pytest.mark.anvil
WINDOW_BLOCKS = 2
WIDE_BLOCKS = 400  # where the window is not the subject: no test makes so many
PAUSE_S = 0.03
QUIET_S = 0.15
EVENTS_MAX = 10_000
ROUTES = """
[[chains.relays]]
name = "builder"
dialect = "flashbots"
urls = ["{url}"]
answer_timeout_s = 0.5
[chains.private]
lanes = "mixed"
window_blocks = {window}
[[chains.private.above]]
token = "native"
amount = "2"
"""
SUBMITTER = """
[[submitters]]
name = "treasury"
chain_id = 31337
signers = ["main"]
"""


@dataclass
class House:
    """A kernel whose blocks its relay makes."""

    folder: KernelFolder
    relay: Relay
    kernel: RunningKernel | None = None
    counter: Iterator[int] = field(default_factory=itertools.count)

    def submit(self, *plans: dict[str, object]) -> list[IntentNumber]:
        answer = self.command("submit", submitter="treasury", plans=list(plans))
        rows = answer["plans"]
        assert isinstance(rows, list)
        return [IntentNumber(row["id"]) for row in rows]

    def command(self, name: str, **body: object) -> Mapping[str, object]:
        """As the program says it to the kernel, without starting the program."""
        answer = ask(self.folder.data / SOCKET_NAME, Command(name, reason="test", who="tester", body=body))
        assert answer is not None, "no kernel listens"
        return answer

    def plan(self, value_wei: int = ETHER // 100, **routing: object) -> dict[str, object]:
        return {
            "idempotency_key": f"plan-{next(self.counter)}",
            "deadline_s": int(time.time()) + 900,
            "target": "@weth",
            "body": {"kind": "direct", "data": hex_text(DEPOSIT), "value_wei": str(value_wei)},
            "accounting_token": "@weth",
            **({"routing": routing} if routing else {}),
        }

    def pump(self, holds: Callable[[], bool], what: str) -> None:
        """A block at a time, each when the kernel has had time for the one before."""
        until_s = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < until_s, f"waited, and not: {what}\n{self.folder.told()}"
            self.relay.seal()
            self.follow()

    def follow(self) -> None:
        """Give the kernel the time that a true chain gives it between two blocks: it is at the new head, and
        its relay has had a moment to hear of it."""
        self.folder.follow()
        quiet_s = time.monotonic() + QUIET_S
        while time.monotonic() < quiet_s and not self.is_held():
            time.sleep(PAUSE_S)

    def is_held(self, raw: str = "") -> bool:
        """The relay has a bundle for the next block, with these bytes if any are given."""
        block = self.relay.number() + 1
        return any(
            one.block <= block <= max(one.block, one.until) and (not raw or raw in one.raws)
            for one in self.relay.held
        )

    def metric(self, name: str, relay: str) -> float:
        (found,) = re.findall(rf'^{name}\{{relay="{relay}"\}} (\S+)$', self.folder.metrics(), re.MULTILINE)
        return float(found)

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        """Without a block."""
        until_s = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < until_s, f"waited, and not: {what}\n{self.folder.told()}"
            time.sleep(PAUSE_S)

    def lands(self, number: IntentNumber) -> IntentRow:
        """By the relay: no block comes before that has its bytes for it."""
        raw = hex_text(self.attempts(number)[-1].raw)
        self.wait(lambda: self.is_held(raw), f"the relay has intent {number} for the next block")
        self.relay.seal()
        self.follow()
        return self.ended(number)

    def ended(self, number: IntentNumber) -> IntentRow:
        self.pump(lambda: self.intent(number).is_settled, f"intent {number} is settled")
        return self.intent(number)

    def intent(self, number: IntentNumber) -> IntentRow:
        return self.folder.books.read(lambda tx: tx.intents.get(number))

    def attempts(self, number: IntentNumber) -> list[AttemptRow]:
        return self.folder.books.attempts(number)

    def is_pooled(self, attempt: AttemptRow) -> bool:
        return self.folder.knows(attempt.hash)

    def events(self, kind: str, number: IntentNumber) -> int:
        rows = self.folder.books.read(lambda tx: tx.events.after(0, EVENTS_MAX, [kind]))
        return sum(row.intent == number for row in rows)


def folder_at(directory: Path, devnet: Devnet, relay: Relay) -> KernelFolder:
    extra = ROUTES.format(url=relay.url, window=WINDOW_BLOCKS)
    folder = KernelFolder(directory, devnet, 1_000 * ETHER, rpc_url=relay.node_url, chain_extra=extra)
    folder.strategies.append(SUBMITTER)
    folder.write()
    return folder


@pytest.fixture(scope="module")
def house(manual_devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One kernel for the tests of this module: each leaves its lane empty."""
    with running_relay(manual_devnet.info.rpc_url) as relay:
        folder = folder_at(tmp_path_factory.mktemp("house") / "k", manual_devnet, relay)
        with folder.run() as kernel:
            kernel.wait_ready()
            yield House(folder, relay, kernel)


@pytest.fixture(autouse=True)
def behaving(house: House) -> None:
    house.relay.mode = Mode.LANDS
    house.relay.withholds = False
    house.relay.passes_over = set()
    house.relay.held.clear()
    house.relay.cancelled.clear()


def test_plan_above_the_threshold_lands_by_the_relay_and_was_never_public(house: House) -> None:
    before = house.metric("seawall_private_landed_total", "builder")
    small, large = house.submit(house.plan(ETHER), house.plan(3 * ETHER, window_blocks=WIDE_BLOCKS))
    assert house.ended(small).state is IntentState.LANDED
    assert house.ended(large).state is IntentState.LANDED
    (public,), (private,) = house.attempts(small), house.attempts(large)
    assert (public.route, private.route) == ("public", "builder:bundle")
    assert hex_text(private.raw) not in house.relay.public
    assert hex_text(public.raw) in house.relay.public
    assert house.metric("seawall_private_landed_total", "builder") == before + 1


def test_two_private_plans_of_one_lane_land_in_one_block_by_one_bundle(house: House) -> None:
    first, second = house.submit(house.plan(private=True), house.plan(private=True))
    house.wait(lambda: any(len(one.raws) == 2 for one in house.relay.held), "a bundle of both is held")
    house.relay.seal()
    for number in (first, second):
        assert house.ended(number).state is IntentState.LANDED
    one, other = house.folder.books.read(
        lambda tx: (tx.inclusions.of_intent(first), tx.inclusions.of_intent(second))
    )
    assert one is not None
    assert other is not None
    assert one.block_hash == other.block_hash


def test_relay_that_never_lands_is_given_its_window_then_the_plan_expires(house: House) -> None:
    house.relay.mode = Mode.NEVER
    (number,) = house.submit(house.plan(private=True))
    row = house.ended(number)
    (attempt,) = house.attempts(number)
    assert row.state is IntentState.CANCELLED
    assert "did not land it within its window" in row.reason
    assert len(house.relay.cancelled) >= 1, "it was withdrawn by its name"
    assert hex_text(attempt.raw) not in house.relay.public
    assert not house.folder.knows(attempt.hash)
    assert house.events("private.withdrawn", number) == 1


def test_plan_that_reprices_is_signed_dearer_under_the_same_name_and_lands_privately(house: House) -> None:
    house.relay.mode = Mode.NEVER
    (number,) = house.submit(house.plan(private=True, unlanded="reprice"))
    house.pump(lambda: len(house.attempts(number)) == 2, "it is repriced")
    house.relay.mode = Mode.LANDS
    assert house.lands(number).state is IntentState.LANDED
    cheap, dear = house.attempts(number)[:2]
    assert dear.max_fee_per_gas_wei > cheap.max_fee_per_gas_wei
    assert (dear.route, dear.nonce) == (cheap.route, cheap.nonce)
    assert {hex_text(cheap.raw), hex_text(dear.raw)}.isdisjoint(house.relay.public)


def test_plan_that_goes_public_does_so_with_the_same_bytes_after_its_window(house: House) -> None:
    house.relay.mode = Mode.NEVER
    (number,) = house.submit(house.plan(private=True, unlanded="public"))
    assert house.ended(number).state is IntentState.LANDED
    (attempt,) = house.attempts(number)
    assert attempt.route == "public"
    assert hex_text(attempt.raw) in house.relay.public
    assert house.events("attempt.made_public", number) == 1


def test_bundle_that_lands_late_is_told_as_landed_though_it_was_withdrawn(house: House) -> None:
    house.relay.mode = Mode.NEVER
    (number,) = house.submit(house.plan(private=True))
    house.wait(lambda: house.relay.held != [], "the bundle is held")
    (bundle,) = house.relay.held
    house.relay.withholds = True
    public = len(house.relay.public)
    house.pump(lambda: house.events("slot.filled", number) == 1, "its nonce is being filled")
    house.wait(lambda: len(house.relay.public) > public, "the filler is public")
    # A builder that kept it includes it before the filler: no block could hold that one until now.
    house.relay.rpc("eth_sendRawTransaction", bundle.raws[0])
    house.relay.rpc("evm_mine")
    house.relay.withholds = False
    assert house.ended(number).state is IntentState.LANDED
    house.folder.assert_books_balance()


def test_relay_that_is_late_by_a_block_lands_it_within_the_window(house: House) -> None:
    house.relay.mode, house.relay.late_by = Mode.LATE, 1
    (number,) = house.submit(house.plan(private=True, window_blocks=WIDE_BLOCKS))
    assert house.ended(number).state is IntentState.LANDED


def test_leak_is_told_and_what_lands_by_it_counts(house: House) -> None:
    house.relay.mode = Mode.LEAKS
    (number,) = house.submit(house.plan(private=True))
    house.wait(lambda: any(map(house.is_pooled, house.attempts(number))), "it leaked")
    assert house.ended(number).state is IntentState.LANDED
    (attempt,) = house.attempts(number)
    assert attempt.route == "builder:bundle"


@pytest.mark.parametrize("mode", [Mode.REFUSES, Mode.HANGS, Mode.RUBBISH])
def test_relay_that_takes_nothing_harms_no_public_plan_and_its_own_expires(house: House, mode: Mode) -> None:
    house.relay.mode = mode
    (private,) = house.submit(house.plan(private=True))
    assert house.ended(private).state is IntentState.CANCELLED
    (attempt,) = house.attempts(private)
    assert hex_text(attempt.raw) not in house.relay.public
    (public,) = house.submit(house.plan())
    assert house.ended(public).state is IntentState.LANDED


def test_plan_that_is_cancelled_is_withdrawn_from_its_relay(house: House) -> None:
    house.relay.mode = Mode.NEVER
    plan = house.plan(private=True, window_blocks=WIDE_BLOCKS)
    (number,) = house.submit(plan)
    house.wait(lambda: house.relay.held != [], "the bundle is held")
    house.command("cancel", id=number)
    row = house.ended(number)
    assert (row.state, "test" in row.reason) == (IntentState.CANCELLED, True)
    assert len(house.relay.cancelled) >= 1
    assert house.relay.held == []


def test_stop_is_told_to_the_relay_and_what_it_held_is_handed_over_again_after_it(house: House) -> None:
    house.relay.mode = Mode.NEVER
    (number,) = house.submit(house.plan(private=True, window_blocks=WIDE_BLOCKS))
    house.wait(lambda: house.relay.held != [], "the bundle is held")
    assert house.folder.seawall("halt", "--reason", "test").returncode == 0
    house.relay.seal()
    house.wait(lambda: house.relay.cancelled != [], "it was recalled")
    asked = [method for method, _ in house.relay.received if method == "eth_sendBundle"]
    house.relay.seal()
    house.follow()
    assert asked == [method for method, _ in house.relay.received if method == "eth_sendBundle"]
    house.relay.mode = Mode.LANDS
    assert house.folder.seawall("resume", "--reason", "test").returncode == 0
    assert house.ended(number).state is IntentState.LANDED


def test_alternatives_share_a_nonce_one_lands_and_the_rest_end_cancelled(house: House) -> None:
    house.relay.mode = Mode.NEVER
    wishes: dict[str, object] = {"private": True, "alternatives": "either", "window_blocks": WIDE_BLOCKS}
    first, second = house.submit(house.plan(5, **wishes), house.plan(7, **wishes))
    house.wait(lambda: len({one.name for one in house.relay.held}) == 2, "both are held side by side")
    (one,), (other,) = house.attempts(first), house.attempts(second)
    assert (one.nonce, one.lane) == (other.nonce, other.lane)
    house.relay.passes_over = {hex_text(one.hash)}
    house.relay.mode = Mode.LANDS
    assert house.lands(second).state is IntentState.LANDED
    beaten = house.intent(first)
    assert (beaten.state, beaten.reason) == (IntentState.CANCELLED, "an alternative to it used the nonce")
    # What was written is marked a little later, so the row itself may differ.
    assert [(each.hash, each.nonce) for each in house.attempts(first)] == [(one.hash, one.nonce)]
    (late,) = house.submit(house.plan(9, **wishes))
    assert house.ended(late).state is IntentState.CANCELLED
    assert house.attempts(late) == []
    house.folder.assert_books_balance()


def test_alternatives_that_no_relay_lands_are_filled_once_both_windows_are_over(house: House) -> None:
    house.relay.mode = Mode.NEVER
    wishes: dict[str, object] = {"private": True, "alternatives": "neither"}
    numbers = house.submit(house.plan(5, **wishes), house.plan(7, **wishes))
    for number in numbers:
        row = house.ended(number)
        assert row.state is IntentState.CANCELLED
        assert "within its window" in row.reason
    assert {attempt.nonce for number in numbers for attempt in house.attempts(number)} != set()
    assert sum(house.events("slot.filled", number) for number in numbers) == 1
    assert house.folder.books.read(lambda tx: tx.slots.open(house.attempts(numbers[0])[0].lane)) == []


def test_kernel_that_was_killed_goes_on_privately_under_the_same_name(house: House, tmp_path: Path) -> None:
    house.relay.mode = Mode.NEVER
    folder = folder_at(tmp_path / "k", house.folder.devnet, house.relay)
    other = House(folder, house.relay)
    with folder.run() as kernel:
        kernel.wait_ready()
        (number,) = other.submit(other.plan(private=True, window_blocks=WIDE_BLOCKS))
        other.wait(lambda: house.relay.held != [], "the bundle is held")
        kernel.signal(signal.SIGKILL)
        assert kernel.wait_end() != 0
    (before,) = house.relay.held
    house.relay.held.clear()
    with folder.run() as kernel:
        kernel.wait_ready()
        other.pump(lambda: house.relay.held != [], "the bundle is held again")
        assert (house.relay.held[-1].name, house.relay.held[-1].raws) == (before.name, before.raws)
        house.relay.mode = Mode.LANDS
        assert other.ended(number).state is IntentState.LANDED
    assert set(before.raws).isdisjoint(house.relay.public)
