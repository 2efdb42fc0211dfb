"""What an endpoint says that lies: answers of the right form, consistent with each other, and wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seawall.chain.rpc import Request
from seawall.native import keccak256
from tests.world.node import CHAIN_ID
from tests.world.views import View

__all__ = ["Liar", "of_another_chain"]

_NONCES_TOO_MANY = 3
_RICH_WEI = 10**24


@dataclass(frozen=True, slots=True)
class Liar:
    """Tells one kind of lie about what `view` shows."""

    kind: str
    view: View

    def answer(self, request: Request) -> object:
        """Raises `LookupError` as an honest endpoint does."""
        if self.kind == "head":
            return self._of_a_head_that_never_was(request)
        true = self.view.answer(request.method, request.params)
        match self.kind, request.method:
            case "balance", "eth_getBalance":
                return hex(_RICH_WEI)
            case "nonce", "eth_getTransactionCount":
                return hex(int(str(true), 16) + _NONCES_TOO_MANY)
            case "receipt missing", "eth_getTransactionReceipt" | "eth_getTransactionByHash":
                return None
            case "receipt missing", "eth_getBlockReceipts" if isinstance(true, list):
                return []
            case "receipt missing", "eth_getBlockByHash" | "eth_getBlockByNumber" if isinstance(true, dict):
                return true | {"transactions": []}
            case "receipt turned", "eth_getTransactionReceipt" if isinstance(true, dict):
                return _turned(true)
            case "receipt turned", "eth_getBlockReceipts" if isinstance(true, list):
                return [_turned(receipt) for receipt in true]
            case "receipt forged", "eth_getTransactionReceipt" if true is None:
                return self._forged_receipt(str(request.params[0]))
            case "finality", "eth_getBlockByNumber" if request.params[0] in ("safe", "finalized"):
                return self.view.answer(request.method, ("latest", False))
        return true

    def _forged_receipt(self, tx_hash: str) -> object:
        """Of what waits in the pool, as if it were in the newest block."""
        transaction = self.view.node.pool.get(bytes.fromhex(tx_hash[2:]))
        if transaction is None:
            return None
        head = self.view.head
        return {
            "transactionHash": tx_hash,
            "blockHash": "0x" + head.hash.hex(),
            "blockNumber": hex(head.number),
            "transactionIndex": hex(len(head.transactions)),
            "status": "0x1",
            "gasUsed": hex(transaction.fields.gas_limit),
            "effectiveGasPrice": hex(head.base_fee_wei),
            "logs": [],
        }

    def _of_a_head_that_never_was(self, request: Request) -> object:
        """A block on top of the head, whose state is the head's."""
        head = self.view.head
        forged = "0x" + keccak256(b"forged" + head.hash).hex()
        true_params = tuple(_put(param, forged, "0x" + head.hash.hex()) for param in request.params)
        if request.method == "eth_getBlockByNumber":
            wanted = str(request.params[0])
            if wanted == "latest" or wanted == hex(head.number + 1):
                block = self.view.answer("eth_getBlockByNumber", ("latest", False))
                assert isinstance(block, dict)
                return _child(block, forged)
        if request.method == "eth_getBlockByHash" and request.params[0] == forged:
            block = self.view.answer("eth_getBlockByHash", true_params)
            return _child(block, forged) if isinstance(block, dict) else block
        if request.method == "eth_feeHistory" and request.params[1] == hex(head.number + 1):
            true_params = (request.params[0], hex(head.number), *request.params[2:])
        return self.view.answer(request.method, true_params)


def of_another_chain(request: Request, answer: object) -> object:
    """What another chain would say."""
    match request.method:
        case "eth_chainId":
            return hex(CHAIN_ID + 1)
        case "eth_getTransactionCount":
            return hex(7_777)
        case "eth_getBalance":
            return hex(10**30)
        case "eth_getTransactionByHash" | "eth_getTransactionReceipt" | "eth_getBlockReceipts":
            return None
        case "eth_getBlockByNumber" | "eth_getBlockByHash" if isinstance(answer, dict):
            return answer | {"hash": "0x" + "ee" * 32, "transactions": []}
    return answer


def _turned(receipt: Mapping[str, Any]) -> dict[str, Any]:
    return {**receipt, "status": "0x0" if receipt["status"] == "0x1" else "0x1"}


def _put(param: object, forged: str, true: str) -> object:
    """The parameter with the true hash in the place of the forged one."""
    if isinstance(param, Mapping) and param.get("blockHash") == forged:
        return {**param, "blockHash": true}
    return true if param == forged else param


def _child(block: Mapping[str, Any], forged: str) -> dict[str, Any]:
    transactions: Sequence[str] = ()
    return {
        **block,
        "number": hex(int(block["number"], 16) + 1),
        "hash": forged,
        "parentHash": block["hash"],
        "timestamp": hex(int(block["timestamp"], 16) + 2),
        "transactions": list(transactions),
    }
