"""What a block holds: recorded blocks of Ethereum have their root, and what was hidden or turned has not."""

from __future__ import annotations

import copy
import gzip
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from seawall.chain.contents import (
    BlockContents,
    ShownTransaction,
    contents_of,
    transaction_bytes,
    use_of_nonce,
)
from seawall.chain.networks import NETWORKS, Proofs
from seawall.native import keccak256
from seawall.primitives.errors import DisprovedError
from seawall.primitives.units import Address, Hash, address_from_text, hash_from_text, hex_text

DATA = Path(os.environ.get("SEAWALL_DATA", Path(__file__).resolve().parents[4] / "shared/data"))
RECORDED = sorted((DATA / "mainnet").glob("*_block.json.gz"))
WITH_TYPES = "19807137"  # legacy, access list, dynamic fee and blobs


def recorded(path: Path) -> dict[str, Any]:
    with gzip.open(path) as file:
        block: dict[str, Any] = json.load(file)
    return block


def contents(block: dict[str, Any], proofs: Proofs = Proofs.RECEIPTS) -> BlockContents:
    return contents_of(block, hash_from_text(block["hash"]), replace(NETWORKS[1], proofs=proofs))


@pytest.fixture(scope="module")
def block() -> dict[str, Any]:
    paths = [path for path in RECORDED if WITH_TYPES in path.name]
    if not paths:
        pytest.skip(f"recorded blocks are not at {DATA}; name their folder in SEAWALL_DATA")
    return recorded(paths[0])


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name.partition("_")[0])
def test_recorded_blocks_have_the_root_and_each_use_of_a_nonce_is_found_by_its_signature(path: Path) -> None:
    shown = recorded(path)
    found = contents(shown)
    assert found.proved
    for one in shown["transactions"][::100]:
        sender, nonce = address_from_text(one["from"]), int(one["nonce"], 16)
        is_for_any_chain = int(one["type"], 16) == 0 and int(one["v"], 16) < 35
        used_by = None if is_for_any_chain else hash_from_text(one["hash"])
        assert use_of_nonce(found, sender, nonce, chain_id=1) == used_by
        assert use_of_nonce(found, sender, nonce + 10_000, chain_id=1) is None


def _hide(block: dict[str, Any]) -> None:
    del block["transactions"][3]


def _invent(block: dict[str, Any]) -> None:
    block["transactions"].append(block["transactions"][0])


def _swap(block: dict[str, Any]) -> None:
    block["transactions"][5:7] = reversed(block["transactions"][5:7])


def _rename(block: dict[str, Any]) -> None:
    block["transactions"][5]["hash"] = block["transactions"][6]["hash"]


def _turn(block: dict[str, Any]) -> None:
    block["transactions"][5]["value"] = "0x1234567"


def _other_header(block: dict[str, Any]) -> None:
    block["transactionsRoot"] = "0x" + "11" * 32


@pytest.mark.parametrize("lie", [_hide, _invent, _swap, _rename, _turn, _other_header])
def test_a_list_that_is_not_what_the_header_commits_to_is_evidence(
    block: dict[str, Any], lie: Callable[[dict[str, Any]], None]
) -> None:
    told = copy.deepcopy(block)
    lie(told)
    with pytest.raises(DisprovedError):
        contents(told)


def test_a_block_with_an_unknown_type_is_not_judged(block: dict[str, Any]) -> None:
    told = copy.deepcopy(block)
    told["transactions"][0]["type"] = "0x6a"
    found = contents(told)
    assert not found.proved
    assert found.transactions[0].raw is None


def test_where_blocks_are_not_known_to_prove_their_lists_nothing_is_judged(block: dict[str, Any]) -> None:
    assert not contents(block, Proofs.HEADERS).proved


def test_what_somebody_else_signed_with_a_turned_sender_is_no_use_of_our_nonce(block: dict[str, Any]) -> None:
    """The name in `from` is the endpoint's word; the signature is not."""
    told = copy.deepcopy(block)
    ours = Address(b"\x77" * 20)
    told["transactions"][0]["from"] = hex_text(ours)
    nonce = int(told["transactions"][0]["nonce"], 16)
    assert use_of_nonce(contents(told), ours, nonce, chain_id=1) is None


def test_a_delegating_transaction_is_encoded_as_others_encode_it() -> None:
    account = Account.from_key("0x" + "42" * 32)
    authorization = account.sign_authorization({"chainId": 1, "address": "0x" + "99" * 20, "nonce": 7})
    fields = {
        "type": 4, "chainId": 1, "nonce": 6, "maxPriorityFeePerGas": 2, "maxFeePerGas": 3, "gas": 50_000,
        "to": "0x" + "11" * 20, "value": 9, "data": "0x0102", "authorizationList": [authorization],
        "accessList": [{"address": "0x" + "22" * 20, "storageKeys": ["0x" + "cc" * 32]}],
    }  # fmt: skip
    signed = account.sign_transaction(fields)
    shown = {
        "type": "0x4", "chainId": "0x1", "nonce": "0x6", "maxPriorityFeePerGas": "0x2", "maxFeePerGas": "0x3",
        "gas": hex(50_000), "to": "0x" + "11" * 20, "value": "0x9", "input": "0x0102",
        "accessList": fields["accessList"], "yParity": hex(signed.v), "r": hex(signed.r), "s": hex(signed.s),
        "authorizationList": [
            {
                "chainId": "0x1", "address": "0x" + "99" * 20, "nonce": "0x7",
                "yParity": hex(authorization.y_parity), "r": hex(authorization.r), "s": hex(authorization.s),
            }
        ],
    }  # fmt: skip
    assert transaction_bytes(shown) == bytes(signed.raw_transaction)
    assert hex_text(keccak256(bytes(signed.raw_transaction))) == "0x" + bytes(signed.hash).hex()


def _of_one(fields: dict[str, Any]) -> BlockContents:
    """A block with this transaction alone, as an endpoint may make one up: header, root and hash fit it."""
    raw = transaction_bytes(fields)
    assert raw is not None
    shown = ShownTransaction(Hash(keccak256(raw)), raw, fields)
    return BlockContents(Hash(b"\x01" * 32), (shown,), proved=True)


def _signed_here(chain_id: int = 1) -> tuple[Address, dict[str, Any]]:
    account = Account.from_key("0x" + "42" * 32)
    fields = {
        "type": 2, "chainId": chain_id, "nonce": 6, "maxPriorityFeePerGas": 2, "maxFeePerGas": 3,
        "gas": 21_000, "to": "0x" + "11" * 20, "value": 9,
    }  # fmt: skip
    signed = account.sign_transaction(fields)
    shown = {name: hex(value) for name, value in fields.items() if isinstance(value, int)}
    shown |= {"to": "0x" + "11" * 20, "input": "0x", "yParity": hex(signed.v)}
    return address_from_text(account.address), shown | {
        "accessList": [],
        "r": hex(signed.r),
        "s": hex(signed.s),
    }


def test_our_own_bytes_with_a_parity_that_no_chain_takes_are_no_use_by_another_transaction() -> None:
    """They hash to something else than ours, and whoever has ours can make them: a nonce that they "used"
    would give the intent another one, and the bytes of old would land beside it."""
    key, ours = _signed_here()
    assert use_of_nonce(_of_one(ours), key, 6, chain_id=1) == _of_one(ours).transactions[0].hash
    turned = ours | {"yParity": hex(int(ours["yParity"], 16) + 2)}
    assert _of_one(turned).transactions[0].hash != _of_one(ours).transactions[0].hash
    assert use_of_nonce(_of_one(turned), key, 6, chain_id=1) is None


def test_what_the_key_signed_for_another_chain_is_no_use_of_its_nonce_here() -> None:
    key, elsewhere = _signed_here(chain_id=10)
    assert use_of_nonce(_of_one(elsewhere), key, 6, chain_id=10) is not None
    assert use_of_nonce(_of_one(elsewhere), key, 6, chain_id=1) is None


def _legacy(chain_id: int | None) -> tuple[Address, dict[str, Any]]:
    account = Account.from_key("0x" + "42" * 32)
    call = {"nonce": 6, "gasPrice": 3, "gas": 21_000, "value": 9}
    named = {} if chain_id is None else {"chainId": chain_id}
    signed = account.sign_transaction({**call, **named, "to": "0x" + "11" * 20})
    shown = {name: hex(value) for name, value in call.items()}
    shown |= {"type": "0x0", "to": "0x" + "11" * 20, "input": "0x", "v": hex(signed.v)}
    return address_from_text(account.address), shown | {"r": hex(signed.r), "s": hex(signed.s)}


def test_a_legacy_use_counts_where_its_signature_names_this_chain() -> None:
    key, ours = _legacy(chain_id=1)
    assert use_of_nonce(_of_one(ours), key, 6, chain_id=1) is not None
    assert use_of_nonce(_of_one(ours), key, 6, chain_id=10) is None


@pytest.mark.parametrize("v", [27, 28, 29, 30, 33, 34])
def test_a_legacy_use_that_any_chain_could_have_proves_nothing(v: int) -> None:
    """Without a chain id it may be a copy of what another chain has; between 29 and 34 it is no signature."""
    key, shown = _legacy(chain_id=None)
    assert use_of_nonce(_of_one(shown | {"v": hex(v)}), key, 6, chain_id=1) is None
