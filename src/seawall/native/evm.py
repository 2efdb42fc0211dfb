"""Simulation on a pinned block: state in, answers out.

Flow: `Evm.pin` a block, `load` what was fetched at its hash, `push_overlay` our unlanded attempts in commit
order, `run` bundles. A run answers `Execution`, or `Missing` keys to fetch in one batch, load, and run again:

    while isinstance(answer := evm.run(transactions, probes), Missing):
        evm.load(*fetch(answer))          # the caller bounds the rounds

`run_series` runs transactions one upon the other and changes nothing; `adopt` puts the first of the last
series onto the overlay, as pushing them would.

Assumptions: what is loaded was read at the pinned hash; an account comes with its code hash, or its code,
or b"" for none; one that does not exist is loaded with zeros. The chain's EVM is the mainnet's of the
named hardfork.

Absent on purpose: fetching (no I/O here), fee estimates, and any default hardfork.
"""

from __future__ import annotations

from seawall._native import (
    AccountState,
    AllowanceChange,
    BlockEnvironment,
    Bundle,
    CallFrame,
    CallResult,
    Evm,
    EvmLog,
    EvmTransaction,
    Execution,
    Missing,
    Probe,
    ReadSet,
    RevertReason,
    StateOverride,
    TokenFlow,
    WriteSet,
    hardforks,
    payload_digest,
)

__all__ = [
    "HARDFORKS",
    "AccountState",
    "AllowanceChange",
    "BlockEnvironment",
    "Bundle",
    "CallFrame",
    "CallResult",
    "Evm",
    "EvmLog",
    "EvmTransaction",
    "Execution",
    "Missing",
    "Probe",
    "ReadSet",
    "RevertReason",
    "StateOverride",
    "TokenFlow",
    "WriteSet",
    "payload_digest",
]

HARDFORKS: tuple[str, ...] = tuple(hardforks())
"""Names that `BlockEnvironment` takes, oldest first. Anything else is refused; there is no "latest"."""
