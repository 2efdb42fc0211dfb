"""DER and CRC-32C as key services write them, against other implementations; anything looser is refused."""

from __future__ import annotations

import coincurve
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from seawall.primitives.errors import SignerAnswerError
from seawall.signers.crc32c import crc32c
from seawall.signers.der import address_of_point, compact_from_der, der_from_pem, point_from_spki
from tests.fixtures.signing_services import ORDER

SCALARS = st.integers(1, ORDER - 1) | st.sampled_from([1, 0x7F, 0x80, 0xFF, 0x100, 2**255 - 1, 2**255])


@given(r=SCALARS, s=SCALARS)
def test_every_der_signature_gives_its_numbers(r: int, s: int) -> None:
    compact = compact_from_der(utils.encode_dss_signature(r, s))
    assert (int.from_bytes(compact[:32]), int.from_bytes(compact[32:])) == (r, s)


@given(r=SCALARS, s=SCALARS, place=st.integers(0, 80), value=st.integers(0, 255))
def test_changed_byte_is_refused_or_gives_other_numbers(r: int, s: int, place: int, value: int) -> None:
    der = bytearray(utils.encode_dss_signature(r, s))
    before = bytes(der)
    der[place % len(der)] = value
    try:
        compact = compact_from_der(bytes(der))
    except SignerAnswerError:
        return
    numbers = (int.from_bytes(compact[:32]), int.from_bytes(compact[32:]))
    # What is read is exactly what is written: there are no two spellings of one signature.
    assert utils.encode_dss_signature(*numbers) == bytes(der)
    assert (numbers == (r, s)) == (bytes(der) == before)


GOOD = utils.encode_dss_signature(2**200, 2**255 + 5)


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30",
        GOOD[:-1],
        GOOD + b"\x00",
        b"\x31" + GOOD[1:],
        bytes([0x30, 0x81, GOOD[1]]) + GOOD[2:],  # a longer form of the length
        b"\x30\x06\x02\x01\x80\x02\x01\x01",  # a negative number
        b"\x30\x07\x02\x02\x00\x01\x02\x01\x01",  # a padded one
        b"\x30\x04\x02\x00\x02\x00",  # empty ones
        b"\x30\x03\x02\x01\x01",  # only one
        b"\x30\x28\x02\x22\x7f" + b"\x01" * 33 + b"\x02\x02\x01\x01",  # one that is too long
    ],
    ids=range(11),
)
def test_der_that_is_cut_padded_or_longer_is_refused(der: bytes) -> None:
    with pytest.raises(SignerAnswerError):
        compact_from_der(der)


def test_public_keys_give_the_address_that_others_find() -> None:
    key = coincurve.PrivateKey()
    public = ec.EllipticCurvePublicKey.from_encoded_point(
        ec.SECP256K1(), key.public_key.format(compressed=False)
    )
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    expected = bytes.fromhex(Account.from_key(key.secret).address[2:])
    assert address_of_point(point_from_spki(der)) == expected
    assert der_from_pem(pem) == der
    for wrong in (der[:-1], der + b"\x00", b"", der.replace(b"\x0a", b"\x07")):
        with pytest.raises(SignerAnswerError):
            point_from_spki(wrong)
    for text in ("", "no", pem.replace("PUBLIC", "PRIVATE"), pem[:60]):
        assert der_from_pem(text) == b""
    for point in (b"", key.public_key.format(), b"\x06" + der[-64:]):
        with pytest.raises(SignerAnswerError):
            address_of_point(point)


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # RFC 3720, appendix B.4, and the check value of the catalogue of CRCs
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_crc32c_meets_the_published_values(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected
