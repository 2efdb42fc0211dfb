from __future__ import annotations

import pytest

from seawall.primitives.errors import ConfigError
from seawall.primitives.frames import StrategySpec
from seawall.strategies.loading import load_strategy


@pytest.mark.parametrize(
    ("path", "settings", "what"),
    [
        ("no colon", "{}", "is not package.module:Class"),
        ("seawall.strategies.nothing:Class", "{}", "no module 'seawall.strategies.nothing'"),
        ("nothing.at.all:Class", "{}", "no module 'nothing'"),
        ("seawall.strategies.native_range:Absent", "{}", "no strategy class"),
        ("seawall.strategies.native_range:NativeRangeSettings", "{}", "no strategy class"),
        ("seawall.strategies.native_range:NativeRange", "[]", "not a JSON object"),
        ("seawall.strategies.native_range:NativeRange", "{", "not a JSON object"),
        ("seawall.strategies.native_range:NativeRange", '{"colour": 1}', "unknown setting 'colour'"),
    ],
)
def test_what_cannot_be_loaded_is_explained(path: str, settings: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        load_strategy(StrategySpec("x", path, settings))
