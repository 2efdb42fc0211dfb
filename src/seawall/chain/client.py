"""What the runtime asks of a chain, in typed values, every state read pinned to one block hash.

Flow: a question becomes one JSON-RPC batch on the pool; answers are decoded strictly (`chain.decoding`), and
with several endpoints that must agree as many are asked (`chain.agreement`). State is read by block *hash*
(EIP-1898), never by `latest`, so that everything read for one purpose is of the same block; when that block
is gone the answer is `UnknownBlockError`, not another block's value. Logs of a range are split and bisected.

A header comes with the hashes of its block's transactions: the newest are remembered by hash, so that a block
is read once. Nothing else is cached, and the head is not followed here (`chain.heads`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Final, TypeVar

from seawall.chain import decoding
from seawall.chain.contents import BlockContents, contents_of
from seawall.chain.headers import require_own_hash
from seawall.chain.merkle import ordered_root
from seawall.chain.networks import Network, Proofs, ReceiptReads
from seawall.chain.node_errors import NodeError, judge
from seawall.chain.receipts import (
    BlockBody,
    BlockReceipts,
    Receipt,
    body_of,
    logs_of,
    receipt_of,
    receipts_in,
)
from seawall.chain.rpc import Request, RpcError, RpcPool, is_block_unknown, is_execution_failure
from seawall.chain.state import BLOCKHASH_DEPTH_MAX, StateAt, StateKeys, state_from, state_requests
from seawall.chain.tips import newest_blocks
from seawall.primitives.blocks import Block, Log, LogFilter, Read
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import ChainError, EndpointError, UnavailableError, UnknownBlockError
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash, hex_text
from seawall.primitives.verdicts import Payload
from seawall.telemetry.logs import get_logger

__all__ = ["BlockTag", "ChainClient", "Receipt", "StateCheck", "filter_fields"]

# A range of logs is asked in pieces of this many blocks, and a piece that fails is halved.
LOGS_RANGE_BLOCKS_MAX: Final = 2_000
# A piece that no endpoint answers is halved this often.
LOGS_RETRIES_MAX: Final = 3
# Less is refused too.
_NEVER_LOGS: Final = frozenset({NodeError.METHOD_UNKNOWN, NodeError.POLICY})
FEE_HISTORY_BLOCKS_MAX: Final = 100
BODIES_KEPT: Final = 64
_TIMESTAMP_MAX: Final = 2**40
_NUMBER_MAX: Final = 2**63 - 1
_ZERO_HASH: Final = Hash(bytes(32))
_log = get_logger(__name__)

_Answers = Sequence["object | RpcError"]
T = TypeVar("T")

BlockTag = str
"""`latest`, `safe` or `finalized`."""


class StateCheck(StrEnum):
    """How state and logs are read, of the block that was agreed on."""

    NONE = "none"  # one endpoint is believed
    AGREEMENT = "agreement"  # as many say the same as must agree


class ChainClient:
    """Typed questions to one chain."""

    def __init__(
        self, pool: RpcPool, network: Network, *, verify_state: StateCheck = StateCheck.AGREEMENT
    ) -> None:
        assert pool.chain_id == network.chain_id
        self.pool = pool
        self.network = network
        self._verify_state = verify_state is StateCheck.AGREEMENT
        self._shown: OrderedDict[Hash, object] = OrderedDict()  # blocks as JSON-RPC shows them

    async def head(self) -> Block:
        (block,) = await self.newest(["latest"])
        if block is None:
            raise EndpointError(
                "the node knows no block at all", f"chain {self.network.chain_id}", "wait until it has synced"
            )
        return block

    async def block_by_number(self, number: int | BlockTag) -> Block | None:
        (block,) = await self.blocks([number])
        return block

    async def blocks(self, numbers: Sequence[int | BlockTag]) -> list[Block | None]:
        """Headers by number or tag; None where there is no such block, or none that enough agree on.

        One batch, save that several endpoints that must agree are asked for tags apart from numbers.
        """
        if self.pool.agreement == 1:
            return await self._numbered(numbers)
        tags = [n for n in dict.fromkeys(numbers) if isinstance(n, str)]
        counted = [n for n in dict.fromkeys(numbers) if isinstance(n, int)]
        found: dict[int | str, Block | None] = {}
        if tags:
            found |= zip(tags, await self.newest(tags), strict=True)
        if counted:
            found |= zip(counted, await self._numbered(counted), strict=True)
        return [found[n] for n in numbers]

    async def newest(
        self, tags: Sequence[BlockTag], judge: Callable[[Block, str], None] | None = None
    ) -> list[Block | None]:
        """The newest block of each tag that enough endpoints agree on (`chain.tips`). `judge` raises
        `EndpointError` for a block that cannot be."""

        def block_of(answer: object | RpcError, tag: str) -> Block | None:
            block = self._block(answer, f"block {tag}")
            if block is not None and judge is not None:
                judge(block, tag)
            return block

        return await newest_blocks(self.pool, tags, block_of)

    async def block_by_hash(self, block_hash: Hash) -> Block | None:
        where = f"block {hex_text(block_hash)}"

        def decode(answers: _Answers) -> Block:
            block = self._block(answers[0], where)
            if block is None:
                raise UnknownBlockError("the block is not known", where, "follow the head again")
            if block.hash != block_hash:
                raise EndpointError("another block than asked", where, "check the endpoint")
            return block

        request = Request("eth_getBlockByHash", (hex_text(block_hash), False))
        try:
            return await self.pool.agreed([request], decode)
        except UnknownBlockError:
            return None

    async def nonce_at(self, address: Address, block_hash: Hash) -> int:
        (nonce,) = await self.nonces_at([address], block_hash)
        return nonce

    async def nonces_at(self, addresses: Sequence[Address], block_hash: Hash) -> list[int]:
        """Nonces in order, of exactly this block."""
        places = [(address, block_hash) for address in addresses]
        return await self._numbers("eth_getTransactionCount", places, limit=2**64 - 1)

    async def balance_at(self, address: Address, block_hash: Hash) -> int:
        (balance_wei,) = await self.balances_at([address], block_hash)
        return balance_wei

    async def balances_at(self, addresses: Sequence[Address], block_hash: Hash) -> list[int]:
        """Native balances in order, of exactly this block [wei]."""
        return await self.balances_of([(address, block_hash) for address in addresses])

    async def balances_of(self, places: Sequence[tuple[Address, Hash]]) -> list[int]:
        """Native balances of addresses at blocks, in order, of exactly these blocks [wei]."""
        return await self._numbers("eth_getBalance", places, limit=UINT256_MAX)

    async def code_at(self, address: Address, block_hash: Hash) -> bytes:
        request = Request("eth_getCode", (hex_text(address), pin_of(block_hash)))
        return await self.pool.agreed(
            [request], lambda answers: decoding.data(_known(request.method, answers[0]), "code")
        )

    async def call_at(self, reads: Sequence[Read], block: Block) -> dict[str, bytes | None]:
        """Every read by its label, of exactly `block`; None where the call reverted."""
        pin = pin_of(block.hash)
        requests = [
            Request("eth_call", ({"to": hex_text(read.target), "data": hex_text(read.calldata)}, pin))
            for read in reads
        ]

        def decode(answers: _Answers) -> dict[str, bytes | None]:
            results: dict[str, bytes | None] = {}
            for read, answer in zip(reads, answers, strict=True):
                where = f"read {read.label!r}"
                if isinstance(answer, RpcError) and is_execution_failure(answer):
                    results[read.label] = None
                    continue
                _require_block(where, answer)
                if isinstance(answer, RpcError):
                    raise _refused("eth_call", answer, where)
                results[read.label] = decoding.data(answer, where)
            return results

        return await self._state(requests, decode) if requests else {}

    async def transactions_known(self, hashes: Sequence[Hash]) -> list[bool]:
        """True where as many endpoints as must agree have the transaction, mined or in their pools.

        Pools differ, so that fewer prove nothing: False means that the bytes are worth writing again.
        """
        requests = [Request("eth_getTransactionByHash", (hex_text(h),)) for h in hashes]
        if not requests:
            return []
        need = self.pool.agreement
        votes = await self.pool.votes(
            requests,
            lambda answers: [_value("eth_getTransactionByHash", answer) is not None for answer in answers],
            lambda votes, late: len(votes) >= need,
        )
        told = [vote.value for vote in votes if not isinstance(vote.value, UnknownBlockError)]
        return [sum(column) >= need for column in zip(*told, strict=True)]

    async def block_transactions(self, block_hash: Hash) -> list[Hash]:
        """Hashes of the block's transactions, in order; read now."""
        (body,) = await self._read_bodies([block_hash])
        return list(body.transactions)

    async def bodies(self, hashes: Sequence[Hash]) -> list[BlockBody]:
        """What is in these blocks, in order. Raises `UnknownBlockError` if one that is not remembered is
        gone."""
        known: dict[Hash, BlockBody] = {}
        for block_hash in hashes:
            if block_hash in self._shown:
                with suppress(EndpointError):  # else it is read, from whoever shows it better
                    known[block_hash] = body_of(self._shown[block_hash], block_hash, self.network)
        missing = [block_hash for block_hash in hashes if block_hash not in known]
        known |= zip(missing, await self._read_bodies(missing), strict=True)
        return [known[block_hash] for block_hash in hashes]

    async def _read_bodies(self, hashes: Sequence[Hash]) -> list[BlockBody]:
        requests = [Request("eth_getBlockByHash", (hex_text(h), False)) for h in hashes]

        def decode(answers: _Answers) -> list[BlockBody]:
            found = []
            for block_hash, answer in zip(hashes, answers, strict=True):
                value = _known("eth_getBlockByHash", answer)
                if value is None:
                    where = f"block {hex_text(block_hash)}"
                    raise UnknownBlockError("the block is not known", where, "follow the head again")
                found.append(body_of(value, block_hash, self.network))
            return found

        return await self.pool.agreed(requests, decode) if requests else []

    async def proved_list(self, body: BlockBody, own: Mapping[Hash, bytes]) -> tuple[Hash, ...]:
        """The block's transactions, held against its header's transactions root where one endpoint's word is
        all there is; `own` are signed bytes by their hash. One that is not true is replaced by the true one.

        Where a block holds nothing but `own`, their bytes prove it; else the whole block is read. With a type
        in it that is not known here, or a header that is not checked, nothing is judged."""
        if self.pool.agreement > 1 or body.transactions_root is None:
            return body.transactions
        known = [own[h] for h in body.transactions if h in own]
        if len(known) == len(body.transactions) and ordered_root(known) == body.transactions_root:
            return body.transactions
        contents = await self.contents(body.block_hash)
        if not contents.proved:
            _log.warning("list_not_proved", block=hex_text(body.block_hash), why="types that are not known")
            return body.transactions
        listed = tuple([one.hash for one in contents.transactions])
        if listed != body.transactions:
            self._shown.pop(body.block_hash, None)
            _log.warning("list_disproved", block=hex_text(body.block_hash))
        return listed

    async def contents(self, block_hash: Hash) -> BlockContents:
        """The block's whole transactions, held against its header's transactions root (`chain.contents`).

        Raises `UnknownBlockError` if it is gone."""
        where = f"block {hex_text(block_hash)}"

        def decode(answers: _Answers) -> BlockContents:
            value = _known("eth_getBlockByHash", answers[0])
            if value is None:
                raise UnknownBlockError("the block is not known", where, "follow the head again")
            return contents_of(value, block_hash, self.network)

        request = Request("eth_getBlockByHash", (hex_text(block_hash), True))
        return await self.pool.agreed([request], decode)

    async def receipts(self, hashes: Sequence[Hash]) -> list[Receipt | None]:
        """Receipts in order; None for what is in no block. Their block may go again: compare its hash."""
        if not hashes:
            return []

        def decode(answers: _Answers) -> list[Receipt | None]:
            receipts = [receipt_of(_value("eth_getTransactionReceipt", answer)) for answer in answers]
            for asked, receipt in zip(hashes, receipts, strict=True):
                if receipt is not None and receipt.transaction_hash != asked:
                    raise EndpointError(
                        "a receipt of another transaction", hex_text(asked), "check the endpoint"
                    )
            return receipts

        requests = [Request("eth_getTransactionReceipt", (hex_text(h),)) for h in hashes]
        return await self.pool.agreed(requests, decode, silent=lambda found: None in found)

    async def receipts_of(
        self, block: Block, hashes: Sequence[Hash], body: BlockBody | None = None
    ) -> list[Receipt]:
        """Receipts of transactions of exactly `block`, in order, by the one call that the network asks for;
        `body` is the block's, if it is known already.

        Where all receipts of the block are read they are held against its header's receipts root
        (`chain.receipts` says what that proves). Raises `UnavailableError` if no endpoint shows them all.
        """
        if not hashes:
            return []
        if self.network.receipts is ReceiptReads.BLOCK:
            body = body or (await self.bodies([block.hash]))[0]
            try:
                known = {one.transaction_hash: one for one in (await self._block_receipts(body)).receipts}
            except ChainError:
                self._shown.pop(block.hash, None)  # perhaps it is the body that is wrong
                raise
            found = [known.get(h) for h in hashes]
        else:
            found = await self.receipts(hashes)
        receipts = []
        for tx_hash, receipt in zip(hashes, found, strict=True):
            if receipt is None or receipt.block_hash != block.hash:
                raise UnavailableError(
                    f"the receipt of {hex_text(tx_hash)} is not of block {block.number}",
                    self.network.name,
                    "the block is read again with the next head",
                )
            receipts.append(receipt)
        return receipts

    async def logs(self, wanted: LogFilter, from_number: int, to_number: int) -> list[Log]:
        """Logs of a range of blocks, both ends included, in chain order."""
        found: list[Log] = []
        for start in range(from_number, to_number + 1, LOGS_RANGE_BLOCKS_MAX):
            found += await self._logs_between(
                wanted, start, min(start + LOGS_RANGE_BLOCKS_MAX - 1, to_number)
            )
        return found

    async def logs_of(self, wanted: Sequence[LogFilter], block_hash: Hash) -> list[list[Log]]:
        """Logs of exactly one block, one list per filter."""
        requests = [
            Request("eth_getLogs", ({**filter_fields(one), "blockHash": hex_text(block_hash)},))
            for one in wanted
        ]
        where = f"block {hex_text(block_hash)}"

        def decode(answers: _Answers) -> list[list[Log]]:
            found = [logs_of(_known("eth_getLogs", answer)) for answer in answers]
            if any(log.block_hash != block_hash for logs in found for log in logs):
                raise EndpointError("a log of another block than asked", where, "check the endpoint")
            return found

        return await self._state(requests, decode) if requests else []

    async def fetch_state(self, keys: StateKeys, block: Block) -> StateAt:
        """Accounts, codes and slots of exactly `block`, in one batch; of one endpoint, or agreed on."""
        requests = state_requests(keys, pin_of(block.hash))

        def decode(answers: _Answers) -> StateAt:
            for request, answer in zip(requests, answers, strict=True):
                _require_block(request.method, answer)
            return state_from(keys, answers)

        return await self._state(requests, decode) if requests else state_from(keys, [])

    async def access_hint(self, payload: Payload, block: Block) -> StateKeys:
        """What the node says that this payload touches on `block` (EIP-2930), beside its sender and target.

        Only a hint of what to fetch at once; empty from a node that does not offer it.
        """
        call = {
            "from": hex_text(payload.sender),
            "to": hex_text(payload.to),
            "data": hex_text(payload.data),
            "value": hex(payload.value_wei),
        }
        (answer,) = await self.pool.batch(
            [Request("eth_createAccessList", (call, pin_of(block.hash)))], pinned=True
        )
        return StateKeys() if isinstance(answer, RpcError) else _access_list(answer)

    async def block_hashes(self, numbers: Sequence[int], block: Block) -> list[tuple[int, Hash]]:
        """Hashes of ancestors of `block` as BLOCKHASH answers; by number, and checked to link to it."""
        wanted = sorted(n for n in set(numbers) if block.number - BLOCKHASH_DEPTH_MAX <= n <= block.number)
        if not wanted:
            return []
        headers = await self.blocks(list(range(max(wanted[0], 0), block.number)))
        hashes, child = {block.number: block.hash}, block
        for header in reversed(headers):
            if header is None or header.hash != child.parent_hash:
                raise UnknownBlockError(
                    f"the ancestors of {hex_text(block.hash)} are gone",
                    f"chain {block.chain_id}",
                    "pin a newer block",
                )
            hashes[header.number] = header.hash
            child = header
        return [(number, hashes[number]) for number in wanted if number >= 0]

    async def _block_receipts(self, body: BlockBody) -> BlockReceipts:
        """All receipts of a block: of one endpoint where they prove themselves, else agreed on. Which
        transaction each is of, no root says: the body was agreed on in any case."""
        name = hex_text(body.block_hash)
        requests = [Request("eth_getBlockReceipts", (name,))]

        def decode(answers: _Answers) -> BlockReceipts:
            value = _known("eth_getBlockReceipts", answers[0])
            if value is None:
                raise UnknownBlockError("the block is not known", f"block {name}", "follow the head again")
            return receipts_in(body, value)

        if body.receipts_root is not None:
            found = await self.pool.read(requests, decode)
            if found.proved:
                return found
        return await self.pool.agreed(requests, decode)

    async def _numbered(self, numbers: Sequence[int | BlockTag]) -> list[Block | None]:
        names = [n if isinstance(n, str) else hex(n) for n in numbers]

        def decode(answers: _Answers) -> list[Block | None]:
            return [self._block(a, f"block {name}") for name, a in zip(names, answers, strict=True)]

        if not names:
            return []
        requests = [Request("eth_getBlockByNumber", (name, False)) for name in names]
        return await self.pool.agreed(requests, decode, silent=lambda found: None in found)

    async def _numbers(self, method: str, places: Sequence[tuple[Address, Hash]], *, limit: int) -> list[int]:
        if not places:
            return []
        pins = {block_hash: pin_of(block_hash) for _, block_hash in places}
        requests = [Request(method, (hex_text(address), pins[block_hash])) for address, block_hash in places]

        def decode(answers: _Answers) -> list[int]:
            for answer in answers:
                if isinstance(answer, RpcError):
                    _known(method, answer)
            return decoding.quantities(answers, method, limit=limit)

        return await self.pool.agreed(requests, decode)

    async def _logs_between(
        self, wanted: LogFilter, from_number: int, to_number: int, retries: int = LOGS_RETRIES_MAX
    ) -> list[Log]:
        """Halved where a node refuses, down to one block; where none answers, a bounded number of times: an
        endpoint that is given too much may time out instead of saying so."""
        where = f"blocks {from_number} to {to_number}"
        span = {"fromBlock": hex(from_number), "toBlock": hex(to_number)}
        requests = [
            Request("eth_getLogs", ({**filter_fields(wanted), **span},)),
            Request("eth_getBlockByNumber", (hex(to_number), False)),
        ]
        refusals: list[RpcError] = []

        def decode(answers: _Answers) -> tuple[Block, list[Log]] | None:
            last = self._block(answers[1], where)
            if last is None:
                # It lags: what it has of the range would look like all of it.
                raise UnknownBlockError("the last block is not known", where, "ask for fewer blocks")
            if isinstance(answers[0], RpcError):
                refusals.append(answers[0])
                return None
            return last, _logs_within(answers[0], from_number, to_number)

        single = from_number == to_number
        try:
            found = await self._state(requests, decode)
        except UnavailableError:
            if single or retries == 0:
                raise
            retries -= 1
        else:
            if found is not None:
                return found[1]
            refusal = refusals[-1]
            if single or judge(refusal.code, refusal.message, refusal.data).error in _NEVER_LOGS:
                raise _refused("eth_getLogs", refusal, where)
        middle = (from_number + to_number) // 2
        older = await self._logs_between(wanted, from_number, middle, retries)
        return older + await self._logs_between(wanted, middle + 1, to_number, retries)

    async def _state(self, requests: Sequence[Request], decode: Callable[[_Answers], T]) -> T:
        """State of one block, agreed on or of one endpoint, as `verify_state` says."""
        return await (self.pool.agreed if self._verify_state else self.pool.read)(requests, decode)

    def _block(self, answer: object | RpcError, where: str) -> Block | None:
        if isinstance(answer, RpcError) and is_block_unknown(answer):
            return None
        value = _value(where, answer)
        if value is None:
            return None
        if self.network.proofs is not Proofs.NONE:
            require_own_hash(decoding.mapping(value, where), where)
        block = _block(value, self.network.chain_id, where)
        if self.pool.agreement == 1:  # else what is in a block is agreed on by itself
            self._shown[block.hash] = value
            if len(self._shown) > BODIES_KEPT:
                self._shown.popitem(last=False)
        return block


def pin_of(block_hash: Hash) -> Mapping[str, object]:
    """EIP-1898: the state of exactly this block, and only while it is canonical."""
    return {"blockHash": hex_text(block_hash), "requireCanonical": True}


def _access_list(value: object) -> StateKeys:
    entries = decoding.array(decoding.mapping(value, "access list").get("accessList"), "accessList")
    accounts: list[Address] = []
    slots: list[tuple[Address, bytes]] = []
    for entry in (decoding.mapping(one, "accessList") for one in entries):
        account = decoding.address(entry.get("address"), "accessList.address")
        accounts.append(account)
        keys = decoding.array(entry.get("storageKeys"), "accessList.storageKeys")
        slots.extend((account, decoding.digest(key, "accessList.storageKeys")) for key in keys)
    return StateKeys(tuple(accounts), tuple(slots)).unique()


def _block(value: object, chain_id: int, where: str) -> Block:
    header = decoding.mapping(value, where)
    base_fee = header.get("baseFeePerGas")
    randao = header.get("mixHash")
    return Block(
        chain_id=chain_id,
        number=decoding.quantity(header.get("number"), f"{where}.number", limit=_NUMBER_MAX),
        hash=decoding.digest(header.get("hash"), f"{where}.hash"),
        parent_hash=decoding.digest(header.get("parentHash"), f"{where}.parentHash"),
        timestamp_s=decoding.quantity(header.get("timestamp"), f"{where}.timestamp", limit=_TIMESTAMP_MAX),
        base_fee_wei=0 if base_fee is None else decoding.quantity(base_fee, f"{where}.baseFeePerGas"),
        gas_limit=decoding.quantity(header.get("gasLimit"), f"{where}.gasLimit", limit=_NUMBER_MAX),
        coinbase=ZERO_ADDRESS
        if header.get("miner") is None
        else decoding.address(header.get("miner"), f"{where}.miner"),
        prevrandao=_ZERO_HASH if randao is None else decoding.digest(randao, f"{where}.mixHash"),
    )


def _logs_within(answer: object, from_number: int, to_number: int) -> list[Log]:
    logs = logs_of(answer)
    if any(not from_number <= log.block_number <= to_number for log in logs):
        raise EndpointError(
            "a log of a block outside the range", f"blocks {from_number} to {to_number}", "check the endpoint"
        )
    return logs


def filter_fields(wanted: LogFilter) -> dict[str, object]:
    """A filter as JSON-RPC takes it."""
    fields: dict[str, object] = {}
    if wanted.addresses:
        fields["address"] = [hex_text(address) for address in wanted.addresses]
    if wanted.topics:
        fields["topics"] = [[hex_text(topic) for topic in options] or None for options in wanted.topics]
    return fields


def _value(method: str, answer: object | RpcError) -> object:
    if isinstance(answer, RpcError):
        raise _refused(method, answer, "chain client")
    return answer


def _known(method: str, answer: object | RpcError) -> object:
    """The value of a pinned read."""
    _require_block(method, answer)
    return _value(method, answer)


def _require_block(method: str, answer: object | RpcError) -> None:
    if isinstance(answer, RpcError) and is_block_unknown(answer):
        raise UnknownBlockError(
            f"the pinned block is not known: {answer.message}", method, "pin a newer block"
        )


def _refused(method: str, answer: RpcError, where: str) -> EndpointError:
    return EndpointError(
        f"{method}: {answer.message} (code {answer.code})", where, "see the endpoint's documentation"
    )
