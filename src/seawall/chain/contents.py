"""What a block holds: its transactions as bytes, held against the header's transactions root.

Flow: `contents_of` takes the answer to `eth_getBlockByHash` with whole transactions. Each becomes the bytes
that the block's trie holds (EIP-2718); all of them together must have the root that the checked header names,
so that none can be hidden, invented or put elsewhere (`DisprovedError`). `use_of_nonce` finds the transaction
that used a nonce of an account, by its signature: nobody but the key's holder can have made it.

The encoding is known for the types 0 to 4 and for deposits of the OP stack (0x7e). With any other type in the
block, or where blocks are not known to be hashed as Ethereum hashes them, nothing is judged, and
`BlockContents.proved` says so.

Source of the formats: yellow paper, and EIPs 155, 2930, 1559, 4844, 7702; the OP stack's deposits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from seawall.chain import decoding
from seawall.chain.headers import require_own_hash
from seawall.chain.merkle import Item, ordered_root, rlp, unsigned
from seawall.chain.networks import Network, Proofs
from seawall.native import NativeError, keccak256
from seawall.native.wire import recover
from seawall.primitives.errors import DisprovedError, EndpointError
from seawall.primitives.units import Address, Hash, hex_text

__all__ = ["BlockContents", "ShownTransaction", "contents_of", "transaction_bytes", "use_of_nonce"]

TRANSACTIONS_MAX: Final = 100_000
_LIST_MAX: Final = 100_000
_LEGACY, _ACCESS_LIST, _DYNAMIC_FEE, _BLOBS, _DELEGATION = range(5)
_OP_DEPOSIT: Final = 0x7E
_PROTECTED_V_MIN: Final = 35  # EIP-155: 35 + 2 * chain id + parity
_NONCE_MAX: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class ShownTransaction:
    """One transaction of a block as its endpoint shows it."""

    hash: Hash
    raw: bytes | None  # None: its type is not known here
    fields: Mapping[str, object] = field(compare=False)  # which clients spell differently


@dataclass(frozen=True, slots=True)
class BlockContents:
    """All transactions of one block, in order. `proved`: they have the transactions root of its hash."""

    block_hash: Hash
    transactions: tuple[ShownTransaction, ...]
    proved: bool


def contents_of(block: object, block_hash: Hash, network: Network) -> BlockContents:
    """The contents of `block_hash` from its block as JSON-RPC shows it, with whole transactions.

    Raises `DisprovedError` for what contradicts the header, `EndpointError` for what was not asked for."""
    where = f"block {hex_text(block_hash)}"
    fields = decoding.mapping(block, where)
    if decoding.digest(fields.get("hash"), f"{where}.hash") != block_hash:
        raise EndpointError("another block than asked", where, "another endpoint is asked")
    shown = decoding.array(fields.get("transactions"), "transactions", limit=TRANSACTIONS_MAX)
    found = tuple([_shown(value) for value in shown])
    # Only of networks whose receipts are proved is it known that a block's list is what its root commits to.
    if network.proofs is not Proofs.RECEIPTS or not require_own_hash(fields, where):
        return BlockContents(block_hash, found, proved=False)
    encoded = [one.raw for one in found if one.raw is not None]
    if len(encoded) < len(found):
        return BlockContents(block_hash, found, proved=False)
    root = ordered_root(encoded)
    expected = decoding.digest(fields.get("transactionsRoot"), f"{where}.transactionsRoot")
    if root != expected:
        raise DisprovedError(
            f"transactions with the root {hex_text(root)} where the header has {hex_text(expected)}",
            where,
            "do not use this endpoint",
        )
    for one in found:
        if one.raw is not None and keccak256(one.raw) != one.hash:
            what = f"a transaction that hashes to {hex_text(keccak256(one.raw))} and is shown as"
            raise DisprovedError(f"{what} {hex_text(one.hash)}", where, "do not use this endpoint")
    return BlockContents(block_hash, found, proved=True)


def use_of_nonce(contents: BlockContents, key: Address, nonce: int, *, chain_id: int) -> Hash | None:
    """The transaction of these that `key` signed for `nonce` of this chain; None if there is none.

    A signature counts in the one form that chains take, else whoever has a transaction of ours could show it
    under another hash; and where it names this chain, else it may be one that another chain has. What an
    account's nonce is raised by besides (an authorization in somebody else's transaction, EIP-7702) is no
    transaction."""
    for one in contents.transactions:
        fields = one.fields
        shown = fields.get("nonce")
        if shown is None or decoding.quantity(shown, "transaction.nonce", limit=_NONCE_MAX) != nonce:
            continue
        raw_is_it = one.raw is not None and keccak256(one.raw) == one.hash
        if raw_is_it and _signer_of(fields, chain_id) == key:
            return one.hash
    return None


def transaction_bytes(fields: Mapping[str, object]) -> bytes | None:
    """One transaction as the trie holds it (EIP-2718), or None if its type is not known here."""
    kind = _kind_of(fields)
    items = _unsigned(kind, fields)
    if items is None:
        return None
    if kind == _OP_DEPOSIT:
        return bytes((kind,)) + rlp(items)
    r, s = _number(fields, "r"), _number(fields, "s")
    if kind == _LEGACY:
        return rlp([*items[:6], _number(fields, "v"), r, s])
    return bytes((kind,)) + rlp([*items, _parity(fields), r, s])


def _shown(value: object) -> ShownTransaction:
    fields = decoding.mapping(value, "transaction")
    tx_hash = decoding.digest(fields.get("hash"), "transaction.hash")
    return ShownTransaction(tx_hash, transaction_bytes(fields), fields)


def _kind_of(fields: Mapping[str, object]) -> int:
    shown = fields.get("type")
    return _LEGACY if shown is None else decoding.quantity(shown, "transaction.type", limit=0xFF)


def _signer_of(fields: Mapping[str, object], chain_id: int) -> Address | None:
    """Whose signature for this chain it is, recovered; None where it is nobody's."""
    kind = _kind_of(fields)
    items = _unsigned(kind, fields)
    if items is None or kind == _OP_DEPOSIT:
        return None
    if kind == _LEGACY:
        prefix = b""
        parity = decoding.quantity(fields.get("v"), "transaction.v") - _PROTECTED_V_MIN - 2 * chain_id
    else:
        prefix, parity = bytes((kind,)), int.from_bytes(_parity(fields), "big")
        if decoding.quantity(fields.get("chainId"), "transaction.chainId") != chain_id:
            return None
    if parity not in (0, 1):
        return None
    signature = _word(fields, "r") + _word(fields, "s") + bytes((parity,))
    try:
        return Address(recover(keccak256(prefix + rlp(items)), signature))
    except NativeError:
        return None


def _unsigned(kind: int, fields: Mapping[str, object]) -> list[Item] | None:
    """What is signed, in order; of a legacy transaction with what EIP-155 appends."""
    if kind == _OP_DEPOSIT:
        return _deposit(fields)
    if kind > _DELEGATION:
        return None
    nonce, gas, value = (_number(fields, name) for name in ("nonce", "gas", "value"))
    to = b"" if fields.get("to") is None else decoding.address(fields.get("to"), "transaction.to")
    call: list[Item] = [gas, to, value, decoding.data(fields.get("input"), "transaction.input")]
    if kind == _LEGACY:
        v = decoding.quantity(fields.get("v"), "transaction.v")
        chain = [unsigned((v - _PROTECTED_V_MIN) // 2), b"", b""] if v >= _PROTECTED_V_MIN else []
        return [nonce, _number(fields, "gasPrice"), *call, *chain]
    if kind == _ACCESS_LIST:
        prices = [_number(fields, "gasPrice")]
    else:
        prices = [_number(fields, "maxPriorityFeePerGas"), _number(fields, "maxFeePerGas")]
    items: list[Item] = [_number(fields, "chainId"), nonce, *prices, *call, _access_list(fields)]
    if kind == _BLOBS:
        hashes = decoding.array(fields.get("blobVersionedHashes"), "blobVersionedHashes", limit=_LIST_MAX)
        named = [decoding.data(one, "blobVersionedHashes", size=32) for one in hashes]
        items += [_number(fields, "maxFeePerBlobGas"), named]
    if kind == _DELEGATION:
        items.append(_authorizations(fields))
    return items


def _deposit(fields: Mapping[str, object]) -> list[Item]:
    to = b"" if fields.get("to") is None else decoding.address(fields.get("to"), "transaction.to")
    mint = b"" if fields.get("mint") is None else _number(fields, "mint")
    return [
        decoding.data(fields.get("sourceHash"), "transaction.sourceHash", size=32),
        decoding.address(fields.get("from"), "transaction.from"),
        to,
        mint,
        _number(fields, "value"),
        _number(fields, "gas"),
        unsigned(int(fields.get("isSystemTx") is True)),
        decoding.data(fields.get("input"), "transaction.input"),
    ]


def _access_list(fields: Mapping[str, object]) -> Item:
    entries = decoding.array(fields.get("accessList"), "accessList", limit=_LIST_MAX)
    found: list[Item] = []
    for entry in (decoding.mapping(one, "accessList") for one in entries):
        keys = decoding.array(entry.get("storageKeys"), "storageKeys", limit=_LIST_MAX)
        account = decoding.address(entry.get("address"), "accessList.address")
        found.append([account, [decoding.data(key, "storageKeys", size=32) for key in keys]])
    return found


def _authorizations(fields: Mapping[str, object]) -> Item:
    entries = decoding.array(fields.get("authorizationList"), "authorizationList", limit=_LIST_MAX)
    found: list[Item] = []
    for entry in (decoding.mapping(one, "authorizationList") for one in entries):
        account = decoding.address(entry.get("address"), "authorizationList.address")
        signature = [_parity(entry), _number(entry, "r"), _number(entry, "s")]
        found.append([_number(entry, "chainId"), account, _number(entry, "nonce"), *signature])
    return found


def _number(fields: Mapping[str, object], name: str) -> bytes:
    return unsigned(decoding.quantity(fields.get(name), f"transaction.{name}"))


def _word(fields: Mapping[str, object], name: str) -> bytes:
    return decoding.quantity(fields.get(name), f"transaction.{name}").to_bytes(32, "big")


def _parity(fields: Mapping[str, object]) -> bytes:
    """Some nodes show it as `v` alone."""
    return _number(fields, "yParity" if fields.get("yParity") is not None else "v")
