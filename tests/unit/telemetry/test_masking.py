from __future__ import annotations

import pytest

from seawall.telemetry.masking import DEPTH_MAX, MASK, mask_text, mask_value

HASH = "0x" + "ab" * 32
KEY = "0x" + "cd" * 32


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "keystorePassword",
        "private_key",
        "privateKey",
        "api-key",
        "apiKey",
        "client_secret",
    ],
)
def test_value_under_a_secret_name_is_masked_whatever_its_type(name: str) -> None:
    for value in ("hunter2", b"hunter2", 12345, 1.5, ["hunter2"], {"deep": "hunter2"}):
        assert mask_value(name, value) == MASK


@pytest.mark.parametrize("name", ["password_file", "keystore_password_path"])
def test_place_of_a_secret_is_shown(name: str) -> None:
    assert mask_value(name, "/etc/seawall/password") == "/etc/seawall/password"


@pytest.mark.parametrize("name", ["hash", "block_hash", "idempotency_digest", "to"])
def test_hash_is_shown(name: str) -> None:
    assert mask_value(name, HASH) == HASH
    assert mask_value(name, bytes.fromhex(HASH[2:])) == HASH


@pytest.mark.parametrize("value", [KEY, KEY[2:], KEY.upper().replace("0X", "0x"), bytes(32), int(KEY, 16)])
def test_key_material_under_a_key_name_is_masked(value: object) -> None:
    assert mask_value("key", value) == MASK
    assert mask_value("signer_key", value) == MASK


def test_lane_key_and_idempotency_key_are_shown() -> None:
    assert mask_value("key", "0x" + "11" * 20) == "0x" + "11" * 20
    assert mask_value("idempotency_key", "arbitrage:17:0") == "arbitrage:17:0"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:pa55@node.example/", "https://***@node.example"),
        ("https://node.example/v3/0123456789abcdef", "https://node.example/***"),
        ("https://node.example?key=0123456789", "https://node.example/***"),
        ("wss://node.example:8546/ws/t0ken", "wss://node.example:8546/***"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://[::1]:8545/", "http://[::1]:8545"),
        ("postgresql+psycopg://seawall:pa55@db:5432/main", "postgresql+psycopg://***@db:5432/***"),
        ("postgres://user:pa/55@db/main", "postgres://***"),
        ("postgres://user:pa'55", "postgres://***'55"),
        ("sqlite:////var/lib/seawall/ledger.db?key=pa55", "sqlite:////var/lib/seawall/ledger.db"),
    ],
)
def test_address_in_a_text_keeps_scheme_host_and_port(address: str, shown: str) -> None:
    assert mask_text(f"cannot reach {address}") == f"cannot reach {shown}"


@pytest.mark.parametrize(
    "text",
    [
        "password: hunter2",
        "password=hunter2 and more",
        '{"password": "hunter2"}',
        "{'passphrase': 'hunter2 hunter2'}",
        "db_password = hunter2",
        "Authorization: hunter2",
    ],
)
def test_assigned_secret_in_a_text_is_masked(text: str) -> None:
    assert "hunter2" not in mask_text(text)


@pytest.mark.parametrize(
    "text", [f"private key {KEY}", f"the key is {KEY[2:]}", f"key={KEY}", f"key '{KEY}'"]
)
def test_key_named_in_a_text_is_masked(text: str) -> None:
    assert KEY[2:] not in mask_text(text)


def test_sentence_about_a_password_and_a_hash_in_a_text_are_kept() -> None:
    text = f"the password does not open the keystore; transaction {HASH} stands"
    assert mask_text(text) == text


def test_cycle_ends_at_the_depth_bound() -> None:
    loop: dict[str, object] = {}
    loop["again"] = loop
    shown: object = mask_value("value", loop)
    for _ in range(DEPTH_MAX):
        assert isinstance(shown, dict)
        shown = shown["again"]
    assert shown == "..."


def test_integer_beyond_a_double_becomes_text() -> None:
    assert mask_value("amount_wei", 10**18) == "1000000000000000000"
    assert mask_value("count", 17) == 17
