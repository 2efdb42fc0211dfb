"""Guards that an operator wrote: loaded by path, and never admitting anything by what goes wrong in them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest
from typing_extensions import override

from seawall.primitives.errors import ConfigError
from seawall.primitives.levels import Authority
from seawall.primitives.simulations import Probe
from seawall.primitives.units import Hash
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, below
from seawall.risk.gate import Gate
from seawall.risk.guards.base import Comparing
from seawall.risk.guards.own import Own, load_own
from seawall.risk.limits import OurAddresses, RiskLimits
from seawall.risk.reduce import ReduceRule
from tests.builders.messages import EXECUTOR, KEY, NOW_S, POOL, WETH, candidate, direct_plan, simulation

OURS = OurAddresses(frozenset({KEY, EXECUTOR}), WETH)
EVIDENCE = Evidence(candidate(direct_plan()), simulation(), OURS, RiskLimits(), NOW_S)
MODULE = "own_guards_of_tests"


@dataclass(frozen=True)
class Flows:
    """At most so many movements."""

    most: int
    name: str = "flows"

    @classmethod
    def configured(cls, settings: Mapping[str, object]) -> Flows:
        most = settings.get("most")
        assert isinstance(most, int)
        return cls(most)

    def probes(self) -> tuple[Probe, ...]:
        return (Probe("pool", POOL, b"\x01"),)

    def measure(self, evidence: Evidence) -> Measurement:
        return below(self.name, evidence, len(evidence.simulation.flows), self.most, "flows", "movements:")


class Broken(Flows):
    @override
    def measure(self, evidence: Evidence) -> Measurement:
        raise KeyError("no such thing")


class Lying(Flows):
    @override
    def measure(self, evidence: Evidence) -> Measurement:
        return replace(super().measure(evidence), passed=True, margin=-1)


class Blind(Flows):
    @override
    def measure(self, evidence: Evidence) -> Measurement:
        return replace(super().measure(evidence), passed=True, measured=None, margin=None)


class Elsewhere(Flows):
    @override
    def measure(self, evidence: Evidence) -> Measurement:
        return replace(super().measure(evidence), block_hash=Hash(b"\x01" * 32))


class Looking(Flows):
    def before(self) -> tuple[Probe, ...]:
        return self.probes()


class Nothing:
    @classmethod
    def configured(cls, settings: Mapping[str, object]) -> object:
        return settings


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> str:
    made = ModuleType(MODULE)
    for kind in (Flows, Broken, Nothing):
        setattr(made, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, MODULE, made)
    return MODULE


def test_a_guard_is_made_from_its_path_and_settings_under_its_configured_name(module: str) -> None:
    own = load_own("movements", f"{module}:Flows", {"most": 0}, "here")
    assert own == Own(Flows(0), "movements")
    found = own.measure(EVIDENCE)
    assert (found.guard, found.measured, found.passed) == ("movements", 0, True)
    assert own.probes() == Flows(0).probes()
    assert own.before() == ()
    assert Own(Looking(0), "x").before() == Flows(0).probes()
    assert isinstance(own, Comparing)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("nowhere", "is not package.module:Class"),
        ("no_such_module_here:X", "there is no module 'no_such_module_here'"),
        (f"{MODULE}:Absent", "has no guard class 'Absent'"),
        (f"{MODULE}:Nothing", "does not make a guard"),
    ],
)
def test_a_path_that_is_no_guard_is_refused(module: str, path: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        load_own("x", path, {"most": 1}, f"guard of {module}")
    assert caught.value.where == f"guard of {module}"


def test_a_module_that_lacks_another_one_says_so_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_guard_that_imports.py").write_text("import no_such_module_here\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError):
        load_own("x", "own_guard_that_imports:X", {}, "here")


@pytest.mark.parametrize(
    ("guard", "why"),
    [
        (Broken(9), "KeyError: 'no such thing'"),
        (Lying(9), "contradicts itself"),
        (Blind(9), "contradicts itself"),
        (Elsewhere(9), "of another block"),
    ],
)
def test_whatever_goes_wrong_in_an_own_guard_refuses(guard: Flows, why: str) -> None:
    found = Own(guard, "mine").measure(EVIDENCE)
    assert (found.guard, found.measured, found.margin, found.passed) == ("mine", None, None, False)
    assert why in found.reason


@pytest.mark.parametrize(("guard", "admits"), [(Flows(0), True), (Broken(0), False)])
def test_own_guards_stand_last_in_every_verdict(guard: Flows, admits: bool) -> None:
    gate = Gate(RiskLimits(), OURS, ReduceRule({}, (), (), ()), own=(Own(guard, "mine"),))
    verdict = gate.judge(EVIDENCE, Authority.RUN)
    assert verdict.measurements[-1].guard == "mine"
    assert verdict.admitted is admits
    assert {probe.label for probe in gate.probes(EVIDENCE.candidate, Authority.RUN)} == {"pool"}
