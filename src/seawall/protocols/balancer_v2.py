"""Balancer V2 Vault as a lender: its flash-loan fee and the call that borrows.

What it can lend is its own balance of the token (`erc20.balance_read(token, vault)`). The fee is kept by the
vault's ProtocolFeesCollector as a fraction of 1e18 and rounded up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from seawall.markets.two_venue import FlashFee
from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import Address, address_text
from seawall.protocols.answers import Answers, address_answer, integer_answer

__all__ = [
    "fees_collector",
    "fees_collector_read",
    "flash_fee",
    "flash_fee_read",
    "flash_loan_call",
]

_ONE: Final = 10**18


def fees_collector_read(vault: Address) -> Read:
    return Read(_label(vault, "collector"), vault, encode_call("getProtocolFeesCollector()", ()))


def fees_collector(vault: Address, answers: Answers) -> Address:
    """Fixed for the life of a vault."""
    return address_answer(answers, _label(vault, "collector"))


def flash_fee_read(collector: Address) -> Read:
    return Read(_label(collector, "flash-fee"), collector, encode_call("getFlashLoanFeePercentage()", ()))


def flash_fee(collector: Address, answers: Answers) -> FlashFee:
    return FlashFee(integer_answer(answers, _label(collector, "flash-fee"), "uint256"), _ONE)


def flash_loan_call(recipient: Address, loans: Sequence[tuple[Address, int]], user_data: bytes) -> bytes:
    """Borrow (token, amount) pairs; the vault wants tokens ascending and none twice."""
    tokens = tuple(token for token, _ in loans)
    if any(low >= high for low, high in pairwise(tokens)):
        raise ProtocolError(
            what=f"tokens {', '.join(address_text(token) for token in tokens)} do not ascend",
            where="Balancer flash loan",
            fix="sort the loans by token address and add up those of one token",
        )
    amounts = tuple(amount for _, amount in loans)
    return encode_call(
        "flashLoan(address,address[],uint256[],bytes)", (recipient, tokens, amounts, user_data)
    )


def _label(address: Address, what: str) -> str:
    return f"balancer-v2:{address.hex()}:{what}"
