"""From an import path and JSON settings to a strategy; every way to get it wrong has its own sentence."""

from __future__ import annotations

import importlib
import json

from seawall.primitives.errors import ConfigError
from seawall.primitives.frames import StrategySpec
from seawall.strategies.base import Strategy

__all__ = ["load_strategy"]


def load_strategy(spec: StrategySpec) -> Strategy:
    """Import the class that `spec` names and make its instance.

    A path or settings that cannot work raise `ConfigError`; what the imported module raises comes through.
    """
    where = f"strategy {spec.name!r}"
    module_name, colon, class_name = spec.path.partition(":")
    if not (module_name and colon and class_name):
        raise ConfigError(
            f"{spec.path!r} is not package.module:Class", where, "write for example my.module:MyStrategy"
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(
            f"there is no module {error.name!r}",
            where,
            "check the path, or add its directory to the python path",
        ) from None
    kind: object = getattr(module, class_name, None)
    configured: object = getattr(kind, "configured", None)
    if not isinstance(kind, type) or not callable(configured):
        raise ConfigError(
            f"{module_name} has no strategy class {class_name!r}",
            where,
            "it needs `configured`, `subscriptions`, `decide`",
        )
    strategy: Strategy = configured(spec.name, _settings_of(spec, where))
    return strategy


def _settings_of(spec: StrategySpec, where: str) -> dict[str, object]:
    try:
        settings: object = json.loads(spec.settings_json)
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise ConfigError("the settings are not a JSON object", where, "write a table of names and values")
    return settings
