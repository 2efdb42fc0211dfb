"""Logs and revert bytes of the executor, turned into facts and sentences."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode

from seawall.native import keccak256
from seawall.primitives.blocks import Log
from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.units import Address, Hash, address_text
from seawall.protocols.executor import events
from seawall.protocols.executor.artifacts import (
    EXECUTOR,
    PLAN_CHECKS,
    REGISTRY,
    RISK_BOOK,
    executor_creation,
    load_artifact,
    plan_checks_creation,
    registry_creation,
    risk_book_creation,
)
from seawall.protocols.executor.events import Executed, NativeMoved, decode_event, decode_revert
from seawall.protocols.executor.sentences import SENTENCES

OURS = Address(b"\x11" * 20)
OTHER = Address(b"\x22" * 20)
DIGEST = Hash(b"\x33" * 32)


def log(topics: tuple[bytes, ...], data: bytes, address: Address = OURS) -> Log:
    nowhere = Hash(bytes(32))
    return Log(address, tuple(Hash(topic) for topic in topics), data, nowhere, 1, nowhere, 0)


def word(value: int | bytes) -> bytes:
    return value.rjust(32, b"\0") if isinstance(value, bytes) else value.to_bytes(32, "big", signed=value < 0)


def error(signature: str, *values: object) -> bytes:
    types = [kind for kind in signature[signature.index("(") + 1 : -1].split(",") if kind]
    return keccak256(signature.encode())[:4] + encode(types, values)


def test_executed_names_intent_digest_token_and_inflow() -> None:
    topics = (events.EXECUTED_TOPIC, word(2**200), DIGEST, word(OTHER))
    assert decode_event(log(topics, word(9)), OURS) == Executed(2**200, DIGEST, OTHER, 9)


@pytest.mark.parametrize("amount", [5, -5, 2**200, -(2**200)])
def test_native_legs_keep_their_sign(amount: int) -> None:
    topics = (events.NATIVE_MOVED_TOPIC, word(OTHER))
    assert decode_event(log(topics, word(amount)), OURS) == NativeMoved(OTHER, amount)


def test_logs_of_others_and_of_other_events_are_none_of_ours() -> None:
    topics = (events.NATIVE_MOVED_TOPIC, word(OTHER))
    assert decode_event(log(topics, word(1), OTHER), OURS) is None
    assert decode_event(log((DIGEST,), word(1)), OURS) is None
    assert decode_event(log((), b""), OURS) is None


def test_our_topic_in_another_shape_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="another shape"):
        decode_event(log((events.EXECUTED_TOPIC,), word(1)), OURS)
    with pytest.raises(ProtocolError, match="another shape"):
        decode_event(log((events.NATIVE_MOVED_TOPIC, word(OTHER)), b""), OURS)


def test_nested_reasons_are_told_from_the_outside_in() -> None:
    inner = error("Error(string)", "no cash")
    middle = error("WordRefused(uint256,uint8,uint256,uint256)", 3, 4, 8, 7)
    for reason, words in (
        (inner, "reverted with 'no cash'"),
        (middle, "argument word 3 is 8, its rule is LE 7"),
    ):
        data = error(
            "OperationFailed(address,bytes4,bytes)", address_text(OTHER), b"\xab\xcd\xef\x01", reason
        )
        decoded = decode_revert(data)
        assert decoded is not None
        assert decoded.text == f"the call of 0xabcdef01 on {address_text(OTHER)} failed: {words}"


def test_a_reason_that_nobody_knows_is_shown_as_it_is() -> None:
    data = error(
        "OperationFailed(address,bytes4,bytes)", address_text(OTHER), b"\xab\xcd\xef\x01", b"\x99" * 6
    )
    decoded = decode_revert(data)
    assert decoded is not None
    assert decoded.text.endswith("failed with 0x999999999999")


@pytest.mark.parametrize(
    "data", [b"", b"\x01\x02", b"\x99" * 36, keccak256(b"Expired(uint256,uint256)")[:4] + b"\x01"]
)
def test_unknown_or_cut_bytes_are_no_error_of_ours(data: bytes) -> None:
    assert decode_revert(data) is None


def test_every_error_of_our_contracts_has_a_text() -> None:
    samples: dict[str, object] = {
        "address": address_text(OTHER),
        "string": "f()",
        "bytes": b"",
        "bytes4": b"abcd",
        "bytes32": DIGEST,
    }
    ours = [load_artifact(name) for name in (EXECUTOR, REGISTRY, RISK_BOOK, PLAN_CHECKS)]
    for item in (item for artifact in ours for item in artifact.abi):
        if item["type"] != "error":
            continue
        inputs = item["inputs"]
        assert isinstance(inputs, list)
        kinds = [str(entry["type"]) for entry in inputs]
        values = [samples.get(kind, 1) for kind in kinds]
        decoded = decode_revert(error(f"{item['name']}({','.join(kinds)})", *values))
        assert decoded is not None
        assert decoded.name == item["name"]
        assert decoded.text


def test_every_refusal_of_a_plan_has_a_sentence_of_its_own() -> None:
    setup = {"NotOwner", "NotPendingOwner", "ZeroAddress", "UnknownRole", "RescueNotProposed"}
    setup |= {"RescueAlreadyProposed", "RescueTooEarly", "RescueLapsed", "RescueCallFailed"}
    for name in (EXECUTOR, PLAN_CHECKS):
        errors = {str(item["name"]) for item in load_artifact(name).abi if item["type"] == "error"}
        assert errors - setup <= SENTENCES.keys()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (error("HealthFactorFell(uint256,uint256,uint256)", 1, 13 * 10**17, 12 * 10**17), "1.3000 to 1.2000"),
        (
            error("HealthBelowFloor(uint256,address,uint256,uint256)", 0, address_text(OTHER), 1, 2**256 - 1),
            "limit",
        ),
        (
            error("LossAboveWindow(uint256,uint256)", 1_234_567_890, 5),
            "12.34 USD, the window has room for 0.00",
        ),
        (
            error("SegmentFailed(uint256,bytes)", 2, error("Halted()")),
            "segment 2 of an atomic batch failed: the exec",
        ),
    ],
)
def test_numbers_are_told_in_the_units_people_use(data: bytes, words: str) -> None:
    decoded = decode_revert(data)
    assert decoded is not None
    assert words in decoded.text


def test_a_deep_chain_of_reasons_ends() -> None:
    data = error("Error(string)", "deep")
    for _ in range(50):
        data = error("OperationFailed(address,bytes4,bytes)", address_text(OTHER), b"abcd", data)
    decoded = decode_revert(data)
    assert decoded is not None
    assert len(decoded.text) < 2_000


def test_creation_code_ends_with_the_constructor_arguments() -> None:
    assert registry_creation(OTHER) == load_artifact(REGISTRY).creation_code + word(OTHER)
    assert risk_book_creation(OTHER) == load_artifact(RISK_BOOK).creation_code + word(OTHER)
    assert plan_checks_creation() == load_artifact(PLAN_CHECKS).creation_code
    named = (OURS, OTHER, OURS, OTHER, OTHER, OURS)
    tail = b"".join(map(word, named))
    assert executor_creation(*named) == load_artifact(EXECUTOR).creation_code + tail


def test_immutables_do_not_hide_other_differences() -> None:
    artifact = load_artifact(EXECUTOR)
    code = bytearray(artifact.runtime_code)
    for start, length in artifact.immutables:
        code[start : start + length] = b"\x77" * length
    assert artifact.is_code_of(bytes(code))
    code[1] ^= 1
    assert not artifact.is_code_of(bytes(code))
    assert len(artifact.runtime_code) <= 24_576


def test_unknown_artifact_is_refused() -> None:
    with pytest.raises(InputError, match="no contract of ours"):
        load_artifact("Proxy")
