"""A chain's limits as text that is kept, so that the next start can tell what it loosens.

    standing -> text_of -> (kept in the ledger's events) -> standing_from -> layers.loosened

The text is canonical JSON: equal limits have equal texts and digests. Names of limits that this release does
not know any more are left out when it is read: what is gone cannot be compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, cast

from seawall.native import keccak256
from seawall.primitives.errors import InputError
from seawall.primitives.units import Address, hex_text
from seawall.risk.layers import Footing, Layer, LayerKind, LimitSet, Scalar, Standing
from seawall.risk.limits import ExposureLimit

__all__ = ["digest_of", "standing_from", "text_of"]

_FORMAT: Final = 1
_KNOWN: Final = frozenset(scalar.value for scalar in Scalar)
_Record = Mapping[str, object]


def text_of(standing: Standing) -> str:
    footing = standing.footing
    document = {
        "format": _FORMAT,
        "base": _set_record(standing.base),
        "footing": {
            "chain_checks": footing.chain_checks,
            "volatility": footing.volatility,
            "lending": sorted(footing.lending),
            "sequencer": footing.sequencer,
            "private_keys": _hex(footing.private_keys),
        },
        "layers": [
            {
                "kind": layer.kind.value,
                "name": layer.name,
                "says": _set_record(layer.says),
                "addresses": _hex(layer.addresses),
            }
            for layer in sorted(standing.layers, key=lambda layer: (layer.kind.value, layer.name))
        ],
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def digest_of(text: str) -> str:
    return hex_text(keccak256(text.encode()))


def standing_from(text: str) -> Standing:
    """`InputError` where the text is none of ours."""
    try:
        document = cast(_Record, json.loads(text))
        if document["format"] != _FORMAT:
            raise ValueError("another format")
        footing = cast(_Record, document["footing"])
        return Standing(
            _set_from(cast(_Record, document["base"])),
            Footing(
                bool(footing["chain_checks"]),
                str(footing["volatility"]),
                frozenset(cast(list[str], footing["lending"])),
                str(footing["sequencer"]),
                _addresses(footing["private_keys"]),
            ),
            tuple(_layer_from(one) for one in cast(list[_Record], document["layers"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"not limits as this release keeps them: {error!r:.100}",
            "limits of the last run",
            "compare the configurations by hand, with `seawall limits compare`",
        ) from None


def _set_record(says: LimitSet) -> dict[str, object]:
    allowed = says.tokens_allowed
    return {
        "scalars": {name.value: value for name, value in says.scalars.items()},
        "caps": {token.hex(): cap for token, cap in says.position_caps.items()},
        "allowed": None if allowed is None else _hex(allowed),
        "denied": _hex(says.tokens_denied),
        "exposures": {
            group.name: {"members": _hex(group.members), "share_bps": group.share_bps_max}
            for group in says.exposures
        },
    }


def _set_from(record: _Record) -> LimitSet:
    exposures = cast(Mapping[str, _Record], record["exposures"])
    allowed = record["allowed"]
    return LimitSet(
        {
            Scalar(name): value
            for name, value in cast(Mapping[str, int], record["scalars"]).items()
            if name in _KNOWN
        },
        {
            Address(bytes.fromhex(token)): cap
            for token, cap in cast(Mapping[str, int], record["caps"]).items()
        },
        None if allowed is None else _addresses(allowed),
        _addresses(record["denied"]),
        tuple(
            ExposureLimit(name, _addresses(one["members"]), cast(int, one["share_bps"]))
            for name, one in exposures.items()
        ),
    )


def _layer_from(record: _Record) -> Layer:
    return Layer(
        LayerKind(str(record["kind"])),
        str(record["name"]),
        _set_from(cast(_Record, record["says"])),
        _addresses(record["addresses"]),
    )


def _hex(addresses: frozenset[Address]) -> list[str]:
    return sorted(address.hex() for address in addresses)


def _addresses(listed: object) -> frozenset[Address]:
    return frozenset(Address(bytes.fromhex(one)) for one in cast(list[str], listed))
