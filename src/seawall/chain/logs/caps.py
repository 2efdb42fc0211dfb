"""What providers say when a question for logs is too large, and what can be learned from it: one table.

A refusal names which cap was met (blocks, logs, bytes, time), where the words tell it the number, and where
the provider is kind the last block of a range that would work. Words come before codes, since providers do
not share codes; of several rows the first one that fits counts. A text that is not here may still be a
refusal (`chain.node_errors` says `TOO_LARGE`): then the cap is unknown and the range is halved.

Texts are an endpoint's own: only their beginning is read, numbers beyond sense are ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seawall.chain.node_errors import NodeError, classify
from seawall.chain.transport import RpcError

__all__ = ["Cap", "Refusal", "refusal_of", "refusal_of_text"]

TEXT_CHARS_MAX: Final = 2_000
LIMIT_MAX: Final = 10**12
_THOUSANDS: Final = {"": 1, "k": 1_000, "m": 1_000_000}


class Cap(StrEnum):
    """Which bound of the provider the question met."""

    BLOCKS = "blocks"  # of the range
    LOGS = "logs"  # in the answer
    BYTES = "bytes"  # of the answer
    TIME = "time"  # of the search
    UNKNOWN = "unknown"  # it was too large, and nobody said in what


@dataclass(frozen=True, slots=True)
class Refusal:
    """A question was too large. `limit` is in what `cap` counts; `works_to` is the last block of a range from
    the same first block that the provider says would work."""

    cap: Cap
    limit: int | None = None
    works_to: int | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    cap: Cap
    said_by: str
    pattern: re.Pattern[str]


def _row(cap: Cap, said_by: str, text: str) -> _Row:
    """`#` stands for the number that is the limit, `~` for any words between."""
    escaped = re.escape(text.lower()).replace(r"\ ", " ")
    pattern = escaped.replace(r"\#", r"(?P<limit>\d[\d,]*)(?P<unit>[km]?)").replace(r"\~", r".{0,160}?")
    return _Row(cap, said_by, re.compile(pattern, re.DOTALL))


_ROWS: Final = (
    # Before the rows on blocks: it tells of both, and means the logs.
    _row(Cap.LOGS, "alchemy", "log response size exceeded~you can make~cap of # logs"),
    _row(Cap.LOGS, "alchemy", "log response size exceeded"),
    _row(Cap.LOGS, "infura, geth's forks, zksync", "query returned more than # results"),
    _row(Cap.LOGS, "reth", "query exceeds max results #"),
    _row(Cap.LOGS, "arbitrum", "logs matched by query exceeds limit of #"),
    _row(Cap.LOGS, "several", "too many results~limit of #"),
    _row(Cap.LOGS, "several", "too many results"),
    _row(Cap.LOGS, "several", "result set too large"),
    _row(Cap.BLOCKS, "alchemy", "up to a # block range"),
    _row(Cap.BLOCKS, "infura", "range ~ exceeds limit of #"),
    _row(Cap.BLOCKS, "tenderly", "bigger than range limit #"),
    _row(Cap.BLOCKS, "quicknode, 1rpc", "eth_getlogs is limited to a #"),
    _row(Cap.BLOCKS, "blast", "limited to 0 - # block"),
    _row(Cap.BLOCKS, "blockpi", "limited to # block"),
    _row(Cap.BLOCKS, "moonbeam", "block range is too wide (maximum #)"),
    _row(Cap.BLOCKS, "ankr", "block range is too wide"),
    _row(Cap.BLOCKS, "base, proxyd", "block range greater than #"),
    _row(Cap.BLOCKS, "base", "block range too large"),
    _row(Cap.BLOCKS, "reth, erigon", "query exceeds max block range #"),
    _row(Cap.BLOCKS, "bnb chain", "exceed maximum block range: #"),
    _row(Cap.BLOCKS, "several", "maximum block range: #"),
    _row(Cap.BLOCKS, "aurora, oasis", "requested too many blocks~maximum is set to #"),
    _row(Cap.BLOCKS, "cloudflare", "max range: #"),
    _row(Cap.BLOCKS, "besu", "requested range exceeds maximum"),
    _row(Cap.BLOCKS, "chainstack", "block range limit exceeded"),
    _row(Cap.BLOCKS, "several", "block range too wide"),
    _row(Cap.BYTES, "geth's forks", "response size should not greater than # bytes"),
    _row(Cap.BYTES, "several", "response size~exceeded"),
    _row(Cap.BYTES, "reth, jsonrpsee", "response is too big"),
    _row(Cap.BYTES, "geth, proxyd", "response too large"),
    _row(Cap.BYTES, "proxies", "request entity too large"),
    _row(Cap.TIME, "infura", "query timeout exceeded"),
    _row(Cap.TIME, "several", "query timed out"),
    _row(Cap.TIME, "several", "query timeout"),
    _row(Cap.TIME, "geth", "context deadline exceeded"),
    _row(Cap.TIME, "several", "execution timeout"),
)
_HEX_RANGE: Final = re.compile(r"\[\s*0x[0-9a-f]{1,16}\s*,\s*(0x[0-9a-f]{1,16})\s*\]")
_DECIMAL_RANGE: Final = re.compile(r"with the range \d{1,16}\s*-\s*(\d{1,16})")


def refusal_of(error: RpcError) -> Refusal | None:
    """What an error object says of a cap; None if it is about something else."""
    for text in (error.message, *_texts_in(error.data)):
        found = refusal_of_text(text)
        if found is not None:
            return found
    meaning = classify(error.code, error.message, error.data)
    return Refusal(Cap.UNKNOWN) if meaning is NodeError.TOO_LARGE else None


def refusal_of_text(text: str) -> Refusal | None:
    """As `refusal_of`, of the words alone: of a proxy's answer, say."""
    lowered = text[:TEXT_CHARS_MAX].lower()
    for row in _ROWS:
        found = row.pattern.search(lowered)
        if found is not None:
            return Refusal(row.cap, _limit(found), _works_to(lowered))
    return None


def _texts_in(data: object) -> list[str]:
    """Words beside the message: some put theirs into the data, or one level deeper."""
    if isinstance(data, str):
        return [data]
    if isinstance(data, dict):
        return [value for value in data.values() if isinstance(value, str)]
    return []


def _limit(found: re.Match[str]) -> int | None:
    named = found.groupdict()
    if not named.get("limit"):
        return None
    number = int(str(named["limit"]).replace(",", "")) * _THOUSANDS[str(named["unit"])]
    return number if 0 < number <= LIMIT_MAX else None


def _works_to(lowered: str) -> int | None:
    in_hex = _HEX_RANGE.search(lowered)
    if in_hex is not None:
        return int(in_hex[1], 16)
    in_digits = _DECIMAL_RANGE.search(lowered)
    return None if in_digits is None else int(in_digits[1])
