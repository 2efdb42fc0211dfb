"""One seed, from its empty ledger to the report of what happened and whether anything was violated."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from unittest.mock import patch

from eth_account import Account

from seawall.ledger.migrate import create
from seawall.native import LocalKey, Password
from seawall.primitives.plans import Plan
from seawall.primitives.units import Address
from seawall.telemetry import failpoints
from seawall.telemetry.logs import LogSettings, configure
from seawall.transactions import moving
from tests.world.loop import Stuck, VirtualLoop
from tests.world.node import RECORDER, Contract
from tests.world.strategy import Asker, Inhabitant
from tests.world.violations import Violation
from tests.world.world import Place, World

__all__ = ["Bug", "Report", "askers", "signing_keys", "simulate"]

KEYS = 2
_RAM = Path("/dev/shm")  # where there is one, commits cost nothing

_PLACE = Place()

Bug = Callable[[], contextlib.AbstractContextManager[object]]


@dataclass(slots=True)
class Report:
    """What happened under one seed."""

    seed: int
    violation: str | None = None
    reached: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    moves: int = 0  # intents that were given another nonce
    digest: str = ""  # of the final chain and of everything in the ledger: equal for equal seeds


def askers(seed: int, keys: tuple[Address, ...]) -> Sequence[Inhabitant]:
    return [Asker(f"asker{number}", seed, keys, home) for number, home in enumerate(keys)]


def simulate(
    seed: int,
    bug: Bug | None = None,
    trace: Callable[[str], None] | None = None,
    make_askers: Callable[[int, tuple[Address, ...]], Sequence[Inhabitant]] = askers,
    place: Place = _PLACE,
) -> Report:
    """Run one seed to its end. With a planted `bug`, everything happens while it is in force."""
    if trace is None:
        configure(LogSettings(level="critical"))
    report = Report(seed)
    with (
        tempfile.TemporaryDirectory(dir=_RAM if _RAM.is_dir() else None) as folder,
        contextlib.closing(VirtualLoop()) as loop,
        contextlib.ExitStack() as stack,
    ):
        stack.enter_context(patch.object(moving, "is_recorded", lambda plan: _is_recorded(plan, place)))
        if bug is not None:
            stack.enter_context(bug())
        directory = Path(folder)
        (directory / "ledger.db").write_bytes(_empty_ledger())
        keys = signing_keys()
        asking = make_askers(seed, tuple(Address(key.address) for key in keys))
        world = World(seed, directory, loop, keys, asking, place, trace or (lambda _text: None))
        stack.callback(world.close)
        stack.callback(_cancel_all, loop)
        failpoints.install(world.meet)
        stack.callback(failpoints.install, None)
        try:
            loop.run_until_complete(world.run())
        except (Violation, Stuck) as violation:
            report.violation = str(violation)
        report.reached, report.crashes, report.faults = world.reached, world.crashes, world.faults_seen
        report.outcomes, report.moves, report.digest = _summary(directory, world.node.head.hash)
    return report


def _is_recorded(plan: Plan, place: Place) -> bool:
    """Here a contract takes the executor's place, and the calldata that of its intent id."""
    target = plan.target
    return target == RECORDER and place.contracts.get(target) is Contract.RECORDS


def _cancel_all(loop: VirtualLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def _summary(directory: Path, head_hash: bytes) -> tuple[Counter[str], int, str]:
    digest = hashlib.sha256(head_hash)
    with contextlib.closing(sqlite3.connect(f"file:{directory / 'ledger.db'}?mode=ro", uri=True)) as db:
        outcomes = Counter(row[0] for row in db.execute("SELECT state FROM intents"))
        (moves,) = db.execute("SELECT COUNT(*) FROM events WHERE kind = ?", (moving.MOVED,)).fetchone()
        for query in (
            "SELECT number, idempotency_key, state, candidates, reason FROM intents ORDER BY number",
            "SELECT number, hash, renewals, writes, answer FROM attempts ORDER BY number",
            "SELECT seq, kind, data FROM events ORDER BY seq",
        ):
            digest.update(repr(db.execute(query).fetchall()).encode())
    return outcomes, moves, digest.hexdigest()


@cache
def signing_keys() -> tuple[LocalKey, ...]:
    """Keys known to everybody, so that a seed gives the same signatures on every machine."""
    keys = []
    with tempfile.TemporaryDirectory() as directory:
        password = Path(directory) / "password"
        password.write_text("world")
        for number in range(1, KEYS + 1):
            keystore = Account.encrypt(number.to_bytes(32, "big"), "world", kdf="scrypt", iterations=2)
            keys.append(LocalKey.from_keystore(json.dumps(keystore).encode(), Password.from_file(password)))
    return tuple(keys)


@cache
def _empty_ledger() -> bytes:
    """The same in every process: the epoch that a new ledger draws is replaced by a constant."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.db"
        create(f"sqlite:///{path}")
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE meta SET epoch = ?", (b"\x01" * 16,))
            db.commit()
        return path.read_bytes()
