"""Receipts that are computed count only where the header proves them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from seawall.chain.foreseen import TRANSFER_GAS, foreseen_receipts
from seawall.chain.receipts import receipt_of, receipts_root
from seawall.primitives.units import Hash, hex_text
from tests.builders.messages import block

BASE_FEE = 100
BLOCK = replace(block(100), base_fee_wei=BASE_FEE)


@dataclass(frozen=True, slots=True)
class Sent:
    hash: Hash
    max_fee_per_gas_wei: int = 150
    max_priority_fee_per_gas_wei: int = 10


def shown(count: int) -> list[dict[str, object]]:
    """Receipts of transfers as a node shows them."""
    return [
        {
            "transactionHash": hex_text((i + 1).to_bytes(32, "big")), "transactionIndex": hex(i),
            "blockHash": hex_text(BLOCK.hash), "blockNumber": hex(BLOCK.number), "type": "0x2",
            "status": "0x1", "gasUsed": hex(TRANSFER_GAS), "cumulativeGasUsed": hex(TRANSFER_GAS * (i + 1)),
            "effectiveGasPrice": hex(110), "logsBloom": "0x" + "00" * 256, "logs": [],
        }
        for i in range(count)
    ]  # fmt: skip


def sent(count: int) -> list[Sent]:
    return [Sent(Hash((i + 1).to_bytes(32, "big"))) for i in range(count)]


def root_of(receipts: list[dict[str, object]]) -> Hash:
    root = receipts_root(receipts)
    assert root is not None
    return root


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 300])
def test_receipts_of_transfers_are_those_that_a_node_shows(count: int) -> None:
    receipts = shown(count)
    assert foreseen_receipts(BLOCK, root_of(receipts), sent(count)) == list(map(receipt_of, receipts))


@pytest.mark.parametrize(
    ("field_name", "value"),
    [("status", "0x0"), ("cumulativeGasUsed", "0x5209"), ("type", "0x0"), ("logsBloom", "0x" + "01" * 256)],
)
def test_a_block_with_one_other_receipt_is_not_foreseen(field_name: str, value: str) -> None:
    receipts = shown(3)
    receipts[1][field_name] = value
    assert foreseen_receipts(BLOCK, root_of(receipts), sent(3)) is None


@pytest.mark.parametrize(("most", "tip", "price"), [(150, 10, 110), (105, 10, 105), (100, 0, 100)])
def test_price_is_the_base_fee_and_what_is_left_of_the_tip(most: int, tip: int, price: int) -> None:
    found = foreseen_receipts(BLOCK, root_of(shown(1)), [Sent(Hash(bytes(32)), most, tip)])
    assert found is not None
    (receipt,) = found
    assert receipt.effective_gas_price_wei == price
    assert receipt.fee_wei == price * TRANSFER_GAS
