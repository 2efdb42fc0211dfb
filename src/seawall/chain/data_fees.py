"""What a roll-up charges for posting a transaction's data, beside the gas that it runs.

    none        Ethereum, Polygon, generic: nothing
    OP stack    a fee of its own, taken from the sender beside gas: `fee_wei`. The most of it is
                `getL1FeeUpperBound` of the GasPriceOracle (Fjord and later: FastLZ's upper bound of the
                size), plus `getOperatorFee` for the whole gas limit (Isthmus and later)
    Arbitrum    charged as gas: `extra_gas` goes into the gas limit, and so into gas limit times fee
                ceiling. The node's own NodeInterface estimates it for exactly this payload

Read by block hash. L1's base fee moves until the transaction is sequenced: both are raised by `MARGIN_BPS`,
which covers three full L1 blocks. A chain that cannot be asked is `UnavailableError`: a fee that is not known
is not nought.

A candidate's most total fee is `most_total_fee_wei(...)`. What was truly paid stands in the receipt
(`Receipt.l1_fee_wei`; on Arbitrum it is within gas used).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from seawall.chain.client import ChainClient
from seawall.chain.networks import L2Kind
from seawall.native import abi_decode, encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import EncodingError, UnavailableError
from seawall.primitives.units import BPS, Address, address_from_text, mul_div_up
from seawall.primitives.verdicts import Payload

__all__ = [
    "GAS_PRICE_ORACLE",
    "MARGIN_BPS",
    "NODE_INTERFACE",
    "NO_DATA_FEE",
    "ArbitrumDataFees",
    "DataFee",
    "DataFees",
    "NoDataFees",
    "OptimismDataFees",
    "data_fees_of",
    "most_total_fee_wei",
]

GAS_PRICE_ORACLE: Final = address_from_text("0x420000000000000000000000000000000000000F")
NODE_INTERFACE: Final = Address(bytes(19) + b"\xc8")
# (9/8)^3, rounded up.
MARGIN_BPS: Final = 14_300
# An unsigned type-2 transaction without its calldata, every number at its longest.
ENVELOPE_BYTES_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class DataFee:
    """The most that one payload's data may cost on top of running it."""

    fee_wei: int = 0  # taken beside gas
    extra_gas: int = 0  # to be added to the gas limit


NO_DATA_FEE: Final = DataFee()


class DataFees(Protocol):
    """One chain's data fees."""

    async def most_for(self, payload: Payload, block: Block) -> DataFee:
        """Of exactly this payload, by the state of `block`; `UnavailableError` where it cannot be had."""
        ...


class NoDataFees:
    """A chain that charges gas and nothing else."""

    async def most_for(self, payload: Payload, block: Block) -> DataFee:
        return NO_DATA_FEE


class OptimismDataFees:
    def __init__(self, client: ChainClient) -> None:
        self._client = client

    async def most_for(self, payload: Payload, block: Block) -> DataFee:
        size = len(payload.data) + ENVELOPE_BYTES_MAX
        answers = await self._client.call_at(
            [
                Read("l1_fee", GAS_PRICE_ORACLE, encode_call("getL1FeeUpperBound(uint256)", (size,))),
                Read(
                    "operator_fee",
                    GAS_PRICE_ORACLE,
                    encode_call("getOperatorFee(uint256)", (payload.gas_limit,)),
                ),
            ],
            block,
        )
        l1_fee_wei = _first_word(answers["l1_fee"], "getL1FeeUpperBound", block)
        # Before Isthmus there is no such function, and no such fee: the call reverts.
        operator = answers["operator_fee"]
        operator_fee_wei = 0 if operator is None else _first_word(operator, "getOperatorFee", block)
        return DataFee(fee_wei=mul_div_up(l1_fee_wei, MARGIN_BPS, BPS) + operator_fee_wei)


class ArbitrumDataFees:
    def __init__(self, client: ChainClient) -> None:
        self._client = client

    async def most_for(self, payload: Payload, block: Block) -> DataFee:
        call = encode_call("gasEstimateL1Component(address,bool,bytes)", (payload.to, False, payload.data))
        answers = await self._client.call_at([Read("l1_gas", NODE_INTERFACE, call)], block)
        gas = _first_word(answers["l1_gas"], "gasEstimateL1Component", block)
        return DataFee(extra_gas=mul_div_up(gas, MARGIN_BPS, BPS))


def data_fees_of(client: ChainClient) -> DataFees:
    """The way that the client's network charges for data."""
    match client.network.l2_kind:
        case L2Kind.OPTIMISM:
            return OptimismDataFees(client)
        case L2Kind.ARBITRUM:
            return ArbitrumDataFees(client)
        case L2Kind.POLYGON | None:
            return NoDataFees()


def most_total_fee_wei(gas_limit: int, ceiling_fee_per_gas_wei: int, data_fee: DataFee) -> int:
    """What a verdict judges by: every replacement's gas, and the data fee beside it [wei].

    `gas_limit` is the one that is signed, `data_fee.extra_gas` already in it."""
    return gas_limit * ceiling_fee_per_gas_wei + data_fee.fee_wei


def _first_word(answer: bytes | None, what: str, block: Block) -> int:
    try:
        (value,) = abi_decode(("uint256",), (answer or b"")[:32])
    except EncodingError:
        raise UnavailableError(
            f"{what} did not answer, so that the data fee is not known",
            f"chain {block.chain_id}",
            "check that the network's l2_kind is right and that the endpoint serves its predeploys",
        ) from None
    assert isinstance(value, int)
    return value
