"""What wakes strategy files in a true kernel: times, events, crossings; what was missed, and what others did.

And what an operator sees of a file that wants nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from seawall.ledger.rows import IntentRow
from seawall.native import encode_call
from seawall.primitives.levels import IntentState
from seawall.rollout.devnet import OWNER, TRADERS, Devnet
from seawall.rollout.devnet.steering import mine
from seawall.strategies.scripts.memory import Memory
from tests.fixtures.kernel import KernelFolder, RunningKernel, wait_until

pytestmark = pytest.mark.anvil

HOUR_S = 3_600
AWAY_S = 3 * HOUR_S
DOLLARS = 10**8
MORE_HEADS = 3
JOB = """\
strategy: {name}
chain: 31337
account: key
accounting: weth
{more}
steps:
  - call: {{to: weth, function: "deposit()", value: 0.00{digit} native}}
expect:
  - {{holder: key, token: weth, change: 0.00{digit} weth, tolerance: 0 bps}}
"""
SECTION = """
[[strategies]]
name = "{name}"
file = "{name}.yaml"
chain_id = 31337
signer = "main"
mode = "live"
"""
WOKEN = {
    "by_event": 'triggers:\n  - event: {from: usdx, event: "Transfer(address,address,uint256)"}',
    "by_price": (
        "prices: {weth: {feed: feed_eth_usd, max_age: 1 d}}\n"
        "triggers:\n  - price: {of: price(weth), crosses: 3_000 usd, direction: up}"
    ),
    "keeper": (
        'triggers:\n  - event: {from: ethx, event: "Approval(address,address,uint256)"}\n'
        "keeper: {gas_limit: 100_000, fee_per_run: 0.01 native, fee_per_day: 0.1 native, rivals: "
        '{from: ethx, event: "Transfer(address,address,uint256)", after: 2, rest: 1_000}}'
    ),
    "waiting": "when:\n  - balance(weth) > 1_000_000 weth",
}
MISSED = {
    f"{policy}_missed": f"triggers:\n  - every: {{interval: 1 h, missed: {policy}}}"
    for policy in ("skip", "once", "all")
}


def with_files(folder: KernelFolder, files: Mapping[str, str]) -> KernelFolder:
    for digit, (name, more) in enumerate(files.items(), 1):
        (folder.directory / f"{name}.yaml").write_text(JOB.format(name=name, more=more, digit=digit))
        folder.strategies.append(SECTION.format(name=name))
    folder.write()
    return folder


def plans_of(folder: KernelFolder, name: str) -> list[IntentRow]:
    return [row for row in folder.books.intents() if row.plan.strategy == name]


@dataclass
class Woken:
    folder: KernelFolder
    kernel: RunningKernel
    devnet: Devnet

    def finding(self, name: str) -> str:
        checks = self.kernel.health("/health")[1].get("checks")
        return str(checks[f"strategy:{name}"]["finding"]) if isinstance(checks, dict) else ""

    def landed(self, name: str) -> int:
        return sum(row.state is IntentState.LANDED for row in plans_of(self.folder, name))

    def has_wanted(self, name: str, count: int) -> bool:
        return len(plans_of(self.folder, name)) == count

    def is_above(self, name: str) -> bool | None:
        """On which side of its threshold the file has last seen its value; None: it has not looked yet."""
        _, state = self.folder.books.read(lambda tx: tx.states.get(name))
        sides = [is_above for _, is_above in Memory.from_state(state).above]
        return sides[0] if sides else None

    def more_heads_pass(self) -> None:
        for _ in range(MORE_HEADS):
            mine(self.devnet)
            self.folder.follow()

    def acts(self, token: str, function: str, *values: bytes | int, sender: bytes = TRADERS[0]) -> None:
        data = encode_call(function, values)
        at = self.devnet.book.address(token)
        self.devnet.rpc.settle([self.devnet.rpc.send(type(at)(sender), at, data)], mine=True)


@pytest.fixture(scope="module")
def woken(manual_devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Woken]:
    folder = with_files(KernelFolder(tmp_path_factory.mktemp("woken") / "k", manual_devnet), WOKEN)
    with folder.run() as kernel:
        kernel.wait_ready()
        found = Woken(folder, kernel, manual_devnet)
        folder.pump(lambda: "no plan" in found.finding("waiting"), "all files were looked at")
        yield found


def test_operator_sees_why_a_file_makes_no_plan(woken: Woken) -> None:
    finding = woken.finding("waiting")
    assert finding.startswith("running: no plan at block ")
    assert finding.endswith("key when[0]: this does not hold")
    assert not plans_of(woken.folder, "waiting")
    lines = woken.folder.metrics().splitlines()
    (passes,) = [one for one in lines if one.startswith('seawall_strategy_passes_total{strategy="waiting"}')]
    assert float(passes.split()[-1]) >= 1
    told = woken.folder.seawall("status", "--kernel-only").stdout
    assert "key when[0]: this does not hold" in told


def test_event_of_a_contract_wakes_its_file_once(woken: Woken) -> None:
    assert woken.has_wanted("by_event", 0)
    woken.acts("usdx", "transfer(address,uint256)", TRADERS[1], 1)
    woken.folder.pump(lambda: woken.landed("by_event") == 1, "one event, one plan")
    woken.more_heads_pass()
    assert woken.has_wanted("by_event", 1)


def test_price_wakes_its_file_when_it_passes_the_threshold_upwards(woken: Woken) -> None:
    assert woken.has_wanted("by_price", 0)
    woken.folder.pump(lambda: woken.is_above("by_price") is False, "the price was looked at")
    for dollars, is_above, wanted in ((3_100, True, 1), (2_900, False, 1), (3_200, True, 2)):
        woken.acts("feed_eth_usd", "updateAnswer(int256)", dollars * DOLLARS, sender=OWNER)

        def is_told(is_above: bool = is_above, wanted: int = wanted) -> bool:
            return woken.is_above("by_price") is is_above and woken.landed("by_price") == wanted

        woken.folder.pump(is_told, f"{wanted} crossings upwards, now at {dollars} dollars")
        woken.more_heads_pass()
        assert woken.has_wanted("by_price", wanted)


def test_keeper_rests_where_others_do_its_job(woken: Woken) -> None:
    woken.acts("ethx", "approve(address,uint256)", TRADERS[1], 1)
    woken.folder.pump(lambda: woken.landed("keeper") == 1, "nobody else is there: it runs")
    for _ in range(2):
        woken.acts("ethx", "transfer(address,uint256)", TRADERS[1], 1)
    woken.acts("ethx", "approve(address,uint256)", TRADERS[1], 2)
    woken.folder.pump(lambda: "it rests" in woken.finding("keeper"), "it rests after two of others")
    assert "competitors did the job 2 times in a row" in woken.finding("keeper")
    assert woken.has_wanted("keeper", 1)


def pass_time_while_away(folder: KernelFolder, seconds: int) -> None:
    """As if the kernel had been stopped for so long: what it had planned lies so much further back."""
    with sqlite3.connect(folder.data / "ledger.db") as books:
        books.execute("UPDATE timers SET at_s = at_s - ?", (seconds,))
        for name, data in books.execute("SELECT strategy, data FROM strategy_states").fetchall():
            memory = Memory.from_state(data)
            earlier = tuple((trigger, at_s - seconds) for trigger, at_s in memory.schedule)
            state = replace(memory, schedule=earlier).to_state()
            books.execute("UPDATE strategy_states SET data = ? WHERE strategy = ?", (state, name))
    books.close()


def test_schedule_runs_on_time_and_what_a_stop_made_it_miss_is_up_to_its_policy(
    manual_devnet: Devnet, tmp_path: Path
) -> None:
    """Every hour; on time first, then after three hours and a half away."""
    folder = with_files(KernelFolder(tmp_path / "k", manual_devnet), MISSED)

    def is_scheduled() -> bool:
        with sqlite3.connect(folder.data / "ledger.db") as books:
            (count,) = books.execute("SELECT count(*) FROM timers").fetchone()
        books.close()
        return bool(count == len(MISSED))

    def landed(name: str) -> int:
        return sum(row.state is IntentState.LANDED for row in plans_of(folder, name))

    with folder.run() as kernel:
        kernel.wait_ready()
        folder.pump(is_scheduled, "all have set their timers")
        assert not folder.books.intents()
    pass_time_while_away(folder, HOUR_S)
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.pump(lambda: all(landed(name) == 1 for name in MISSED), "each runs once, on time")
    pass_time_while_away(folder, AWAY_S + HOUR_S // 2)
    wanted = {"skip_missed": 1, "once_missed": 2, "all_missed": 4}
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.pump(lambda: {name: landed(name) for name in MISSED} == wanted, "what each policy says")
        wait_until(lambda: kernel.health()[0] == 200, "it goes on")
    assert {name: len(plans_of(folder, name)) for name in MISSED} == wanted
