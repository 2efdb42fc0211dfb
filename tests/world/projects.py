"""A user's strategy in the world: from an import path and a TOML file to inhabitants and a place.

[strategy]               given to the class; `chain_id` and `key` are added
vault = "0x..."

[world]
balance_wei = 12_000_000_000_000_000_000     what each key begins with
chaos_s = 120

[[contracts]]            an account with code
address = "0x..."
does = "accepts"         or "rejects", or "rejects_in_odd_blocks"

[[reads]]                what a view call is answered: another number in every block
target = "0x..."
calldata = "0x70a08231"  how the call begins
low = 0
high = 1_000
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from seawall.primitives.errors import ConfigError
from seawall.primitives.frames import StrategySpec
from seawall.primitives.units import ZERO_ADDRESS, Address, address_text
from seawall.strategies.loading import load_strategy
from tests.world.node import CHAIN_ID, Contract
from tests.world.strategy import Guest
from tests.world.views import ReadAnswer
from tests.world.world import CHAOS_S, Place

__all__ = ["Project"]

_NAME = "guest"
_PLACE = Place()
_PARTS = {"strategy", "world", "contracts", "reads"}


@dataclass(frozen=True, slots=True)
class Project:
    """One strategy and the place for it."""

    path: str  # package.module:Class
    settings: Mapping[str, object] = field(default_factory=dict)
    place: Place = _PLACE

    @staticmethod
    def read(path: str, file: Path | None) -> Project:
        """Raises `ConfigError` for a file that says something else than above."""
        try:
            written: dict[str, Any] = {} if file is None else tomllib.loads(file.read_text())
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"it cannot be read: {error}", str(file), "give a TOML file") from None
        unknown = sorted(set(written) - _PARTS)
        if unknown:
            raise ConfigError(f"unknown part {unknown[0]!r}", str(file), f"use {', '.join(sorted(_PARTS))}")
        try:
            place = _place(written)
        except (KeyError, TypeError, ValueError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ConfigError(what, str(file), "see docs/simulator.md for what may stand there") from None
        return Project(path, written.get("strategy", {}), place)

    def check(self) -> None:
        """Raises `ConfigError` where the strategy cannot be made."""
        self.inhabitants(0, [ZERO_ADDRESS])[0].make()

    def inhabitants(self, _seed: int, keys: Sequence[Address]) -> Sequence[Guest]:
        """The strategy, with the first key."""
        given = {"chain_id": CHAIN_ID, "key": address_text(keys[0]), **self.settings}
        return [
            Guest(_NAME, keys[0], partial(load_strategy, StrategySpec(_NAME, self.path, json.dumps(given))))
        ]


def _place(written: Mapping[str, Any]) -> Place:
    world = written.get("world", {})
    contracts = {
        _bytes(each["address"]): Contract[str(each["does"]).upper()] for each in written.get("contracts", ())
    }
    reads = {
        (_bytes(each["target"]), _bytes(each["calldata"])): ReadAnswer(int(each["low"]), int(each["high"]))
        for each in written.get("reads", ())
    }
    chaos_s = int(world.get("chaos_s", CHAOS_S))
    return Place(contracts, reads, int(world.get("balance_wei", _PLACE.balance_wei)), chaos_s)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
