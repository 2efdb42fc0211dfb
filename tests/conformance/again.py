"""A contract of the devnet once more: the same creation, at a fresh address, with nothing in it."""

from __future__ import annotations

from seawall.primitives.units import Address, hex_text
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.rpc import as_bytes
from tests.conformance.stage import Stage

__all__ = ["created_again"]


def created_again(stage: Stage, model: Address) -> Address:
    """Constructor arguments are those of `model`; the devnet's owner is the creator of both."""
    rpc = stage.devnet.rpc
    creation = rpc.record("ots_getContractCreator", hex_text(model))
    transaction = rpc.record("eth_getTransactionByHash", creation["hash"])
    code = as_bytes(transaction["input"], "the creation's input")
    (receipt,) = rpc.settle([rpc.send(OWNER, None, code)], mine=True)
    return Address(as_bytes(receipt["contractAddress"], "the receipt"))
