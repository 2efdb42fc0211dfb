"""Answers of true nodes, recorded by `tests/integration/geth/situations.py`, mean what was brought about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seawall.chain.endpoints import Endpoint
from seawall.chain.node_errors import NodeError, classify
from seawall.chain.reverts import decode_revert, revert_bytes
from seawall.chain.writes import WriteAnswer, judged
from seawall.primitives.units import Hash

ANSWERS = Path(__file__).resolve().parents[2] / "fixtures" / "node_answers.json"
ENTRIES: list[dict[str, object]] = json.loads(ANSWERS.read_text())
REFUSED = [entry for entry in ENTRIES if entry["answer"] is not None]


def answer_of(entry: dict[str, object]) -> dict[str, object]:
    answer = entry["answer"]
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("entry", REFUSED, ids=lambda entry: f"{entry['node']}: {entry['situation']}")
def test_recorded_answer_means_what_was_brought_about(entry: dict[str, object]) -> None:
    answer = answer_of(entry)
    assert classify(int(str(answer["code"])), str(answer["message"]), answer["data"]) == entry["error"]


def test_both_nodes_were_brought_into_each_situation_of_a_write() -> None:
    meant = {(entry["node"], entry["error"]) for entry in REFUSED}
    writes = {
        "already_known",
        "nonce_too_low",
        "underpriced_replacement",
        "fee_too_low",
        "insufficient_funds",
    }
    assert meant >= {(node, error) for node in ("geth", "anvil") for error in writes}
    assert {error for node, error in meant if node == "geth"} >= writes | {
        "pool_full",
        "policy",
        "gas_too_low",
    }


def test_what_a_node_takes_without_a_word_is_recorded_too() -> None:
    taken = {(entry["node"], entry["situation"]) for entry in ENTRIES if entry["answer"] is None}
    assert ("geth", "fee below the base fee") in taken
    assert ("anvil", "replacement one wei dearer") in taken


@pytest.mark.parametrize("node", ["geth", "anvil"])
def test_reasons_of_recorded_reverts_are_read_from_their_bytes(node: str) -> None:
    reasons = {}
    for entry in REFUSED:
        raw = revert_bytes(answer_of(entry)["data"])
        if entry["node"] == node and raw:
            reason = decode_revert(raw)
            assert reason is not None
            reasons[entry["situation"]] = reason.text
    assert reasons == {
        "call reverts with words": "reverted with 'no'",
        "call panics": "panicked: an arithmetic operation overflowed",
        "call reverts with a custom error": "reverted with an unknown error 0xdeadbeef of 4 bytes",
    }


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        ({"code": -32000, "message": "already known"}, WriteAnswer.KNOWN),
        ({"code": -32000, "message": "nonce too low: next nonce 5, tx nonce 4"}, WriteAnswer.UNKNOWN),
        ({"code": -32001, "message": "Nonce too low"}, WriteAnswer.UNKNOWN),
        ({"code": -32000, "message": "context deadline exceeded"}, WriteAnswer.UNKNOWN),
        ({"code": -32000, "message": "failed to forward tx to sequencer: EOF"}, WriteAnswer.UNKNOWN),
        ({"code": -32000, "message": "txpool is full"}, WriteAnswer.UNKNOWN),
        ({"code": -32000, "message": "nonce too high: address 0xaB, tx: 9 state: 5"}, WriteAnswer.UNKNOWN),
        ({"code": 429, "message": "Too Many Requests"}, WriteAnswer.UNKNOWN),
        ({"code": -32000, "message": "transaction underpriced"}, WriteAnswer.REJECTED),
        ({"code": -32000, "message": "insufficient funds for transfer"}, WriteAnswer.REJECTED),
        (
            {"code": -32000, "message": "tx fee (2 ether) exceeds the configured cap (1 ether)"},
            WriteAnswer.REJECTED,
        ),
        ({"code": -32000, "message": "computer says no"}, WriteAnswer.UNKNOWN),
        ({"message": "already known"}, WriteAnswer.KNOWN),
        ("already known", WriteAnswer.KNOWN),
        ({"code": "x", "message": None}, WriteAnswer.UNKNOWN),
    ],
    ids=str,
)
def test_meaning_of_a_refusal_decides_what_is_known_of_the_bytes(error: object, answer: WriteAnswer) -> None:
    result = judged(Hash(b"\x01" * 32), error, Endpoint.parse("http://node"))
    assert (result.answer, result.hash) == (answer, b"\x01" * 32)
    assert isinstance(result.error, NodeError)


def test_refused_write_tells_the_reason_of_a_revert_and_no_secret_of_the_endpoint() -> None:
    data = "0x4e487b71" + "0" * 62 + "11"
    error = {"code": 3, "message": "execution reverted at /v2/verysecretkey", "data": data}
    result = judged(Hash(b"\x01" * 32), error, Endpoint.parse("http://node/v2/verysecretkey"))
    assert result.error is NodeError.REVERTED
    assert "arithmetic" in result.message
    assert "verysecretkey" not in result.message
