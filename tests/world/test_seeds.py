"""Seeds that once broke an invariant are clean."""

from __future__ import annotations

import pytest

from tests.world.seeds import NAMED, NamedSeed
from tests.world.simulation import simulate
from tests.world.world import Place


@pytest.mark.parametrize("named", NAMED, ids=lambda named: named.name)
def test_named_seed_is_clean(named: NamedSeed) -> None:
    violation = simulate(named.seed, place=Place(faults=named.faults)).violation
    if named.is_open and violation is not None:
        pytest.xfail(f"{named.what}: {violation}")
    assert violation is None, named.what
