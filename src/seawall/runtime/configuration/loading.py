"""Configuration: one TOML file becomes frozen settings, or an error names the key that is wrong.

Flow: bytes -> TOML -> tables that refuse unknown keys -> values checked one by one (`sections`) -> references
between sections checked (a strategy's chain and signer exist, names are unique) -> `settings`.

Reads the file, the address books and the secrets that addresses hold (from Vault or AWS only where one is
there); opens no key, no database and no other connection.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from seawall.primitives.errors import ConfigError
from seawall.primitives.units import Address, address_text
from seawall.runtime.caching import CACHE_KEYS, read_cache
from seawall.runtime.configuration.chains import CHAIN_KEYS, NETWORK_KEYS, read_chain, read_network
from seawall.runtime.configuration.limits import (
    LIMIT_KEYS,
    read_layers,
    read_limits,
    read_own_guards,
)
from seawall.runtime.configuration.names import RETIREMENT
from seawall.runtime.configuration.policies import BUDGET_KEYS, read_budget, require_limits
from seawall.runtime.configuration.relays import require_signers
from seawall.runtime.configuration.safes import SAFE_KEYS, read_safe
from seawall.runtime.configuration.secrets import SECRETS_KEYS, read_secrets
from seawall.runtime.configuration.sections import (
    HOST_KEYS,
    KERNEL_KEYS,
    LOG_KEYS,
    STRATEGY_KEYS,
    SUBMITTER_KEYS,
    read_hosts,
    read_kernel,
    read_logs,
    read_strategy,
    read_submitter,
)
from seawall.runtime.configuration.settings import Configuration
from seawall.runtime.configuration.signers import SIGNER_KEYS, read_signer
from seawall.runtime.configuration.tables import Table

__all__ = ["CONFIGURATION_BYTES_MAX", "load_configuration", "render_template"]

CONFIGURATION_BYTES_MAX: Final = 1024 * 1024
_TEMPLATE_NAME: Final = "template.toml"
_SECTIONS: Final = (
    "secrets",
    "kernel",
    "logs",
    "hosts",
    "networks",
    "chains",
    "signers",
    "strategies",
    "submitters",
    "budgets",
    "safes",
    "limits",
    "cache",
)


def load_configuration(path: Path, environment: Mapping[str, str]) -> Configuration:
    """Read the file at `path`; `ConfigError` says which key is wrong, why, and what to write."""
    root = Table(_read(path), "", _SECTIONS)
    folder = path.resolve().parent
    secrets = read_secrets(root.table("secrets", SECRETS_KEYS), folder, environment)
    networks = {
        network.chain_id: network for network in map(read_network, root.tables("networks", NETWORK_KEYS))
    }
    chain_tables = root.tables("chains", CHAIN_KEYS)
    chains = tuple(read_chain(table, folder, secrets, networks) for table in chain_tables)
    if not chains:
        raise ConfigError("no chain is configured", "chains", "add [[chains]] with chain_id and rpc")
    books = {chain.network.chain_id: chain.book for chain in chains}
    _require_unique([(str(chain_id), "chains") for chain_id in (c.network.chain_id for c in chains)])
    signer_tables = root.tables("signers", SIGNER_KEYS)
    signers = tuple(read_signer(table, folder, books, secrets) for table in signer_tables)
    _require_unique([(signer.name, "signers") for signer in signers])
    signer_names = frozenset(signer.name for signer in signers)
    for place, chain in enumerate(chains):
        require_signers(chain.private, f"chains[{place}]", signer_names)
    strategy_tables = root.tables("strategies", STRATEGY_KEYS)
    executors = {chain.network.chain_id: chain.executor for chain in chains}
    strategies = tuple(
        read_strategy(table, books, signer_names, folder, executors) for table in strategy_tables
    )
    submitter_tables = root.tables("submitters", SUBMITTER_KEYS)
    submitters = tuple(read_submitter(table, books, signer_names) for table in submitter_tables)
    safes = tuple(read_safe(table, books, signer_names) for table in root.tables("safes", SAFE_KEYS))
    # They stand in one place of names, because an idempotency key belongs to a name.
    _require_unique(
        [(RETIREMENT, "the kernel's own")],
        [(one.name, "strategies") for one in strategies],
        [(one.name, "submitters") for one in submitters],
        [(one.policy.name, "safes") for one in safes],
    )
    budgets = tuple(read_budget(table, books, signer_names) for table in root.tables("budgets", BUDGET_KEYS))
    # A signer's own budget stands among the others under this name.
    own_budgets = [(f"signer {signer.name}", "signers") for signer in signers]
    _require_unique(own_budgets, [(budget.name, "budgets") for budget in budgets])
    require_limits(path.name, signers, strategies, submitters, safes)
    limit_table = root.table("limits", LIMIT_KEYS)
    prices = {chain.network.chain_id: chain.prices for chain in chains}
    limits = read_limits(limit_table, books, prices)
    planners = {one.name: one.chain_id for one in strategies}
    planners |= {one.name: one.chain_id for one in submitters}
    planners |= {one.policy.name: one.policy.chain_id for one in safes}
    return Configuration(
        file=path.resolve(),
        kernel=read_kernel(root.table("kernel", KERNEL_KEYS), folder, secrets),
        logs=read_logs(root.table("logs", LOG_KEYS), folder),
        hosts=read_hosts(root.table("hosts", HOST_KEYS), folder),
        chains=chains,
        signers=signers,
        strategies=strategies,
        limits=limits,
        submitters=submitters,
        budgets=budgets,
        safes=safes,
        cache=read_cache(root.table("cache", CACHE_KEYS), secrets),
        layers=read_layers(limit_table, books, limits, planners, signer_names),
        own_guards=read_own_guards(limit_table, books),
    )


def render_template(address: Address) -> str:
    """The commented configuration that `seawall init` writes, for a signer of this address."""
    template = Path(__file__).with_name(_TEMPLATE_NAME).read_text()
    return template.replace("{address}", address_text(address))


def _read(path: Path) -> Mapping[str, object]:
    try:
        with path.open("rb") as file:
            content = file.read(CONFIGURATION_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"the configuration cannot be read: {error.strerror}", str(path), "make one with `seawall init`"
        ) from None
    if len(content) > CONFIGURATION_BYTES_MAX:
        raise ConfigError(
            f"the file is larger than {CONFIGURATION_BYTES_MAX} bytes", str(path), "give a configuration"
        )
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"this is not TOML: {error}", str(path), "correct the syntax there") from None


def _require_unique(*sections: list[tuple[str, str]]) -> None:
    seen: set[str] = set()
    for names in sections:
        for place, (name, section) in enumerate(names):
            if name in seen:
                what = f"{name!r} is there twice, or the kernel's own"
                raise ConfigError(what, f"{section}[{place}]", "give each its own")
            seen.add(name)
