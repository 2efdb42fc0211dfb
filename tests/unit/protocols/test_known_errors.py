"""Errors of other protocols are told in words, and none that their published sources have is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from eth_abi.abi import encode

from seawall.native import keccak256
from seawall.primitives.units import Address, address_text
from seawall.protocols.executor.events import decode_revert
from seawall.protocols.known_errors import known_error, meaning_of

PACKAGES = Path(__file__).parents[3] / "devnet" / "node_modules"
OTHER = Address(b"\x22" * 20)
AAVE = "@aave-dao/aave-v3-origin/src/contracts/protocol/libraries/helpers/Errors.sol"
TOKENS = "@openzeppelin/contracts/interfaces/draft-IERC6093.sol"
SAFE_TOKENS = "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol"
V4 = "@uniswap/v4-core/src"
# Types of an ABI by the names that V4's sources give them.
ALIASES = {"Currency": "address", "IHooks": "address"}


def error(signature: str, *values: object) -> bytes:
    types = [kind for kind in signature[signature.index("(") + 1 : -1].split(",") if kind]
    return keccak256(signature.encode())[:4] + encode(types, values)


def declared(source: str) -> list[str]:
    """Signatures of the errors that a source file declares, by ABI types."""
    found = []
    for name, inside in re.findall(r"^\s*error (\w+)\(([^)]*)\);", source, re.MULTILINE):
        kinds = [one.split()[0] for one in inside.split(",") if one.strip()]
        found.append(f"{name}({','.join(ALIASES.get(kind, kind) for kind in kinds)})")
    return found


@pytest.mark.parametrize(("path", "count"), [(AAVE, 90), (TOKENS, 21), (SAFE_TOKENS, 2), (V4, 41)])
def test_every_error_of_the_published_sources_is_known(path: str, count: int) -> None:
    place = PACKAGES / path
    files = [place] if place.is_file() else [f for f in place.rglob("*.sol") if "test" not in f.parts]
    signatures = {one for file in files for one in declared(file.read_text())}
    assert len(signatures) >= count
    unknown = [one for one in signatures if known_error(keccak256(one.encode())[:4]) is None]
    assert not unknown


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            error("HealthFactorLowerThanLiquidationThreshold()"),
            "Aave V3: health factor lower than liquidation threshold",
        ),
        (
            error("ERC20InsufficientBalance(address,uint256,uint256)", address_text(OTHER), 3, 7),
            f"a token (ERC-6093): ERC20 insufficient balance"
            f" (sender={address_text(OTHER)}, balance=3, needed=7)",
        ),
        (
            error("SafeERC20FailedOperation(address)", address_text(OTHER)),
            f"OpenZeppelin: safe ERC20 failed operation (token={address_text(OTHER)})",
        ),
        (error("NotCollateralized()"), "Compound III: not collateralized"),
        (error("CurrencyNotSettled()"), "Uniswap V4: currency not settled"),
        (
            error("TickMisaligned(int24,int24)", -7, 60),
            "Uniswap V4: tick misaligned (tick=-7, tickSpacing=60)",
        ),
        (
            error("Error(string)", "BAL#507"),
            "reverted with 'BAL#507' (Balancer V2: the swap is outside its limit)",
        ),
        (
            error("Error(string)", "GS013"),
            "reverted with 'GS013' (Safe: the call that it was to make failed)",
        ),
        (
            error("Error(string)", "SPL"),
            "reverted with 'SPL' (Uniswap V3: the price limit is on the wrong side of the price)",
        ),
        (error("Error(string)", "51"), "reverted with '51' (Aave V3 or a fork: the supply cap is reached)"),
        (
            error("Error(string)", "insufficient collateral"),
            "reverted with 'insufficient collateral'",
        ),  # Morpho
    ],
)
def test_refusals_of_other_protocols_are_told_in_words(data: bytes, text: str) -> None:
    alone = decode_revert(data)
    assert alone is not None
    assert alone.text == text
    outer = error("OperationFailed(address,bytes4,bytes)", address_text(OTHER), b"\xab\xcd\xef\x01", data)
    nested = decode_revert(outer)
    assert nested is not None
    assert nested.text == f"the call of 0xabcdef01 on {address_text(OTHER)} failed: {text}"


def test_a_wrapped_reason_of_a_hook_is_told_inside_out() -> None:
    inner = error("Error(string)", "no")
    data = error(
        "WrappedError(address,bytes4,bytes,bytes)", address_text(OTHER), b"\x01\x02\x03\x04", inner, b""
    )
    decoded = decode_revert(data)
    assert decoded is not None
    assert decoded.text.endswith(": reverted with 'no'")


def test_bytes_that_only_begin_like_a_known_error_explain_nothing() -> None:
    assert decode_revert(error("ERC20InvalidSender(address)", address_text(OTHER))[:20]) is None
    assert decode_revert(b"\xde\xad\xbe\xef") is None


def test_what_is_no_code_has_no_meaning() -> None:
    assert meaning_of("BAL#999") is None
    assert meaning_of("") is None


def test_safe_codes_are_those_of_its_published_sources() -> None:
    source = PACKAGES / "@safe-global" / "safe-contracts" / "contracts"
    codes = {code for file in source.rglob("*.sol") for code in re.findall(r'"(GS\d{3})"', file.read_text())}
    assert len(codes) > 25
    assert not [code for code in codes if meaning_of(code) is None]
