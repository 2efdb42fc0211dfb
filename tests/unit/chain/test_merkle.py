"""RLP and the ordered trie against published vectors, recorded mainnet blocks, and a slow trie written down
as the yellow paper has it."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from seawall.chain.headers import header_hash, require_own_hash
from seawall.chain.merkle import EMPTY_ROOT, Item, ordered_root, rlp, unsigned
from seawall.native import EncodingError, keccak256, transfers_root
from seawall.primitives.errors import DisprovedError, EndpointError
from seawall.primitives.units import hex_text

DATA = Path(os.environ.get("SEAWALL_DATA", Path(__file__).resolve().parents[4] / "shared/data"))
HEX = "0123456789abcdef"
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


def slow_root(values: Sequence[bytes]) -> bytes:
    """As `ordered_root`, with all keys spelt out and nothing foreseen of their order."""
    pairs = sorted([(rlp(unsigned(index)).hex(), value) for index, value in enumerate(values)])
    return keccak256(rlp(slow_node(pairs)) if pairs else rlp(b""))


def slow_node(pairs: Sequence[tuple[str, bytes]]) -> list[Item]:
    """What the node that holds these pairs of path and value is before it is encoded."""
    (first, value), (last, _) = pairs[0], pairs[-1]
    if len(pairs) == 1:
        return [hex_prefix(first, 2), value]
    if shared := shared_start(first, last):
        return [hex_prefix(shared, 0), below([(path[len(shared) :], v) for path, v in pairs])]
    return [*(below([(path[1:], v) for path, v in pairs if path[0] == digit]) for digit in HEX), b""]


def below(pairs: Sequence[tuple[str, bytes]]) -> Item:
    node = slow_node(pairs) if pairs else b""
    return node if len(rlp(node)) < 32 else keccak256(rlp(node))


def shared_start(first: str, last: str) -> str:
    return first[: next(n for n in range(len(first)) if first[n] != last[n])]


def hex_prefix(path: str, flag: int) -> bytes:
    return bytes.fromhex(f"{flag + 1}{path}" if len(path) % 2 else f"{flag}0{path}")


@pytest.mark.parametrize("length", [1, 5, 28, 29, 30, 31, 32, 54, 55, 56, 118, 300])
def test_root_is_that_of_the_slow_trie_whatever_the_number_of_values(length: int) -> None:
    # Below 32 bytes nodes stand in their parents; from 128 and from 256 values on keys are longer.
    source = random.Random(length)
    values = [source.randbytes(length) for _ in range(300)]
    for count in (*range(20), 126, 127, 128, 129, 130, 144, 255, 256, 257, 258, 300):
        assert ordered_root(values[:count]) == slow_root(values[:count]), count


def test_root_is_that_of_the_slow_trie_for_values_of_any_length() -> None:
    source = random.Random(7)
    for _ in range(40):
        values = [source.randbytes(source.randrange(70)) for _ in range(source.randrange(200))]
        assert ordered_root(tuple(values)) == slow_root(values)


def test_root_of_more_values_than_two_bytes_number_is_that_of_the_slow_trie() -> None:
    values = [bytes((n % 251,)) for n in range(66_000)]
    assert ordered_root(values) == slow_root(values)


@pytest.mark.parametrize("count", [0, 1, 2, 127, 128, 129, 300])
def test_root_of_transfers_is_that_of_their_receipts(count: int) -> None:
    receipts = [
        b"\x02" + rlp((unsigned(1), unsigned(21_000 * n), bytes(256), ())) for n in range(1, count + 1)
    ]
    assert transfers_root(count, 21_000) == slow_root(receipts)


def test_more_transfers_than_any_block_holds_are_refused() -> None:
    with pytest.raises(EncodingError, match="in one list"):
        transfers_root(2**20 + 1, 21_000)
