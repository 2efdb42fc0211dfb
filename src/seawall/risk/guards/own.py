"""Guards that an operator wrote and named in the configuration, held to what every guard promises.

They stand for every plan of their chain, beside all others, and can only refuse. Whatever they raise, and a
finding that contradicts itself, is a refusal: nothing that an own guard does wrong admits a plan. They run in
the kernel, so they are trusted with what the kernel can do; they must be pure and quick, which nothing here
can hold them to. docs/guides/guards.md has a template.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from seawall.primitives.errors import ConfigError
from seawall.primitives.simulations import Probe
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, cannot_measure
from seawall.risk.guards.base import Comparing, Guard

__all__ = ["Own", "load_own"]

_SHOWN_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Own:
    """An operator's guard under the name that the configuration gives it."""

    guard: Guard
    name: str

    def probes(self) -> tuple[Probe, ...]:
        return self.guard.probes()

    def before(self) -> tuple[Probe, ...]:
        return self.guard.before() if isinstance(self.guard, Comparing) else ()

    def measure(self, evidence: Evidence) -> Measurement:
        try:
            found = self.guard.measure(evidence)
        except Exception as error:  # noqa: BLE001  (foreign code: whatever goes wrong in it refuses)
            why = f"{type(error).__name__}: {error}"[:_SHOWN_CHARS]
            return cannot_measure(self.name, evidence, 0, "", why)
        is_inside = found.measured is not None and found.margin is not None and found.margin >= 0
        if found.passed != is_inside:
            return self._refused(evidence, found, "its finding contradicts itself")
        if found.block_hash != evidence.simulation.base_hash:
            return self._refused(evidence, found, "its finding is of another block")
        return replace(found, guard=self.name)

    def _refused(self, evidence: Evidence, found: Measurement, why: str) -> Measurement:
        return cannot_measure(self.name, evidence, found.limit, found.unit, why)


def load_own(name: str, path: str, settings: Mapping[str, object], where: str) -> Own:
    """Import the class that `path` names and make its instance by `configured(settings)`.

    A path or settings that cannot work raise `ConfigError`; what the imported module raises comes through."""
    module_name, colon, class_name = path.partition(":")
    if not (module_name and colon and class_name):
        raise ConfigError(f"{path[:60]!r} is not package.module:Class", where, "write my.module:MyGuard")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(
            f"there is no module {error.name!r}", where, "check the path, or install it beside Seawall"
        ) from None
    kind: object = getattr(module, class_name, None)
    configured: object = getattr(kind, "configured", None)
    if not isinstance(kind, type) or not callable(configured):
        raise ConfigError(
            f"{module_name} has no guard class {class_name!r}",
            where,
            "it needs `configured`, `name`, `probes` and `measure`",
        )
    made: object = configured(settings)
    if not isinstance(made, Guard):
        raise ConfigError(f"{path!r} does not make a guard", where, "it needs `name`, `probes` and `measure`")
    return Own(made, name)
