"""One bounded HTTP call to a program or service that signs.

Every trouble becomes a `SignerError` that names the place and never shows a header, an address with a token
in it, or the body: answers are read up to a bound, and redirects are not followed, since they would carry the
token elsewhere. How long a call may take is `checked`'s part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from seawall.primitives.errors import (
    SignerAnswerError,
    SignerBusyError,
    SignerRefusedError,
    SignerUnavailableError,
)

__all__ = [
    "ANSWER_BYTES_MAX",
    "CONNECTIONS_MAX",
    "HttpAnswer",
    "HttpPlace",
    "mapping_of",
    "shown_text",
    "text_of",
]

ANSWER_BYTES_MAX: Final = 512 * 1024
CONNECTIONS_MAX: Final = 8
_SHOWN_CHARS: Final = 200
_BUSY: Final = 429


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    body: bytes = field(repr=False)

    def json(self, place: str) -> object:
        try:
            parsed: object = json.loads(self.body)
        except (ValueError, RecursionError):
            raise SignerAnswerError(
                f"{place} answered something that is not JSON (status {self.status})", "", "look at its url"
            ) from None
        return parsed


@dataclass(frozen=True, slots=True)
class HttpPlace:
    """Where one service is asked, over a session of its own. `name` is what people are told."""

    session: aiohttp.ClientSession = field(repr=False)
    url: str = field(repr=False)  # without a slash at its end
    name: str

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """The answer of any status, save those by which every service says that it cannot now."""
        content = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        try:
            async with self.session.request(
                method,
                self.url + path,
                data=content,
                headers={**kind, **(headers or {})},
                allow_redirects=False,
            ) as response:
                answer = HttpAnswer(response.status, await self._read(response))
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise SignerUnavailableError(
                f"{self.name} cannot be reached ({type(error).__name__})", "", "start it, or correct its url"
            ) from None
        if answer.status == _BUSY:
            raise SignerBusyError(f"{self.name} was asked too often", "", "ask less, or raise its limits")
        return answer

    async def close(self) -> None:
        await self.session.close()

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        content = b""
        async for part in response.content.iter_any():
            content += part
            if len(content) > ANSWER_BYTES_MAX:
                raise SignerAnswerError(
                    f"{self.name} answered more than {ANSWER_BYTES_MAX} bytes", "", "look at its url"
                )
        return content

    def refused(self, answer: HttpAnswer, what: str, fix: str) -> SignerRefusedError:
        return SignerRefusedError(f"{self.name} {what} (status {answer.status})", "", fix)

    def unexpected(self, answer: HttpAnswer) -> SignerUnavailableError:
        return SignerUnavailableError(
            f"{self.name} answered with status {answer.status}", "", "look at its log"
        )


def mapping_of(value: object, place: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise SignerAnswerError(f"{place} answered something that is not an object", "", "look at its url")
    return value


def text_of(table: Mapping[str, object], key: str, place: str) -> str:
    value = table.get(key)
    if not isinstance(value, str):
        raise SignerAnswerError(f"{place} answered without {key}", "", "look at its version and its url")
    return value


def shown_text(value: object) -> str:
    """What a service said in words, short and on one line."""
    return " ".join(str(value).split())[:_SHOWN_CHARS]
