"""What a start loosens: the limits in force are kept in the ledger, and compared with those of the last run.

    limits of the configuration -> the last `limits.in_force` event -> what is looser -> event and log

A restart with looser limits is not refused: whoever may restart may loosen, and it is told. Limits of signers
(fees, targets, spending) are not compared here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seawall.ledger import Ledger
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import InputError
from seawall.primitives.ports import Clock
from seawall.risk.layers import Limited, loosened, standing_of
from seawall.risk.limit_records import digest_of, standing_from, text_of
from seawall.telemetry.logs import get_logger

__all__ = ["IN_FORCE", "InForce", "keep_limits"]

IN_FORCE: Final = "limits.in_force"
_SEPARATOR: Final = "; "
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InForce:
    """One chain's limits at this start."""

    digest: str
    is_changed: bool
    loosened: tuple[str, ...]  # against the last run; empty at the first


async def keep_limits(ledger: Ledger, limited: Mapping[int, Limited], clock: Clock) -> dict[int, InForce]:
    """By chain. An event is written for limits that are not those of the last run."""
    found: dict[int, InForce] = {}
    for chain_id, one in limited.items():
        text, now_s = text_of(standing_of(one)), clock.now_s()

        def write(tx: Transaction, chain_id: int = chain_id, text: str = text, now_s: int = now_s) -> InForce:
            return _keep(tx, chain_id, text, now_s)

        found[chain_id] = kept = await ledger.write(write)
        _log.info("limits_in_force", chain_id=chain_id, digest=kept.digest, changed=kept.is_changed)
        if kept.loosened:
            _log.warning("limits_loosened", chain_id=chain_id, loosened=_SEPARATOR.join(kept.loosened))
    return found


def _keep(tx: Transaction, chain_id: int, text: str, now_s: int) -> InForce:
    name, digest = f"limits:{chain_id}", digest_of(text)
    last = tx.events.cursor(name)
    before = "" if last == 0 else str(tx.events.after(last - 1, 1)[0].data["limits"])
    if before == text:
        return InForce(digest, is_changed=False, loosened=())
    told = _compared(before, text)
    data = {"digest": digest, "limits": text, "loosened": _SEPARATOR.join(told)}
    tx.events.advance(name, tx.events.append(IN_FORCE, chain_id, name, None, data, now_s))
    return InForce(digest, is_changed=True, loosened=told)


def _compared(before: str, text: str) -> tuple[str, ...]:
    if not before:
        return ()
    try:
        return loosened(standing_from(before), standing_from(text))
    except InputError as error:
        return (f"unknown: {error.what}",)
