"""RLP and the ordered trie against published vectors and recorded mainnet blocks."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from seawall.chain.headers import header_hash, require_own_hash
from seawall.chain.merkle import EMPTY_ROOT, Item, ordered_root, rlp, unsigned
from seawall.primitives.errors import DisprovedError, EndpointError
from seawall.primitives.units import hex_text

DATA = Path(os.environ.get("SEAWALL_DATA", Path(__file__).resolve().parents[4] / "shared/data"))
BLOCKS = (930196, 4864590, 10760440, 12520364, 15274915, 18426253, 19807137, 19934116)


@pytest.mark.parametrize(
    ("item", "encoded"),
    [
        (b"dog", "83646f67"),
        ((b"cat", b"dog"), "c88363617483646f67"),
        (b"", "80"),
        ((), "c0"),
        (unsigned(0), "80"),
        (unsigned(15), "0f"),
        (unsigned(1024), "820400"),
        (((), ((),), ((), ((),))), "c7c0c1c0c3c0c1c0"),
        (b"Lorem ipsum dolor sit amet, consectetur adipisicing elit", "b838" + (
            b"Lorem ipsum dolor sit amet, consectetur adipisicing elit".hex())),
        (b"\x80", "8180"),
    ],
)  # fmt: skip
def test_rlp_of_the_published_examples(item: Item, encoded: str) -> None:
    assert rlp(item).hex() == encoded


def test_root_of_nothing_is_the_published_empty_root() -> None:
    assert hex_text(EMPTY_ROOT) == "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    assert ordered_root([]) == EMPTY_ROOT


def recorded(number: int) -> dict[str, object]:
    path = DATA / f"mainnet/{number}_block.json.gz"
    if not path.exists():
        pytest.skip(f"recorded chain data is not at {DATA}")
    block: dict[str, object] = json.loads(gzip.decompress(path.read_bytes()))
    return block


@pytest.mark.parametrize("number", BLOCKS)
def test_hash_of_a_recorded_header_is_recomputed(number: int) -> None:
    block = recorded(number)
    assert require_own_hash(block, "block")


@pytest.mark.parametrize("field", ["parentHash", "timestamp", "gasUsed", "receiptsRoot", "miner"])
def test_header_with_any_changed_field_is_disproved(field: str) -> None:
    block = recorded(19934116)
    value = block[field]
    assert isinstance(value, str)
    block[field] = value[:-1] + ("1" if value[-1] != "1" else "2")
    with pytest.raises(DisprovedError, match="claims to be"):
        require_own_hash(block, "block")


def test_header_with_a_field_of_an_unknown_fork_is_unchecked_and_not_wrong() -> None:
    block = recorded(19934116) | {"futureRoot": "0x" + "11" * 32}
    assert header_hash(block, "block") is None
    assert not require_own_hash(block, "block")


def test_header_without_a_field_is_an_endpoint_error() -> None:
    block = recorded(19934116)
    del block["stateRoot"]
    with pytest.raises(EndpointError, match="stateRoot"):
        require_own_hash(block, "block")


@pytest.mark.parametrize("number", [n for n in BLOCKS if n > 18_000_000])
def test_root_of_recorded_withdrawals_is_recomputed(number: int) -> None:
    block = recorded(number)
    withdrawals = block["withdrawals"]
    assert isinstance(withdrawals, list)
    encoded = [
        rlp(
            (
                unsigned(int(one["index"], 16)),
                unsigned(int(one["validatorIndex"], 16)),
                bytes.fromhex(one["address"][2:]),
                unsigned(int(one["amount"], 16)),
            )
        )
        for one in withdrawals
    ]
    assert hex_text(ordered_root(encoded)) == block["withdrawalsRoot"]
