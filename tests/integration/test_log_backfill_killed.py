"""A backfill in a process of its own, killed at random moments while it works on a provider with caps."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.migrate import create
from seawall.primitives.ports import SystemClock, SystemEntropy
from tests.fixtures.backfilling_process import QUESTION
from tests.fixtures.log_provider import History, Served, Terms, provided_history

ROOT = Path(__file__).parents[2]
BLOCKS = 25_000
TERMS = Terms(block_cap=500, log_cap=2_000, dialect="infura")
SEED = 11
WORKERS = 3
KILLS = 3
WAIT_S = 60.0


def killed_after(provider: Served, command: list[str], calls: int) -> bool:
    """Kill it once the provider was asked so often more. False if it had ended before."""
    wanted = provider.counts().get("eth_getLogs", 0) + calls
    with subprocess.Popen(command, cwd=ROOT) as process:
        until_s = time.monotonic() + WAIT_S
        while process.poll() is None and provider.counts().get("eth_getLogs", 0) < wanted:
            assert time.monotonic() < until_s
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    return process.returncode == -signal.SIGKILL


def gathered_under_kills(provider: Served, url: str) -> int:
    """How often it was killed before it came to its end."""
    chance = random.Random(SEED)
    command = [sys.executable, "-m", "tests.fixtures.backfilling_process"]
    command += [provider.url, url, str(BLOCKS - 1), str(WORKERS)]
    kills = sum(killed_after(provider, command, chance.randint(1, 25)) for _ in range(KILLS))
    subprocess.run(command, cwd=ROOT, check=True, timeout=WAIT_S)
    return kills


async def test_sigkill_at_random_moments_leaves_neither_gap_nor_duplicate_and_costs_few_calls(
    tmp_path: Path,
) -> None:
    history = History.of(SEED, BLOCKS)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    create(url)
    with provided_history(SEED, BLOCKS, TERMS) as provider:
        kills = gathered_under_kills(provider, url)
        calls = provider.counts()["eth_getLogs"]
    assert kills >= KILLS - 1
    ledger = Ledger.open(LedgerSettings(url), clock=SystemClock(), entropy=SystemEntropy())
    source = await ledger.read(lambda tx: tx.logs.find(QUESTION.name))
    assert source is not None
    assert source.next_block == BLOCKS
    assert await ledger.read(lambda tx: tx.logs.count(source)) == history.before[-1]
    stored = await ledger.read(lambda tx: tx.logs.between(source, 0, BLOCKS, 10**6))
    await ledger.close()
    expected = [(block, i) for block, count in enumerate(history.counts) for i in range(count)]
    assert [(log.block_number, log.log_index) for log in stored] == expected
    # Each life learns the caps anew and loses at most what its workers had under way.
    fewest = history.fewest_calls(TERMS.block_cap, TERMS.log_cap)
    assert calls <= 1.5 * fewest + (kills + 1) * (WORKERS + 3)
