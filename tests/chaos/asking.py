"""One question over a kernel's local socket, by its bytes: a JSON line there, a JSON line back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["LINE_BYTES_MAX", "ask"]

LINE_BYTES_MAX = 4 * 1024 * 1024
ANSWER_TIMEOUT_S = 10.0


async def ask(path: Path, command: Mapping[str, object]) -> dict[str, Any]:
    """The kernel's answer, which may be an error. Raises OSError or ValueError where none came, and
    TimeoutError, which is an OSError, where it took too long.
    """
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        reader, writer = await asyncio.open_unix_connection(path, limit=LINE_BYTES_MAX)
        try:
            writer.write(json.dumps(command).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        finally:
            writer.close()
    answer = json.loads(line)
    if not isinstance(answer, dict):
        raise ValueError("the answer is no object")  # noqa: TRY004
    return answer
