"""Receipts: decoded strictly, tied to one block, and checked against the receipts root of its header.

Flow: `receipt_of` decodes one. `body_of` takes the answer to `eth_getBlockByHash`: the block's list of
transactions, and its receipts root if the header is checked against its hash. `receipts_in` holds the answer
to `eth_getBlockReceipts` against it: every receipt against the list, all of them together against the root.
What fails is evidence against the endpoint (`DisprovedError`).

The root commits to status, cumulative gas, bloom and logs, in order. It does not commit to which
transaction a receipt is of (the list of hashes does: lists are compared between endpoints where several must
agree, and held against the transactions root where one is believed), nor to the price paid. The encoding is
known for the types 0 to 4 and for deposits of the OP stack (0x7e). With any other type in the block the root
is not checked, and `BlockReceipts.proved` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.chain import decoding
from seawall.chain.headers import require_own_hash
from seawall.chain.merkle import Item, ordered_root, rlp, unsigned
from seawall.chain.networks import Network, Proofs
from seawall.primitives.blocks import Log
from seawall.primitives.errors import DisprovedError, EndpointError
from seawall.primitives.frozen import made_quickly
from seawall.primitives.units import Hash, hex_text

__all__ = [
    "BlockBody",
    "BlockReceipts",
    "Receipt",
    "body_of",
    "log_of",
    "logs_of",
    "receipt_of",
    "receipts_in",
    "receipts_root",
]

LOGS_ANSWER_MAX: Final = 100_000
TRANSACTIONS_MAX: Final = 100_000
TOPICS_MAX: Final = 4
_NUMBER_MAX: Final = 2**63 - 1
_BLOOM_BYTES: Final = 256
_LEGACY: Final = 0
_ETHEREUM_TYPE_MAX: Final = 4
_OP_DEPOSIT: Final = 0x7E


@made_quickly
@dataclass(frozen=True, slots=True)
class Receipt:
    transaction_hash: Hash
    block_hash: Hash
    block_number: int
    index: int  # of the transaction in its block
    status: bool
    gas_used: int
    effective_gas_price_wei: int
    l1_fee_wei: int  # data fee of a roll-up, 0 elsewhere
    logs: tuple[Log, ...]

    @property
    def fee_wei(self) -> int:
        return self.gas_used * self.effective_gas_price_wei + self.l1_fee_wei


@dataclass(frozen=True, slots=True)
class BlockBody:
    """What a header and its list of transactions say."""

    block_hash: Hash
    transactions: tuple[Hash, ...]  # in order
    receipts_root: Hash | None  # None: not to be relied on, the header is not checked against its hash
    transactions_root: Hash | None = None  # likewise


@dataclass(frozen=True, slots=True)
class BlockReceipts:
    """All receipts of one block, in order. `proved`: they have the receipts root of the block's hash."""

    receipts: tuple[Receipt, ...]
    proved: bool


def receipt_of(value: object) -> Receipt | None:
    """One receipt; None for what is in no block."""
    if value is None:
        return None
    fields = decoding.mapping(value, "receipt")
    if fields.get("blockHash") is None:
        return None
    status = decoding.quantity(fields.get("status"), "receipt.status", limit=1)
    place = _Place(fields, "receipt")
    l1_fee = decoding.optional_quantity(fields.get("l1Fee"), "receipt.l1Fee")
    return Receipt(
        transaction_hash=place.transaction_hash,
        block_hash=place.block_hash,
        block_number=place.block_number,
        index=decoding.quantity(
            fields.get("transactionIndex"), "receipt.transactionIndex", limit=_NUMBER_MAX
        ),
        status=status == 1,
        gas_used=decoding.quantity(fields.get("gasUsed"), "receipt.gasUsed", limit=_NUMBER_MAX),
        effective_gas_price_wei=decoding.quantity(
            fields.get("effectiveGasPrice"), "receipt.effectiveGasPrice"
        ),
        l1_fee_wei=l1_fee or 0,
        logs=tuple(logs_of(fields.get("logs"), place)),
    )


class _Place:
    """Block and transaction as a receipt or log names them. Most logs name them as those before them did, so
    that they are decoded once: `shown` is the text that the values stand for."""

    __slots__ = ("block_hash", "block_number", "shown", "transaction_hash")

    def __init__(self, fields: Mapping[str, object], where: str) -> None:
        self.shown = _place_shown(fields)
        block_hash, block_number, transaction_hash = self.shown
        self.block_hash = decoding.digest(block_hash, f"{where}.blockHash")
        self.block_number = decoding.quantity(block_number, f"{where}.blockNumber", limit=_NUMBER_MAX)
        self.transaction_hash = decoding.digest(transaction_hash, f"{where}.transactionHash")


def _place_shown(fields: Mapping[str, object]) -> tuple[object, object, object]:
    return fields.get("blockHash"), fields.get("blockNumber"), fields.get("transactionHash")


def logs_of(value: object, place: _Place | None = None) -> list[Log]:
    """Logs in order; `place` is that of the receipt that they are in."""
    found = []
    for item in decoding.array(value, "logs", limit=LOGS_ANSWER_MAX):
        fields = decoding.mapping(item, "log")
        if place is None or place.shown != _place_shown(fields):
            place = _Place(fields, "log")
        found.append(_log_at(fields, place))
    return found


def log_of(value: object) -> Log:
    fields = decoding.mapping(value, "log")
    return _log_at(fields, _Place(fields, "log"))


def _log_at(fields: Mapping[str, object], place: _Place) -> Log:
    topics = decoding.array(fields.get("topics"), "log.topics", limit=TOPICS_MAX)
    return Log(
        address=decoding.address(fields.get("address"), "log.address"),
        topics=tuple([decoding.digest(topic, "log.topics") for topic in topics]),
        data=decoding.data(fields.get("data"), "log.data"),
        block_hash=place.block_hash,
        block_number=place.block_number,
        transaction_hash=place.transaction_hash,
        log_index=decoding.quantity(fields.get("logIndex"), "log.logIndex", limit=_NUMBER_MAX),
    )


def body_of(header: object, block_hash: Hash, network: Network) -> BlockBody:
    """The body of `block_hash` from its header as JSON-RPC shows it, with the hashes of its transactions.

    Raises `DisprovedError` for a header of another hash than it claims, `EndpointError` for what is not what
    was asked for."""
    where = f"block {hex_text(block_hash)}"
    fields = decoding.mapping(header, where)
    if decoding.digest(fields.get("hash"), f"{where}.hash") != block_hash:
        raise EndpointError("another block than asked", where, "another endpoint is asked")
    roots: list[Hash] = []
    if network.proofs is not Proofs.NONE and require_own_hash(fields, where):
        roots = [decoding.digest(fields.get(n), f"{where}.{n}") for n in ("receiptsRoot", "transactionsRoot")]
    shown = decoding.array(fields.get("transactions"), "transactions", limit=TRANSACTIONS_MAX)
    return BlockBody(
        block_hash,
        tuple([decoding.digest(one, "transactions") for one in shown]),
        *(roots if network.proofs is Proofs.RECEIPTS and roots else (None, None)),
    )


def receipts_in(body: BlockBody, receipts: object) -> BlockReceipts:
    """All receipts of the block, checked.

    Raises `DisprovedError` for what contradicts the header, `EndpointError` for what is not what was asked
    for."""
    where = f"block {hex_text(body.block_hash)}"
    values = decoding.array(receipts, "receipts", limit=TRANSACTIONS_MAX)
    if len(values) != len(body.transactions):
        raise EndpointError(
            f"{len(values)} receipts of {len(body.transactions)} transactions",
            where,
            "another endpoint is asked",
        )
    found = []
    for index, (value, expected) in enumerate(zip(values, body.transactions, strict=True)):
        receipt = receipt_of(value)
        if receipt is None or (receipt.block_hash, receipt.transaction_hash, receipt.index) != (
            body.block_hash, expected, index,
        ):  # fmt: skip
            raise EndpointError(
                f"receipt {index} is of another block or transaction", where, "another endpoint is asked"
            )
        found.append(receipt)
    expected_root = body.receipts_root
    root = None if expected_root is None else receipts_root(values)
    if expected_root is None or root is None:
        return BlockReceipts(tuple(found), proved=False)
    if root != expected_root:
        raise DisprovedError(
            f"receipts with the root {hex_text(root)} where the header has {hex_text(expected_root)}",
            where,
            "do not use this endpoint",
        )
    _require_sums(values, found, where)
    return BlockReceipts(tuple(found), proved=True)


def receipts_root(receipts: Sequence[object]) -> Hash | None:
    """The root over all receipts of a block as JSON-RPC shows them; None if one has an unknown type."""
    encoded = []
    for value in receipts:
        one = _encoded(decoding.mapping(value, "receipt"))
        if one is None:
            return None
        encoded.append(one)
    return ordered_root(encoded)


def _encoded(fields: Mapping[str, object]) -> bytes | None:
    """One receipt as the trie holds it (EIP-2718), or None if its type is not known here."""
    shown = fields.get("type")
    kind = _LEGACY if shown is None else decoding.quantity(shown, "receipt.type", limit=0xFF)
    if kind > _ETHEREUM_TYPE_MAX and kind != _OP_DEPOSIT:
        return None
    status = decoding.quantity(fields.get("status"), "receipt.status", limit=1)
    gas = decoding.quantity(fields.get("cumulativeGasUsed"), "receipt.cumulativeGasUsed", limit=_NUMBER_MAX)
    bloom = decoding.data(fields.get("logsBloom"), "receipt.logsBloom", size=_BLOOM_BYTES)
    logs = [_encodable(log) for log in decoding.array(fields.get("logs"), "logs", limit=LOGS_ANSWER_MAX)]
    items: list[Item] = [unsigned(status), unsigned(gas), bloom, logs]
    if kind == _OP_DEPOSIT and fields.get("depositReceiptVersion") is not None:
        items += [
            unsigned(decoding.quantity(fields.get(name), f"receipt.{name}", limit=2**64 - 1))
            for name in ("depositNonce", "depositReceiptVersion")
        ]
    return rlp(items) if kind == _LEGACY else bytes((kind,)) + rlp(items)


def _encodable(value: object) -> Item:
    fields = decoding.mapping(value, "log")
    topics = decoding.array(fields.get("topics"), "log.topics", limit=TOPICS_MAX)
    return (
        decoding.data(fields.get("address"), "log.address", size=20),
        [decoding.data(topic, "log.topics", size=32) for topic in topics],
        decoding.data(fields.get("data"), "log.data"),
    )


def _require_sums(values: Sequence[object], receipts: Sequence[Receipt], where: str) -> None:
    """The root commits to cumulative gas only: the gas of each must be its share of it."""
    before = 0
    for value, receipt in zip(values, receipts, strict=True):
        fields = decoding.mapping(value, "receipt")
        total = decoding.quantity(fields.get("cumulativeGasUsed"), "receipt.cumulativeGasUsed")
        if total - before != receipt.gas_used:
            raise DisprovedError(
                f"{receipt.gas_used} gas of receipt {receipt.index}, and its block counts {total - before}",
                where,
                "do not use this endpoint",
            )
        before = total
