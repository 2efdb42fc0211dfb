"""Secrets taken out of log lines, whatever path they came by.

A value is judged by its name (`password`, `private_key`, `api_key`: nothing of it is shown; any other `key`:
shown unless it looks like key material) and every text by its content (addresses of endpoints, assignments of
secrets, key material that a sentence calls a key). Hashes, lane keys and idempotency keys stay readable.

Masking is the last line, not the first: keys and passwords live in native handles and have no text to leak.
It does not find a secret that is neither named nor shaped like one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

__all__ = ["DEPTH_MAX", "MASK", "NAMES_CACHED_MAX", "mask_text", "mask_value"]

MASK: Final = "***"
# Nesting deeper than this is not shown: log values are flat, and a cycle must end.
DEPTH_MAX: Final = 6
NAMES_CACHED_MAX: Final = 1_024

_JSON_INT_MAX: Final = 2**53
_KEY_INT_MIN: Final = 2**160
_NAMES: Final = (
    "password|passphrase|passwd|secret|private|mnemonic|seed_?phrase|credential|authorization|cookie"
    "|ciphertext|api_?key|(?:access|auth|bearer|session|refresh)_?token"
)
# Repetitions are bounded: a text may be long and hostile.
_SECRET_NAME: Final = re.compile(_NAMES)
# Where a secret is kept may be shown; what it is may not.
_PLACE_NAME: Final = re.compile(r"(?:_|\b)(?:file|path|environment)$")
_KEY_NAME: Final = re.compile(r"keys?$")
_KEY_TEXT: Final = re.compile(r"(?:0x)?[0-9a-f]{64}", re.IGNORECASE)
_NAMED_KEY: Final = re.compile(
    r"(key\w{0,40}\W{0,4}(?:(?:is|was|of|=)\W{0,3})?)(?:0x)?[0-9a-f]{64}(?![0-9a-f])", re.IGNORECASE
)
_ASSIGNMENT: Final = re.compile(
    rf"((?:{_NAMES})\w{{0,40}}[\"']?\s*[:=]\s*)(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE
)
_ADDRESS: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.\-]{0,30})://([^\s\"'<>|]*)")
_HOST: Final = re.compile(r"(?:[\w.\-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")


def mask_value(name: str, value: object, depth: int = DEPTH_MAX) -> object:
    """`value` as JSON can hold it, without what must not be shown under this `name`."""
    if value is None or isinstance(value, bool):
        return value
    if _is_secret_name(name) or _is_key_material(name, value):
        return MASK
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, int):
        return int(value) if abs(value) < _JSON_INT_MAX else str(int(value))
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if depth <= 0:
        return "..."
    if isinstance(value, Mapping):
        return {mask_text(str(key)): mask_value(str(key), item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_value(name, item, depth - 1) for item in value]
    return mask_text(str(value))


def mask_text(text: str) -> str:
    """`text` without endpoints' paths and credentials, assigned secrets and named key material."""
    if "://" in text:
        text = _ADDRESS.sub(_shown_address, text)
    if ":" in text or "=" in text:
        text = _ASSIGNMENT.sub(rf"\g<1>{MASK}", text)
    if len(text) >= 64:
        text = _NAMED_KEY.sub(rf"\g<1>{MASK}", text)
    return text


@lru_cache(maxsize=NAMES_CACHED_MAX)
def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(_words(name)) is not None and _PLACE_NAME.search(_words(name)) is None


@lru_cache(maxsize=NAMES_CACHED_MAX)
def _is_key_name(name: str) -> bool:
    return _KEY_NAME.search(_words(name)) is not None


def _words(name: str) -> str:
    """`privateKey`, `PRIVATE-KEY` and `private_key` alike."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


def _is_key_material(name: str, value: object) -> bool:
    if not _is_key_name(name):
        return False
    if isinstance(value, str):
        return _KEY_TEXT.fullmatch(value.strip()) is not None
    if isinstance(value, bytes):
        return len(value) == 32
    return isinstance(value, int) and abs(value) >= _KEY_INT_MIN


def _shown_address(match: re.Match[str]) -> str:
    """Scheme, host and port: a provider's key sits before the host, in the path or in the query."""
    scheme, rest = match.groups()
    split = re.search(r"[/?#\\]", rest)
    authority, tail = (rest[: split.start()], rest[split.start() :]) if split else (rest, "")
    if not authority and "@" not in tail:
        return f"{scheme}://{tail.partition('?')[0]}"  # a file of this machine
    host = authority.rpartition("@")[2]
    if "@" in tail or not _HOST.fullmatch(host):
        return f"{scheme}://{MASK}"
    hidden = f"{MASK}@" if "@" in authority else ""
    return f"{scheme}://{hidden}{host}" + ("" if tail in ("", "/") else f"/{MASK}")
