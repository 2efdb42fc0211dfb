"""ERC-20 tokens: balance and allowance reads, and the calls that move them."""

from __future__ import annotations

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.units import Address
from seawall.protocols.answers import Answers, integer_answer

__all__ = ["approve_call", "balance", "balance_read", "transfer_call"]


def balance_read(token: Address, owner: Address) -> Read:
    return Read(_balance_label(token, owner), token, encode_call("balanceOf(address)", (owner,)))


def balance(token: Address, owner: Address, answers: Answers) -> int:
    """[token units]"""
    return integer_answer(answers, _balance_label(token, owner), "uint256")


def transfer_call(recipient: Address, amount: int) -> bytes:
    return encode_call("transfer(address,uint256)", (recipient, amount))


def approve_call(spender: Address, amount: int) -> bytes:
    return encode_call("approve(address,uint256)", (spender, amount))


def _balance_label(token: Address, owner: Address) -> str:
    return f"erc20:{token.hex()}:balance:{owner.hex()}"
