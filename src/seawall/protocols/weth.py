"""Wrapped ether: the calls between the native token and its ERC-20 form. Balances are those of `erc20`."""

from __future__ import annotations

from seawall.native import encode_call

__all__ = ["deposit_call", "withdraw_call"]


def deposit_call() -> bytes:
    """Wraps the value that is sent along."""
    return encode_call("deposit()", ())


def withdraw_call(amount_wei: int) -> bytes:
    """Unwraps to the caller."""
    return encode_call("withdraw(uint256)", (amount_wei,))
