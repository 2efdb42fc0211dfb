"""What providers say when a question for logs is too large, in their own words."""

from __future__ import annotations

import pytest

from seawall.chain.logs.caps import Cap, Refusal, refusal_of
from seawall.chain.transport import RpcError

SAID = [
    (
        "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no "
        "limit on the response size, or you can request any block range with a cap of 10K logs in the "
        "response. Based on your parameters and the response size limit, this block range should work: "
        "[0x0, 0x79bcb3]",
        Refusal(Cap.LOGS, 10_000, 0x79BCB3),
    ),
    (
        "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on "
        "your parameters, this block range should work: [0x1180fca, 0x1180fd3]. Upgrade to PAYG for expanded "
        "block range.",
        Refusal(Cap.BLOCKS, 10, 0x1180FD3),
    ),
    ("query returned more than 10000 results", Refusal(Cap.LOGS, 10_000)),
    (
        "Query returned more than 10000 results. Try with this block range [0x5, 0xff].",
        Refusal(Cap.LOGS, 10_000, 0xFF),
    ),
    ("range 1000000 exceeds limit of 10000", Refusal(Cap.BLOCKS, 10_000)),
    ("eth_getLogs is limited to a 10,000 range", Refusal(Cap.BLOCKS, 10_000)),
    ("eth_getLogs is limited to a 1000 blocks range", Refusal(Cap.BLOCKS, 1_000)),
    ("block range is too wide", Refusal(Cap.BLOCKS)),
    ("block range is too wide (maximum 1024)", Refusal(Cap.BLOCKS, 1_024)),
    ("block range greater than 10000 max", Refusal(Cap.BLOCKS, 10_000)),
    ("query exceeds max block range 100000", Refusal(Cap.BLOCKS, 100_000)),
    (
        "query exceeds max results 20000, retry with the range 24383075-24383096",
        Refusal(Cap.LOGS, 20_000, 24_383_096),
    ),
    ("exceed maximum block range: 50000", Refusal(Cap.BLOCKS, 50_000)),
    (
        "requested too many blocks from 0 to 16777216, maximum is set to 2048",
        Refusal(Cap.BLOCKS, 2_048),
    ),
    ("Requested range exceeds maximum RPC range limit", Refusal(Cap.BLOCKS)),
    ("Response size should not greater than 150000000 bytes", Refusal(Cap.BYTES, 150_000_000)),
    ("Response is too big", Refusal(Cap.BYTES)),
    ("query timeout exceeded", Refusal(Cap.TIME)),
]


@pytest.mark.parametrize(("words", "meaning"), SAID, ids=[words[:40] for words, _ in SAID])
def test_words_of_providers_tell_cap_number_and_what_would_work(words: str, meaning: Refusal) -> None:
    assert refusal_of(RpcError(-32000, words)) == meaning


def test_words_inside_the_data_count_where_the_message_says_nothing() -> None:
    data = {"error_id": "4ed94073", "payload": "range 9009594 is bigger than range limit 2000"}
    assert refusal_of(RpcError(-32602, "invalid params", data)) == Refusal(Cap.BLOCKS, 2_000)


def test_answer_that_is_only_known_to_be_too_large_has_an_unknown_cap() -> None:
    assert refusal_of(RpcError(-38026, "no")) == Refusal(Cap.UNKNOWN)


@pytest.mark.parametrize("words", ["execution reverted", "header not found", "rate limit", "nonce too low"])
def test_errors_about_something_else_are_no_refusals(words: str) -> None:
    assert refusal_of(RpcError(-32000, words)) is None


def test_number_beyond_sense_is_no_limit() -> None:
    assert refusal_of(RpcError(-32000, "range 1 exceeds limit of " + "9" * 40)) == Refusal(Cap.BLOCKS)


def test_what_stands_far_behind_is_not_read() -> None:
    assert refusal_of(RpcError(-32000, "x" * 5_000 + "block range is too wide")) is None
