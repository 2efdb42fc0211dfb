"""What a roll-up charges for posting a transaction's data, beside the gas that it runs.

    none        Ethereum, Polygon, generic: nothing
    OP stack    a fee of its own, taken from the sender beside gas: `fee_wei`. The most of it is
                `getL1FeeUpperBound` of the GasPriceOracle (Fjord and later: FastLZ's upper bound of the
                size), plus `getOperatorFee` for the whole gas limit (Isthmus and later)
    Arbitrum    charged as gas: `extra_gas` goes into the gas limit, and so into gas limit times fee
                ceiling. The node's own NodeInterface estimates it

Read by block hash. L1's base fee moves until the transaction is sequenced: both are raised by `MARGIN_BPS`,
which covers three full L1 blocks. A chain that cannot be asked is `UnavailableError`: a fee that is not known
is not nought.

Flow: `read` asks once a block for payloads of the shapes that are to be judged; `most_for` answers from that,
while candidates are built and judged without awaiting. A candidate's most total fee is
`most_total_fee_wei(...)`; what those before it on the overlay may still take, which running them does not
show, is `unlanded_most_wei(...)`. What was truly paid stands in the receipt (`Receipt.l1_fee_wei`; on
Arbitrum it is within gas used).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from seawall.chain.client import ChainClient
from seawall.chain.networks import L2Kind
from seawall.chain.simulation import Entry
from seawall.native import abi_decode, encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.bounds import GAS_LIMIT_TRANSACTION_MAX
from seawall.primitives.errors import EncodingError, UnavailableError
from seawall.primitives.units import BPS, Address, Hash, address_from_text, mul_div_up
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
    "most_now",
    "most_total_fee_wei",
    "unlanded_most_wei",
]

GAS_PRICE_ORACLE: Final = address_from_text("0x420000000000000000000000000000000000000F")
NODE_INTERFACE: Final = Address(bytes(19) + b"\xc8")
# (9/8)^3, rounded up.
MARGIN_BPS: Final = 14_300
# An unsigned type-2 transaction without its calldata, every number at its longest.
ENVELOPE_BYTES_MAX: Final = 128
_OPERATOR_GAS: Final = (0, GAS_LIMIT_TRANSACTION_MAX)


@dataclass(frozen=True, slots=True)
class DataFee:
    """The most that one payload's data may cost on top of running it."""

    fee_wei: int = 0  # taken beside gas
    extra_gas: int = 0  # to be added to the gas limit


NO_DATA_FEE: Final = DataFee()


class DataFees(Protocol):
    """One chain's data fees: read once a block for every shape of payload, then known without asking."""

    @property
    def is_charged(self) -> bool: ...

    async def read(self, payloads: Sequence[Payload], block: Block) -> None:
        """Read what these and others of their shape may cost, by the state of `block`. What is known of it
        is not read again; what cannot be read stays unknown."""
        ...

    def most_for(self, payload: Payload, block: Block) -> DataFee:
        """The most for this payload at `block`; `UnavailableError` where it was not read."""
        ...


class NoDataFees:
    """A chain that charges gas and nothing else."""

    is_charged = False

    async def read(self, payloads: Sequence[Payload], block: Block) -> None:
        return

    def most_for(self, payload: Payload, block: Block) -> DataFee:
        return NO_DATA_FEE


class OptimismDataFees:
    """The fee depends on the size of the payload, the operator's on its gas limit, in a straight line."""

    is_charged = True

    def __init__(self, client: ChainClient) -> None:
        self._client = client
        self._block: Hash | None = None
        self._l1_fees_wei: dict[int, int] = {}  # with the margin, by the bytes of calldata
        self._operator_fee_wei = (0, 0)  # for no gas, and for `GAS_LIMIT_TRANSACTION_MAX`

    async def read(self, payloads: Sequence[Payload], block: Block) -> None:
        if block.hash != self._block:
            self._l1_fees_wei, self._block = {}, block.hash
        sizes = sorted({len(payload.data) for payload in payloads} - self._l1_fees_wei.keys())
        if not sizes:
            return
        reads = [
            _oracle_read(f"l1 {size}", "getL1FeeUpperBound", size + ENVELOPE_BYTES_MAX) for size in sizes
        ]
        reads += [_oracle_read(f"gas {gas}", "getOperatorFee", gas) for gas in _OPERATOR_GAS]
        answers = await self._client.call_at(reads, block)
        fees = {size: _first_word(answers[f"l1 {size}"], "getL1FeeUpperBound", block) for size in sizes}
        # Before Isthmus there is no such function, and no such fee: the call reverts.
        operator = [answers[f"gas {gas}"] for gas in _OPERATOR_GAS]
        least, most = (0 if one is None else _first_word(one, "getOperatorFee", block) for one in operator)
        if self._block == block.hash:
            self._l1_fees_wei |= {size: mul_div_up(fee, MARGIN_BPS, BPS) for size, fee in fees.items()}
            self._operator_fee_wei = least, most

    def most_for(self, payload: Payload, block: Block) -> DataFee:
        l1_fee_wei = self._l1_fees_wei.get(len(payload.data))
        if l1_fee_wei is None or block.hash != self._block:
            raise _unknown(block)
        least, most = self._operator_fee_wei
        of_gas_wei = mul_div_up(most - least, payload.gas_limit, GAS_LIMIT_TRANSACTION_MAX)
        return DataFee(fee_wei=l1_fee_wei + least + of_gas_wei)


class ArbitrumDataFees:
    """The node estimates the gas. Payloads to one target and of one size may differ by a few bytes of their
    header, for which the margin has room."""

    is_charged = True

    def __init__(self, client: ChainClient) -> None:
        self._client = client
        self._block: Hash | None = None
        self._gas: dict[tuple[Address, int], int] = {}  # with the margin
        self._read: set[tuple[Address, bytes]] = set()

    async def read(self, payloads: Sequence[Payload], block: Block) -> None:
        if block.hash != self._block:
            self._gas, self._read, self._block = {}, set(), block.hash
        calls = sorted({(payload.to, payload.data) for payload in payloads} - self._read)
        if not calls:
            return
        signature = "gasEstimateL1Component(address,bool,bytes)"
        reads = [
            Read(str(place), NODE_INTERFACE, encode_call(signature, (to, False, data)))
            for place, (to, data) in enumerate(calls)
        ]
        answers = await self._client.call_at(reads, block)
        for place, (to, data) in enumerate(calls):
            gas = _first_word(answers[str(place)], "gasEstimateL1Component", block)
            most = mul_div_up(gas, MARGIN_BPS, BPS)
            if self._block == block.hash:
                self._gas[to, len(data)] = max(most, self._gas.get((to, len(data)), 0))
                self._read.add((to, data))

    def most_for(self, payload: Payload, block: Block) -> DataFee:
        gas = self._gas.get((payload.to, len(payload.data)))
        if gas is None or block.hash != self._block:
            raise _unknown(block)
        return DataFee(extra_gas=gas)


def data_fees_of(client: ChainClient) -> DataFees:
    """The way that the client's network charges for data."""
    match client.network.l2_kind:
        case L2Kind.OPTIMISM:
            return OptimismDataFees(client)
        case L2Kind.ARBITRUM:
            return ArbitrumDataFees(client)
        case L2Kind.POLYGON | None:
            return NoDataFees()


async def most_now(fees: DataFees, payload: Payload, block: Block) -> DataFee:
    """Read and answered at once. Raises `UnavailableError` where it cannot be had."""
    await fees.read([payload], block)
    return fees.most_for(payload, block)


def most_total_fee_wei(gas_limit: int, ceiling_fee_per_gas_wei: int, data_fee: DataFee) -> int:
    """What a verdict judges by: every replacement's gas, and the data fee beside it [wei].

    `gas_limit` is the one that is signed, `data_fee.extra_gas` already in it."""
    return gas_limit * ceiling_fee_per_gas_wei + data_fee.fee_wei


def unlanded_most_wei(fees: DataFees, entries: Iterable[Entry], block: Block) -> int:
    """The most that these, on the overlay, may take for their data: running them charges nobody for it [wei].

    Raises `UnavailableError` where one was not read."""
    if not fees.is_charged:
        return 0
    total_wei = 0
    for payload, _, fee_per_gas_wei in entries:
        most = fees.most_for(payload, block)
        total_wei += most.fee_wei + most.extra_gas * fee_per_gas_wei
    return total_wei


def _oracle_read(label: str, name: str, value: int) -> Read:
    return Read(label, GAS_PRICE_ORACLE, encode_call(f"{name}(uint256)", (value,)))


def _unknown(block: Block) -> UnavailableError:
    return UnavailableError(
        f"the data fee is not known at block {block.number}",
        f"chain {block.chain_id}",
        "check that the endpoint serves the roll-up's predeploys; it is asked again at the next block",
    )


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
