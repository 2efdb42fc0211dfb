"""What nodes say: the whole table, true texts of each client, and what must not be mistaken for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.chain.node_errors import JUDGEMENTS, Action, NodeError, classify, judge
from seawall.chain.node_texts import ROWS, WRAPPINGS, Row

E = NodeError
TEXTS = [(row, text) for row in (*ROWS, *WRAPPINGS) for text in row.texts]
SPECIFIC = [(row, text) for row in ROWS for text in row.texts]

# As the clients send them: code, message, and what it means.
TRUE_ANSWERS = [
    # geth 1.16
    (-32000, "already known", E.ALREADY_KNOWN),
    (-32000, "nonce too low: next nonce 5, tx nonce 4", E.NONCE_TOO_LOW),
    (-32000, "nonce too high: tx nonce 9, gapped nonce 5", E.NONCE_TOO_HIGH),
    (-32000, "replacement transaction underpriced", E.UNDERPRICED_REPLACEMENT),
    (
        -32000,
        "replacement transaction underpriced: new tx gas fee cap 1 <= 1 queued",
        E.UNDERPRICED_REPLACEMENT,
    ),
    (-32000, "transaction underpriced: tip needed 1000, tip permitted 1", E.FEE_TOO_LOW),
    (-32000, "transaction gas price below minimum: gas tip cap 0, minimum needed 1", E.FEE_TOO_LOW),
    (
        -32000,
        "err: max fee per gas less than block base fee: address 0xaB, baseFee: 7 (supplied gas 9)",
        E.FEE_TOO_LOW,
    ),
    (
        -32000,
        "insufficient funds for gas * price + value: balance 0, tx cost 21000, overshot 21000",
        E.INSUFFICIENT_FUNDS,
    ),
    (-32000, "account limit exceeded: pooled 16 txs", E.QUEUE_LIMIT),
    (-32000, "intrinsic gas too low: gas 20000, minimum needed 21000", E.GAS_TOO_LOW),
    (-32000, "insufficient gas for floor data gas cost: gas 21000, minimum needed 60000", E.GAS_TOO_LOW),
    (-32000, "transaction gas limit too high (cap: 16777216, tx: 20000000)", E.GAS_TOO_HIGH),
    (-32000, "tx fee (5.00 ether) exceeds the configured cap (1.00 ether)", E.POLICY),
    (-32000, "invalid sender: invalid chain id for signer: have 1 want 1337", E.INVALID),
    (-32000, "oversized data: transaction size 131200, limit 131072", E.INVALID),
    (-32000, "block #7 not found", E.BLOCK_UNKNOWN),
    (-32000, "missing trie node 1c72 (path ) state 0x1c72 is not available, not found", E.BLOCK_UNKNOWN),
    (-32002, "request timed out", E.TIMEOUT),
    (-32003, "response too large", E.TOO_LARGE),
    # reth
    (-32003, "txpool is full", E.POOL_FULL),
    (-32000, "nonce too low: next nonce 4, tx nonce 3", E.NONCE_TOO_LOW),
    (-32000, "tx fee (115 wei) exceeds the configured cap (100 wei)", E.POLICY),
    (-32001, "block not found: hash 0x1a15", E.BLOCK_UNKNOWN),
    (-32003, "insufficient funds for gas * price + value: have 0 want 9", E.INSUFFICIENT_FUNDS),
    (-32003, "out of gas: gas required exceeds: 30000000", E.REVERTED),
    (4444, "pruned history unavailable", E.BLOCK_UNKNOWN),
    (-32602, "query exceeds max results 20000, retry with the range 1-2", E.TOO_LARGE),
    # erigon
    (-32000, "INTERNAL_ERROR: existing tx with same hash", E.ALREADY_KNOWN),
    (-32000, "INTERNAL_ERROR: mined", E.NONCE_TOO_LOW),
    (-32000, "INTERNAL_ERROR: could not replace existing tx", E.UNDERPRICED_REPLACEMENT),
    (-32000, "FEE_TOO_LOW: fee too low", E.FEE_TOO_LOW),
    (-32000, "INTERNAL_ERROR: pending sub-pool is full", E.POOL_FULL),
    (-32000, "INTERNAL_ERROR: IntrinsicGas", E.GAS_TOO_LOW),
    # nethermind
    (-32010, "AlreadyKnown", E.ALREADY_KNOWN),
    (-32010, "OldNonce, Current nonce: 5, nonce of rejected tx: 3", E.NONCE_TOO_LOW),
    (-32010, "NonceGap, Future nonce. Expected nonce: 5", E.NONCE_TOO_HIGH),
    (-32010, "ReplacementNotAllowed, existing tx has higher fee", E.UNDERPRICED_REPLACEMENT),
    (-32010, "FeeTooLowToCompete", E.FEE_TOO_LOW),
    (-32010, "FeeTooLow, EffectivePriorityFeePerGas too low 1 < 2, BaseFee: 7", E.FEE_TOO_LOW),
    (-32010, "InsufficientFunds, Account balance: 0, cumulative cost: 9", E.INSUFFICIENT_FUNDS),
    (-32010, "GasLimitExceeded, Gas limit: 8, gas limit of rejected tx: 9", E.GAS_TOO_HIGH),
    (-32010, "Invalid, InvalidTxSignature: Signature is invalid.", E.INVALID),
    (-32010, "replacement transaction underpriced", E.UNDERPRICED_REPLACEMENT),
    (-32002, "No state available for block 0x1a15", E.BLOCK_UNKNOWN),
    (-32015, "VM execution error.", E.REVERTED),
    # besu
    (-32000, "Known transaction", E.ALREADY_KNOWN),
    (-32001, "Nonce too low", E.NONCE_TOO_LOW),
    (-32006, "Nonce too high", E.NONCE_TOO_HIGH),
    (-32000, "Transaction nonce is too distant from current sender nonce", E.NONCE_TOO_HIGH),
    (-32009, "Gas price below configured minimum gas price", E.FEE_TOO_LOW),
    (-32009, "Gas price below current base fee", E.FEE_TOO_LOW),
    (-32004, "Upfront cost exceeds account balance", E.INSUFFICIENT_FUNDS),
    (-32003, "Intrinsic gas exceeds gas limit", E.GAS_TOO_LOW),
    (-32005, "Transaction gas limit exceeds block gas limit", E.GAS_TOO_HIGH),
    (-32005, "Requested range exceeds maximum RPC range limit", E.TOO_LARGE),
    (-32002, "Invalid signature", E.INVALID),
    (-39001, "Unknown block", E.BLOCK_UNKNOWN),
    (-32008, "Initial sync is still in progress", E.BUSY),
    (-32603, "Timeout expired", E.TIMEOUT),
    # anvil
    (-32003, "Tx: [0x77] already Imported", E.ALREADY_KNOWN),
    (-32003, "Tx: [0x77] insufficient gas price to replace existing transaction", E.UNDERPRICED_REPLACEMENT),
    (-32003, "Insufficient funds for gas * price + value", E.INSUFFICIENT_FUNDS),
    (-32003, "intrinsic gas too high -- tx.gas_limit > env.cfg.gas_limit", E.GAS_TOO_HIGH),
    (-32602, "BlockOutOfRangeError: block height is 1 but requested was 9", E.BLOCK_UNKNOWN),
    (-32603, "EVM error InvalidFEOpcode", E.REVERTED),
    # Arbitrum
    (-32000, "nonce too low: address 0xaB, tx: 3 state: 5", E.NONCE_TOO_LOW),
    (-32000, "nonce too high: address 0xaB, tx: 9 state: 5", E.NONCE_TOO_HIGH),
    (
        -32000,
        "max fee per gas less than block base fee: address 0xaB, maxFeePerGas: 1 baseFee: 7",
        E.FEE_TOO_LOW,
    ),
    (-32000, "sequencer pending tx pool full, please try again", E.POOL_FULL),
    (-32000, "sequencer temporarily not available", E.BUSY),
    (-32000, "please retry transaction: not main sequencer", E.BUSY),
    (-32000, "context deadline exceeded", E.TIMEOUT),
    # OP stack
    (
        -32000,
        "failed to forward tx to sequencer, please try again. Error message: 'nonce too low'",
        E.NONCE_TOO_LOW,
    ),
    (-32000, "failed to forward tx to sequencer: EOF", E.BUSY),
    (-32000, '429 Too Many Requests: {"error":{"code":-32016,"message":"over rate limit"}}', E.RATE_LIMITED),
    (-32016, "over rate limit", E.RATE_LIMITED),
    (-32011, "no backends available for method", E.BUSY),
    (-32001, "rpc method is not whitelisted", E.METHOD_UNKNOWN),
    # providers
    (429, "Your app has exceeded its compute units per second capacity. If you have retries", E.RATE_LIMITED),
    (-32005, "project ID request rate exceeded", E.RATE_LIMITED),
    (-32005, "query returned more than 10000 results", E.TOO_LARGE),
    (-32012, "credits limited to 6000/sec", E.RATE_LIMITED),
    (-32000, "502 Bad Gateway: upstream", E.BUSY),
    # words that say nothing, with a code that does
    (-32005, "no", E.RATE_LIMITED),
    (-32002, "no", E.BUSY),
    (-32001, "no", E.BLOCK_UNKNOWN),
    (-32601, "no", E.METHOD_UNKNOWN),
    (-32603, "Internal error", E.BUSY),
    (-32000, "computer says no", E.UNKNOWN),
    (0, "", E.UNKNOWN),
]


def ids(value: object) -> str | None:
    return value.client if isinstance(value, Row) else None


@pytest.mark.parametrize(("row", "text"), TEXTS, ids=ids)
def test_every_text_of_the_table_has_the_meaning_of_its_row(row: Row, text: str) -> None:
    assert classify(-32000, text.replace("…", "0x12ab")) is row.error


@pytest.mark.parametrize(("code", "message", "error"), TRUE_ANSWERS)
def test_true_answer_of_a_client_is_understood(code: int, message: str, error: NodeError) -> None:
    assert classify(code, message) is error


def test_every_meaning_stands_in_the_table_and_has_a_judgement() -> None:
    assert {row.error for row, _ in TEXTS} == set(E) - {E.UNKNOWN}
    assert set(JUDGEMENTS) == set(E)


def test_no_text_stands_twice() -> None:
    assert len({text for _, text in TEXTS}) == len(TEXTS)


@pytest.mark.parametrize(("row", "text"), SPECIFIC, ids=ids)
def test_text_of_another_meaning_is_only_ever_a_part_of_a_longer_one(row: Row, text: str) -> None:
    """Otherwise which of the two counts would hang on words around them."""
    for other, part in SPECIFIC:
        if other.error is not row.error and part in text:
            assert len(part) < len(text)
            assert not text.startswith(part), f"{part!r} begins {text!r}"


NEUTRAL = st.text(alphabet="0123456789 :,.[]()'\"-_/", max_size=40)


@given(st.sampled_from(SPECIFIC), st.integers(0, 2**256 - 1), NEUTRAL, NEUTRAL, st.booleans())
def test_numbers_prefixes_and_case_change_no_meaning(
    one: tuple[Row, str], number: int, before: str, after: str, upper: bool
) -> None:
    row, text = one
    message = before + text.replace("…", hex(number)) + after
    assert classify(-32000, message.upper() if upper else message) is row.error


@given(st.text(alphabet="bcdfghjklmpqvwxz0123456789 :", max_size=200))
def test_words_that_nobody_knows_are_unknown(message: str) -> None:
    assert classify(-32000, message) is E.UNKNOWN


@given(st.sampled_from(TEXTS), st.text(max_size=30))
def test_revert_reason_that_imitates_a_node_is_still_a_revert(one: tuple[Row, str], after: str) -> None:
    assert classify(-32000, f"execution reverted: {one[1]}{after}") is E.REVERTED
    assert classify(3, one[1] + after) is E.REVERTED


@given(st.integers(), st.text(), st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text())))
def test_any_answer_has_a_judgement(code: int, message: str, data: object) -> None:
    assert judge(code, message, data).error in E


def test_text_in_data_counts_where_the_message_says_nothing() -> None:
    assert classify(-32602, "Tx refused", "nonce too low") is E.NONCE_TOO_LOW
    assert classify(-32000, "already known", "nonce too low") is E.ALREADY_KNOWN


def test_endless_message_is_read_to_a_bound() -> None:
    assert classify(-32000, "z" * 10_000 + "already known") is E.UNKNOWN


def test_health_of_an_endpoint_is_judged_apart_from_the_transaction() -> None:
    blamed = {error for error, judgement in JUDGEMENTS.items() if judgement.blames_endpoint}
    assert blamed == {E.RATE_LIMITED, E.BUSY, E.TIMEOUT}


def test_nobody_is_given_up_for_what_says_nothing_against_it() -> None:
    rejecting = {error for error, judgement in JUDGEMENTS.items() if judgement.proves_refusal}
    assert not rejecting & {E.ALREADY_KNOWN, E.NONCE_TOO_LOW, E.NONCE_TOO_HIGH, E.POOL_FULL, E.QUEUE_LIMIT}
    assert not any(JUDGEMENTS[error].blames_endpoint for error in rejecting)
    waiting = {error for error, judgement in JUDGEMENTS.items() if judgement.action is Action.WAIT}
    assert not rejecting & waiting


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (E.ALREADY_KNOWN, Action.SUCCESS),
        (E.NONCE_TOO_LOW, Action.LOOK_UP),
        (E.NONCE_TOO_HIGH, Action.RESYNC),
        (E.UNDERPRICED_REPLACEMENT, Action.BUMP),
        (E.POOL_FULL, Action.WAIT),
        (E.GAS_TOO_HIGH, Action.GIVE_UP),
        (E.INSUFFICIENT_FUNDS, Action.ALERT),
        (E.TOO_LARGE, Action.SPLIT),
    ],
)
def test_meaning_decides_what_is_done(error: NodeError, action: Action) -> None:
    assert JUDGEMENTS[error].action is action
