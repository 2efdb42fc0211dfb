from __future__ import annotations

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from seawall.telemetry.logs import LogSettings, configure, get_logger
from seawall.telemetry.masking import DEPTH_MAX, mask_text, mask_value

SECRET_NAMES = st.sampled_from(
    [
        "password",
        "keystore_password",
        "passphrase",
        "private_key",
        "privateKey",
        "PRIVATE-KEY",
        "secret",
        "apiKey",
    ]
)
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=40)
TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=12, max_size=40)
NAMES = st.sampled_from(["intent", "cause", "detail", "items", "answer"])
KEYS = st.binary(min_size=32, max_size=32).map(bytes.hex)


@st.composite
def nested_secret(draw: st.DrawFn, secret: str) -> object:
    """The secret under a secret name, wrapped in up to a few harmless layers."""
    value: object = {draw(SECRET_NAMES): secret}
    for _ in range(draw(st.integers(0, DEPTH_MAX))):
        value = {draw(NAMES): value} if draw(st.booleans()) else [value, 17]
    return value


@given(SECRETS, NAMES, st.data())
def test_secret_under_its_name_never_reaches_a_line(secret: str, name: str, data: st.DataObject) -> None:
    stream = io.BytesIO()
    configure(LogSettings(), stream=stream)
    get_logger("test").info("event", **{name: data.draw(nested_secret(secret))})
    line = stream.getvalue().decode()
    assert json.loads(line)["event"] == "event"
    assert secret not in json.dumps(json.loads(line), ensure_ascii=False).replace('\\"', '"').replace(
        "\\\\", "\\"
    )


@given(
    st.sampled_from(["https", "wss", "postgresql+psycopg"]),
    TOKENS,
    st.sampled_from(
        ["{s}://u:{t}@h.example/", "{s}://h.example/v2/{t}", "{s}://h.example/a?k={t}", "{s}://{t}@h:1"]
    ),
    st.sampled_from(["{}", "cannot reach {}.", "<{}>", '"{}"', "a {} b"]),
)
def test_token_in_an_address_never_survives(scheme: str, token: str, form: str, sentence: str) -> None:
    assert token not in mask_text(sentence.format(form.format(s=scheme, t=token)))


@given(
    KEYS, st.sampled_from(["key {}", "key: 0x{}", "private key is 0x{}", "keys=[0x{}]", "key_material {}"])
)
def test_key_material_called_a_key_never_survives(key: str, sentence: str) -> None:
    assert key not in mask_text(sentence.format(key))


@given(KEYS, st.sampled_from(["hash", "digest", "block_hash", "parent"]))
def test_hash_under_another_name_always_survives(value: str, name: str) -> None:
    assert mask_value(name, f"0x{value}") == f"0x{value}"


@given(st.text(max_size=400))
def test_masking_again_changes_nothing(text: str) -> None:
    assert mask_text(mask_text(text)) == mask_text(text)
