"""The table of relays' wire formats.

    dialect       a bundle                        a private transaction          to withdraw it
    flashbots     eth_sendBundle, for one block   eth_sendPrivateTransaction,    eth_cancelBundle by
                                                  up to a block                  replacementUuid;
                                                                                 eth_cancelPrivateTransaction
    mev_share     mev_sendBundle, for one block   (none)                         mev_cancelBundle
    bloxroute     blxr_submit_bundle, one block   blxr_private_tx, never made    (none: it names one block;
                                                  public by the relay            uuid replaces it)
    private_rpc   (none)                          eth_sendRawTransaction         (none)

Sources: Flashbots' JSON-RPC endpoints and bundle cancellations; the MEV-Share node's `mev_sendBundle` v0.1
and `mev_cancelBundle`; bloXroute's bundle submission and private transactions (raw bytes without 0x,
parameters as an object). Builders that take `eth_sendBundle` are spoken to as flashbots.

Pure: from a write to method and parameters, and from an answer to whether it was taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from seawall.chain.relays.settings import Dialect, RelaySettings
from seawall.chain.writes import PrivateTerms, SignedWrite, Withdrawal
from seawall.primitives.errors import ConfigError
from seawall.primitives.units import hex_text

__all__ = [
    "BUNDLE_BYTES_MAX",
    "BUNDLE_TRANSACTIONS_MAX",
    "DIALECTS",
    "Call",
    "Wire",
    "is_taken",
    "require_spoken",
]

# Flashbots' limits, which others share or exceed.
BUNDLE_TRANSACTIONS_MAX: Final = 100
BUNDLE_BYTES_MAX: Final = 300_000
_MEV_SHARE_VERSION: Final = "v0.1"
_OBJECT_HASHES: Final = ("bundleHash", "txHash")


@dataclass(frozen=True, slots=True)
class Call:
    """A JSON-RPC call. Parameters are an object where the dialect has them so."""

    method: str
    params: object


Made = Callable[[RelaySettings, SignedWrite, PrivateTerms], Call]
Unmade = Callable[[RelaySettings, Withdrawal], Call]


@dataclass(frozen=True, slots=True)
class Wire:
    """One dialect. None: it has no such call."""

    is_signed: bool  # it wants the signature header
    bundle: Made | None
    transaction: Made | None
    cancel_bundle: Unmade | None
    cancel_transaction: Unmade | None


def require_spoken(dialect: Dialect, *, is_bundle: bool, where: str) -> None:
    """`ConfigError` where a dialect has no way to say it."""
    wire = DIALECTS[dialect]
    if (wire.bundle if is_bundle else wire.transaction) is None:
        kind, other = ("bundles", "transaction") if is_bundle else ("single private transactions", "bundle")
        raise ConfigError(f"{dialect} takes no {kind}", where, f'write send = "{other}"')


def is_taken(write: SignedWrite, is_bundle: bool, result: object) -> bool:
    """Whether a result without an error says that the relay has these bytes."""
    if isinstance(result, dict):
        result = next((result[name] for name in _OBJECT_HASHES if name in result), None)
    if not isinstance(result, str) or len(result.removeprefix("0x")) != 64:
        return False
    return is_bundle or result.removeprefix("0x").lower() == write.hash.hex()


def _raws(write: SignedWrite, terms: PrivateTerms) -> list[bytes]:
    return [*terms.before, write.raw]


def _flashbots_bundle(relay: RelaySettings, write: SignedWrite, terms: PrivateTerms) -> Call:
    bundle: dict[str, object] = {
        "txs": [hex_text(raw) for raw in _raws(write, terms)],
        "blockNumber": hex(terms.target_block),
        "replacementUuid": terms.replacement,
    }
    return Call("eth_sendBundle", [_with_builders(bundle, relay)])


def _flashbots_transaction(relay: RelaySettings, write: SignedWrite, terms: PrivateTerms) -> Call:
    wishes: dict[str, object] = {"tx": hex_text(write.raw), "maxBlockNumber": hex(terms.until_block)}
    if relay.builders:
        wishes["preferences"] = {"privacy": {"builders": list(relay.builders)}}
    return Call("eth_sendPrivateTransaction", [wishes])


def _flashbots_cancel_bundle(_: RelaySettings, unwanted: Withdrawal) -> Call:
    return Call("eth_cancelBundle", [{"replacementUuid": unwanted.replacement}])


def _flashbots_cancel_transaction(_: RelaySettings, unwanted: Withdrawal) -> Call:
    return Call("eth_cancelPrivateTransaction", [{"txHash": hex_text(unwanted.hash)}])


def _mev_share_bundle(relay: RelaySettings, write: SignedWrite, terms: PrivateTerms) -> Call:
    bundle: dict[str, object] = {
        "version": _MEV_SHARE_VERSION,
        "inclusion": {"block": hex(terms.target_block), "maxBlock": hex(terms.target_block)},
        "body": [{"tx": hex_text(raw), "canRevert": False} for raw in _raws(write, terms)],
        "replacementUuid": terms.replacement,
    }
    if relay.builders:
        bundle["privacy"] = {"builders": list(relay.builders)}
    return Call("mev_sendBundle", [bundle])


def _mev_share_cancel(relay: RelaySettings, unwanted: Withdrawal) -> Call:
    named: list[object] = [{"replacementUuid": unwanted.replacement}]
    return Call("mev_cancelBundle", [*named, list(relay.builders)] if relay.builders else named)


def _bloxroute_bundle(relay: RelaySettings, write: SignedWrite, terms: PrivateTerms) -> Call:
    bundle: dict[str, object] = {
        "transaction": [raw.hex() for raw in _raws(write, terms)],
        "block_number": hex(terms.target_block),
        "uuid": terms.replacement,
    }
    return Call("blxr_submit_bundle", _with_mev_builders(bundle, relay))


def _bloxroute_transaction(relay: RelaySettings, write: SignedWrite, _: PrivateTerms) -> Call:
    # A timeout of 0: the relay never makes it public by itself.
    return Call("blxr_private_tx", _with_mev_builders({"transaction": write.raw.hex(), "timeout": 0}, relay))


def _raw_transaction(_: RelaySettings, write: SignedWrite, __: PrivateTerms) -> Call:
    return Call("eth_sendRawTransaction", [hex_text(write.raw)])


def _with_builders(bundle: dict[str, object], relay: RelaySettings) -> dict[str, object]:
    return {**bundle, "builders": list(relay.builders)} if relay.builders else bundle


def _with_mev_builders(params: dict[str, object], relay: RelaySettings) -> dict[str, object]:
    return {**params, "mev_builders": dict.fromkeys(relay.builders, "")} if relay.builders else params


DIALECTS: Final[Mapping[Dialect, Wire]] = MappingProxyType(
    {
        Dialect.FLASHBOTS: Wire(
            True, _flashbots_bundle, _flashbots_transaction, _flashbots_cancel_bundle,
            _flashbots_cancel_transaction,
        ),
        Dialect.MEV_SHARE: Wire(True, _mev_share_bundle, None, _mev_share_cancel, None),
        Dialect.BLOXROUTE: Wire(False, _bloxroute_bundle, _bloxroute_transaction, None, None),
        Dialect.PRIVATE_RPC: Wire(False, None, _raw_transaction, None, None),
    }
)  # fmt: skip
