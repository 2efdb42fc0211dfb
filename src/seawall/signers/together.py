"""What several keys sign for one batch: the keys of this machine in one native call.

Signing is the longest native piece of a batch, at some 25 us a transaction. A call for each key would hold up
the loop for all of them together, and wait for the interpreter's lock after each.
"""

from __future__ import annotations

from collections.abc import Sequence

from seawall.native.wire import DynamicFeeTransaction, LocalKey, SignedTransaction
from seawall.native.wire import sign_together as sign_natively
from seawall.primitives.errors import SignerError
from seawall.primitives.ports import Offload
from seawall.signers.base import Signer
from seawall.signers.local import SIGNED_INLINE_MAX, LocalSigner

__all__ = ["sign_together"]


async def sign_together(
    asked: Sequence[tuple[Signer, Sequence[DynamicFeeTransaction]]], offload: Offload
) -> list[list[SignedTransaction] | SignerError]:
    """What each of them signed, in order, or why it did not."""
    answers: list[list[SignedTransaction] | SignerError] = []
    places: list[int] = []
    here: list[tuple[LocalKey, Sequence[DynamicFeeTransaction]]] = []
    for place, (signer, batch) in enumerate(asked):
        answers.append([])
        try:
            if isinstance(signer, LocalSigner):
                here.append((signer.open_key(), batch))
                places.append(place)
            else:
                answers[place] = await signer.sign_transactions(batch)
        except SignerError as cause:
            answers[place] = cause
    if sum(len(batch) for _, batch in here) <= SIGNED_INLINE_MAX:
        signed = sign_natively(here)
    else:
        signed = await offload(lambda: sign_natively(here))
    for place, several in zip(places, signed, strict=True):
        answers[place] = several
    return answers
