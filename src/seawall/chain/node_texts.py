"""What nodes say when they refuse, and what they mean by it: the one table behind `chain.node_errors`.

A row is one meaning in the words of one client, with the place in that client's sources where they stand. A
text is compared without regard to case, and `…` stands for any few characters (a number, a hash, a name).
Words that several clients share stand once, with the client that coined them: forks of geth keep geth's.

Facts only. What a meaning leads to is decided in `chain.node_errors`; a text that is not here is unknown, and
is never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["ROWS", "WRAPPINGS", "NodeError", "Row"]


class NodeError(StrEnum):
    """What a node's refusal means, whoever said it."""

    ALREADY_KNOWN = "already_known"  # the node has these very bytes
    NONCE_TOO_LOW = "nonce_too_low"  # the nonce is used, perhaps by these bytes
    NONCE_TOO_HIGH = "nonce_too_high"  # a transaction before it is missing there
    UNDERPRICED_REPLACEMENT = "underpriced_replacement"  # another one of this nonce stays
    FEE_TOO_LOW = "fee_too_low"  # below the base fee or the pool's minimum
    INSUFFICIENT_FUNDS = "insufficient_funds"
    POOL_FULL = "pool_full"
    QUEUE_LIMIT = "queue_limit"  # the sender holds as many places as it may
    GAS_TOO_LOW = "gas_too_low"  # below the intrinsic cost
    GAS_TOO_HIGH = "gas_too_high"  # above a block's or a transaction's limit
    REVERTED = "reverted"  # it ran and failed by the rules of the EVM
    INVALID = "invalid"  # malformed, wrongly signed, of another chain, or a type that is not supported
    POLICY = "policy"  # this node, or the chain's operator, does not want it
    BLOCK_UNKNOWN = "block_unknown"  # the block, or its state, is not there
    TOO_LARGE = "too_large"  # the range or the answer: ask for less at once
    RATE_LIMITED = "rate_limited"
    METHOD_UNKNOWN = "method_unknown"
    BUSY = "busy"  # the node cannot serve now
    TIMEOUT = "timeout"  # it gave up; what it did is not known
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Row:
    error: NodeError
    client: str
    source: str
    texts: tuple[str, ...]


E = NodeError

ROWS: Final = (
    # -------------------------------------------------------------- geth 1.16, and its forks
    Row(E.ALREADY_KNOWN, "geth", "core/txpool/errors.go", ("already known", "known transaction")),
    Row(E.NONCE_TOO_LOW, "geth", "core/error.go", ("nonce too low",)),
    Row(E.NONCE_TOO_HIGH, "geth", "core/error.go", ("nonce too high", "gapped-nonce tx")),
    Row(E.UNDERPRICED_REPLACEMENT, "geth", "core/txpool/errors.go", ("replacement transaction underpriced",)),
    Row(
        E.FEE_TOO_LOW,
        "geth",
        "core/error.go, core/txpool/errors.go",
        (
            "transaction underpriced",
            "transaction gas price below minimum",
            "max fee per gas less than block base fee",
            "max fee per blob gas less than block blob gas fee",
            "fee cap less than base fee",
        ),
    ),
    Row(
        E.INSUFFICIENT_FUNDS,
        "geth",
        "core/error.go, core/vm/errors.go",
        ("insufficient funds", "insufficient balance"),
    ),
    Row(
        E.POOL_FULL,
        "geth",
        "core/txpool/legacypool/legacypool.go",
        ("txpool is full", "future transaction tries to replace pending"),
    ),
    Row(
        E.QUEUE_LIMIT,
        "geth",
        "core/txpool/errors.go",
        ("account limit exceeded", "in-flight transaction limit reached"),
    ),
    Row(E.GAS_TOO_LOW, "geth", "core/error.go", ("intrinsic gas too low", "insufficient gas for floor data")),
    Row(
        E.GAS_TOO_HIGH,
        "geth",
        "core/error.go, core/txpool/errors.go",
        ("exceeds block gas limit", "transaction gas limit too high"),
    ),
    Row(
        E.REVERTED,
        "geth",
        "core/vm/errors.go, eth/gasestimator",
        (
            "execution reverted",
            "out of gas",
            "gas required exceeds allowance",
            "invalid opcode",
            "invalid jump destination",
            "stack underflow",
            "stack overflow",
            "stack limit reached",
            "write protection",
            "return data out of bounds",
            "max code size exceeded",
            "contract address collision",
            "max call depth exceeded",
            "invalid code: must not begin with 0xef",
        ),
    ),
    Row(
        E.INVALID,
        "geth",
        "core/error.go, core/types/transaction.go, rlp/decode.go, rpc/errors.go",
        (
            "invalid sender",
            "invalid chain id",
            "invalid transaction v, r, s values",
            "only replay-protected",
            "transaction type not supported",
            "typed transaction too short",
            "rlp: ",
            "oversized data",
            "negative value",
            "nonce has max value",
            "gas uint64 overflow",
            "max initcode size exceeded",
            "max priority fee per gas higher than",
            "max fee per gas higher than 2^256-1",
            "sender not an eoa",
            "transaction blob limit exceeded",
            "blob transaction missing blob hashes",
            "missing sidecar in blob transaction",
            "invalid argument …:",
            "missing value for required argument",
            "unknown account",
        ),
    ),
    Row(
        E.POLICY,
        "geth",
        "internal/ethapi/api.go, core/txpool/errors.go",
        ("tx fee (…) exceeds the configured cap", "address already reserved", "authority already reserved"),
    ),
    Row(
        E.BLOCK_UNKNOWN,
        "geth",
        "eth/api_backend.go, eth/state_accessor.go, triedb",
        (
            "header not found",
            "header for hash not found",
            "block not found",
            "block #… not found",
            "header found, but block body is missing",
            "unknown block",
            "hash is not currently canonical",
            "missing trie node",
            "historical state … not available",
            "required historical state unavailable",
            "state is not available",
            "state not available",
            "pruned history unavailable",
        ),
    ),
    Row(
        E.TOO_LARGE,
        "geth",
        "rpc/errors.go",
        ("response too large", "batch too large", "query returned more than", "request body too large"),
    ),
    Row(
        E.METHOD_UNKNOWN,
        "geth",
        "rpc/errors.go",
        ("the method … does not exist", "the method … is not available"),
    ),
    Row(
        E.BUSY,
        "geth",
        "rpc/service.go, internal/ethapi",
        ("method handler crashed", "transaction indexing is in"),
    ),
    Row(
        E.TIMEOUT,
        "geth",
        "rpc/errors.go, internal/ethapi",
        ("request timed out", "execution aborted (timeout"),
    ),
    # -------------------------------------------------------------- reth
    Row(E.ALREADY_KNOWN, "reth", "transaction-pool/src/error.rs", ("already imported",)),
    Row(
        E.UNDERPRICED_REPLACEMENT,
        "reth",
        "transaction-pool/src/error.rs",
        ("insufficient gas price to replace",),
    ),
    Row(
        E.FEE_TOO_LOW,
        "reth",
        "transaction-pool/src/error.rs, rpc-eth-types/src/error",
        ("transaction feecap … below chain minimum", "transaction priority fee below minimum"),
    ),
    Row(
        E.INSUFFICIENT_FUNDS, "reth", "transaction-pool/src/error.rs", ("transaction overdraws from account",)
    ),
    Row(E.POOL_FULL, "reth", "transaction-pool/src/error.rs", ("due to pool size constraints",)),
    Row(E.QUEUE_LIMIT, "reth", "transaction-pool/src/error.rs", ("identified as a spammer",)),
    Row(
        E.GAS_TOO_HIGH,
        "reth",
        "rpc-eth-types/src/error, transaction-pool/src/error.rs",
        (
            "intrinsic gas too high",
            "gas limit too high",
            "exceeds max transaction gas limit",
            "exceeds block's gas limit",
        ),
    ),
    Row(E.REVERTED, "reth", "rpc-eth-types/src/error", ("evm error", "out of memory")),
    Row(
        E.INVALID,
        "reth",
        "rpc-eth-types/src/error",
        (
            "failed to decode signed transaction",
            "invalid transaction signature",
            "empty transaction data",
            "sender is not an eoa",
            "input data too large",
            "exceeds max_init_code_size",
            "should not have a chain id",
            "authorization list not supported",
        ),
    ),
    Row(E.POLICY, "reth", "transaction-pool/src/error.rs", ("conflicts with existing transaction for",)),
    Row(
        E.BLOCK_UNKNOWN,
        "reth",
        "rpc-eth-types/src/error, storage/errors",
        ("header range not found", "state at block … is pruned", "distance to target block exceeds"),
    ),
    Row(
        E.TOO_LARGE,
        "reth",
        "rpc/src/eth/filter.rs",
        ("query exceeds max results", "query exceeds max block range", "response is too big"),
    ),
    Row(E.METHOD_UNKNOWN, "reth", "jsonrpsee-types/src/error.rs", ("method not found",)),
    Row(E.BUSY, "reth", "jsonrpsee-types/src/error.rs", ("server is busy",)),
    # -------------------------------------------------------------- erigon
    Row(
        E.ALREADY_KNOWN,
        "erigon",
        "txpoolcfg/txpoolcfg.go",
        ("existing tx with same hash", "existing txn with same hash"),
    ),
    Row(E.NONCE_TOO_LOW, "erigon", "txpoolcfg/txpoolcfg.go", ("internal_error: mined",)),
    Row(
        E.UNDERPRICED_REPLACEMENT,
        "erigon",
        "txpoolcfg/txpoolcfg.go",
        ("could not replace existing tx", "replaced by transaction with higher tip"),
    ),
    Row(E.FEE_TOO_LOW, "erigon", "txpoolcfg/txpoolcfg.go", ("underpriced", "fee too low")),
    Row(
        E.POOL_FULL, "erigon", "txpoolcfg/txpoolcfg.go", ("sub-pool is full", "blobs limit in txpool is full")
    ),
    Row(E.QUEUE_LIMIT, "erigon", "txpoolcfg/txpoolcfg.go", ("spammer",)),
    Row(E.GAS_TOO_LOW, "erigon", "txpoolcfg/txpoolcfg.go", ("intrinsicgas",)),
    Row(E.GAS_TOO_HIGH, "erigon", "txpoolcfg/txpoolcfg.go", ("gas limit is too high",)),
    Row(
        E.INVALID,
        "erigon",
        "txpoolcfg/txpoolcfg.go",
        (
            "rlptoolong",
            "gasuintoverflow",
            "initcode too large",
            "fork supporting this transaction type is not activated",
            "cannot have the form of a create transaction",
        ),
    ),
    Row(E.POLICY, "erigon", "txpoolcfg/txpoolcfg.go", ("can't replace blob-txn with a non-blob-txn",)),
    # -------------------------------------------------------------- nethermind, before 1.35 in its own words
    Row(E.ALREADY_KNOWN, "nethermind", "TxPool/AcceptTxResult.cs", ("alreadyknown",)),
    Row(E.NONCE_TOO_LOW, "nethermind", "TxPool/AcceptTxResult.cs", ("oldnonce", "ownnoncealreadyused")),
    Row(
        E.NONCE_TOO_HIGH,
        "nethermind",
        "TxPool/AcceptTxResult.cs, TxPoolErrorMessages.cs",
        ("noncegap", "nonce too far in future", "noncetoofarinfuture", "delegation nonce gap"),
    ),
    Row(E.UNDERPRICED_REPLACEMENT, "nethermind", "TxPool/AcceptTxResult.cs", ("replacementnotallowed",)),
    Row(E.FEE_TOO_LOW, "nethermind", "TxPool/AcceptTxResult.cs", ("feetoolow",)),
    Row(E.INSUFFICIENT_FUNDS, "nethermind", "TxPool/AcceptTxResult.cs", ("insufficientfunds",)),
    Row(
        E.QUEUE_LIMIT,
        "nethermind",
        "TxPool/TxPoolErrorMessages.cs",
        ("delegation authority has pending transaction", "delegatorhaspendingtx"),
    ),
    Row(
        E.GAS_TOO_HIGH,
        "nethermind",
        "TxPool/TxPoolErrorMessages.cs, Core/Messages/TxErrorMessages.cs",
        ("gas limit reached", "gaslimitexceeded", "txgaslimitcapexceeded"),
    ),
    Row(
        E.INVALID,
        "nethermind",
        "TxPool/TxPoolErrorMessages.cs, Core/Messages/TxErrorMessages.cs",
        (
            "invalidtxsignature",
            "invalidtxchainid",
            "invalidtxtype",
            "invalidmaxpriorityfeepergas",
            "failed to recover sender",
            "failedtoresolvesender",
            "senderiscontract",
            "int256overflow",
            "transaction cost overflow",
            "transaction invalid",
            "transaction too large",
            "unsupported transaction type",
            "notsupportedtxtype",
        ),
    ),
    Row(
        E.POLICY,
        "nethermind",
        "TxPool/TxPoolErrorMessages.cs",
        ("pending transaction type conflict", "pendingtxsofconflictingtype"),
    ),
    Row(E.BLOCK_UNKNOWN, "nethermind", "JsonRpc/Modules/Eth", ("no state available for block",)),
    Row(
        E.REVERTED,
        "nethermind",
        "JsonRpc/Modules/Eth",
        ("vm execution error", "vm exception while processing"),
    ),
    Row(E.BUSY, "nethermind", "TxPool/TxPoolErrorMessages.cs", ("node is syncing",)),
    # -------------------------------------------------------------- besu, before 26 in its own words
    Row(
        E.NONCE_TOO_HIGH,
        "besu",
        "RpcErrorType.java",
        (
            "nonce is too distant from current sender nonce",
            "an invalid transaction with a lower nonce exists",
        ),
    ),
    Row(E.FEE_TOO_LOW, "besu", "RpcErrorType.java", ("gas price below",)),
    Row(E.INSUFFICIENT_FUNDS, "besu", "RpcErrorType.java", ("upfront cost exceeds account balance",)),
    Row(E.GAS_TOO_LOW, "besu", "RpcErrorType.java", ("intrinsic gas exceeds gas limit",)),
    Row(
        E.REVERTED,
        "besu",
        "RpcErrorType.java",
        ("transaction processing could not be completed due to an exception",),
    ),
    Row(
        E.INVALID,
        "besu",
        "RpcErrorType.java",
        (
            "invalid signature",
            "invalid transaction type",
            "wrong chainid",
            "chainid not supported",
            "chainid is required",
            "max priority fee per gas exceeds",
            "total blob gas too high",
            "invalid params",
        ),
    ),
    Row(
        E.POLICY,
        "besu",
        "RpcErrorType.java",
        (
            "transaction fee cap exceeded",
            "sender account not authorized",
            "plugin has marked the transaction as invalid",
        ),
    ),
    Row(E.BLOCK_UNKNOWN, "besu", "RpcErrorType.java", ("world state unavailable",)),
    Row(
        E.TOO_LARGE,
        "besu",
        "RpcErrorType.java",
        ("requested range exceeds maximum", "number of requests exceeds max batch size"),
    ),
    Row(E.METHOD_UNKNOWN, "besu", "RpcErrorType.java", ("method not enabled",)),
    Row(
        E.BUSY,
        "besu",
        "RpcErrorType.java",
        ("transaction pool not enabled", "initial sync is still in progress"),
    ),
    Row(E.TIMEOUT, "besu", "RpcErrorType.java", ("timeout expired",)),
    # -------------------------------------------------------------- anvil
    Row(
        E.GAS_TOO_HIGH,
        "anvil",
        "anvil/src/eth/error.rs",
        ("transaction gas limit is greater than the block gas limit",),
    ),
    Row(
        E.INVALID,
        "anvil",
        "anvil/src/eth/error.rs",
        (
            "incompatible eip-155 transaction",
            "unknown transaction type not supported",
            "transaction data is empty",
            "failed to decode transaction",
            "failed to recover the signer",
            "but they are not supported by the current hardfork",
            "but is not supported by the current hardfork",
        ),
    ),
    Row(
        E.BLOCK_UNKNOWN,
        "anvil",
        "anvil/src/eth/error.rs",
        (
            "blockoutofrange",
            "blocknotfound",
            "block does not exist",
            "could not find block",
            "could not find newest block",
            "resource not found",
            "required data unavailable",
        ),
    ),
    Row(
        E.REVERTED,
        "anvil",
        "anvil/src/eth/error.rs, revm's names",
        ("outofgas", "invalidopcode", "opcodenotfound", "invalidjump"),
    ),
    Row(E.METHOD_UNKNOWN, "anvil", "anvil/src/eth/error.rs", ("rpc endpoint not implemented",)),
    # -------------------------------------------------------------- Arbitrum: nitro's sequencer
    Row(
        E.NONCE_TOO_LOW, "nitro", "before nitro: low or high, not said which", ("invalid transaction nonce",)
    ),
    Row(E.FEE_TOO_LOW, "nitro", "before nitro", ("gas price too low",)),
    Row(E.INSUFFICIENT_FUNDS, "nitro", "before nitro", ("not enough funds for gas",)),
    Row(E.POOL_FULL, "nitro", "gethexec/forwarder.go", ("sequencer pending tx pool full", "queue full")),
    Row(
        E.POLICY,
        "nitro",
        "gethexec/sequencer.go",
        (
            "transaction sender is not on the whitelist",
            "forbidden sender address",
            "internal arbitrum tx filter",
        ),
    ),
    Row(
        E.BUSY,
        "nitro",
        "gethexec/sequencer.go, execution/interface.go",
        (
            "sequencer temporarily not available",
            "please retry transaction",
            "insert lock taken",
            "currently not accepting transactions",
        ),
    ),
    Row(E.TIMEOUT, "nitro", "context of Go", ("context deadline exceeded", "context canceled")),
    # -------------------------------------------------------------- OP stack: op-geth, op-reth, proxyd
    Row(
        E.POLICY,
        "op",
        "op-reth/rpc/src/error.rs, proxyd",
        (
            "storage value mismatch",
            "storage root mismatch",
            "conditional cost exceeded",
            "sender is over rate limit",
        ),
    ),
    Row(
        E.BLOCK_UNKNOWN,
        "op",
        "op-geth, proxyd/rpc.go",
        ("no historical rpc is available", "block is out of range"),
    ),
    Row(E.TOO_LARGE, "op", "proxyd/rpc.go", ("block range greater than",)),
    Row(E.RATE_LIMITED, "op", "proxyd/rpc.go", ("over rate limit",)),
    Row(E.METHOD_UNKNOWN, "op", "proxyd/rpc.go", ("rpc method is not whitelisted",)),
    Row(
        E.BUSY,
        "op",
        "proxyd/rpc.go",
        (
            "backend is currently not healthy",
            "no backends available",
            "backend offline",
            "sequencer is unavailable",
        ),
    ),
    # -------------------------------------------------------------- providers and proxies in front of nodes
    Row(
        E.RATE_LIMITED,
        "provider",
        "their own answers",
        (
            "too many requests",
            "rate limit",
            "rate exceeded",
            "request count exceeded",
            "compute units per second",
            "requests per second",
            "capacity limit exceeded",
            "credits limited to",
        ),
    ),
    Row(
        E.TOO_LARGE,
        "provider",
        "their own answers",
        (
            "log response size exceeded",
            "response size should not",
            "eth_getlogs is limited to",
            "block range is too",
            "block range too",
            "maximum block range",
            "please limit the query",
        ),
    ),
    Row(
        E.METHOD_UNKNOWN,
        "provider",
        "their own answers",
        ("unsupported method", "method … is not supported", "method not supported"),
    ),
    Row(
        E.BUSY,
        "provider",
        "their own answers",
        (
            "bad gateway",
            "service unavailable",
            "connection refused",
            "connection reset",
            "network is unreachable",
            "temporarily unavailable",
        ),
    ),
    Row(
        E.TIMEOUT,
        "provider",
        "their own answers",
        ("gateway timeout", "gateway time-out", "i/o timeout", "request timeout", "timed out"),
    ),
)

# Words around another node's words; they count only where nothing else is recognised.
WRAPPINGS: Final = (
    Row(E.BUSY, "op", "op-geth/eth/api_backend.go", ("failed to forward tx to sequencer",)),
    Row(
        E.BUSY, "provider", "JSON-RPC", ("internal error", "internal json-rpc error", "internal server error")
    ),
    Row(E.REVERTED, "provider", "JSON-RPC", ("revert",)),
)
