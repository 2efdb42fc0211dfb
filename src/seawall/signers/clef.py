"""clef, go-ethereum's signer, over HTTP.

`account_list` says whose keys it holds, `account_signTransaction` answers the whole signed transaction. Both
go through its rules or its person: what they do not approve is refused, and a person who does not answer is a
time-out here, after which that approval is worth nothing. Where a person approves, give `timeout_s` of
minutes.

Its user interface may change the fields of a transaction before it signs; what comes back then is another
transaction than the verdict judged, and is refused by `checked`. It signs no bare digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seawall.primitives.errors import SignerRefusedError
from seawall.primitives.units import Address
from seawall.signers.checked import Answer, RawAnswer, SigningRequest
from seawall.signers.http import mapping_of
from seawall.signers.json_rpc import JsonRpc, bytes_of, transaction_object

__all__ = ["CALLS_AT_ONCE_MAX", "Clef"]

# Its queue of approvals is one person's or one rule engine's.
CALLS_AT_ONCE_MAX: Final = 4


@dataclass(slots=True)
class Clef:
    """Fulfils `Remote`."""

    rpc: JsonRpc
    address: Address

    @property
    def place(self) -> str:
        return self.rpc.http.name

    @property
    def per_call_max(self) -> int:
        return 1

    @property
    def calls_at_once_max(self) -> int:
        return CALLS_AT_ONCE_MAX

    async def open(self) -> Sequence[Address]:
        return await self.rpc.accounts("account_list")

    async def sign(self, requests: Sequence[SigningRequest]) -> Sequence[Answer]:
        return [await self._signed(request) for request in requests]

    async def close(self) -> None:
        await self.rpc.http.close()

    async def _signed(self, request: SigningRequest) -> Answer:
        if request.transaction is None:
            raise SignerRefusedError("clef signs no bare digest", "", "use a key of another kind for this")
        asked = transaction_object(request.transaction, self.address)
        answer = mapping_of(await self.rpc.call("account_signTransaction", asked), self.place)
        return RawAnswer(bytes_of(answer.get("raw"), self.place))
